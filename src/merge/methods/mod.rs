//! The merge methods. To add one, write a file with a `MergeMethod` and list it here.

mod wise_ft;

use super::MergeMethod;
use crate::base::registry::Registry;

/// All merge methods.
pub static MERGES: Registry<dyn MergeMethod> = Registry { kind: "merge", items: &[&wise_ft::WiseFt] };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_returns_its_ends_exactly() {
        let from = [0.1f32, -3.7, 1e-30, f32::MAX];
        let to = [0.3f32, 2.9, -1e30, f32::MIN];
        for method in MERGES.items {
            let mut out = [0.0; 4];
            method.merge(0.0, &from, &to, &mut out);
            assert_eq!(out.map(f32::to_bits), from.map(f32::to_bits), "{}", method.name());
            method.merge(1.0, &from, &to, &mut out);
            assert_eq!(out.map(f32::to_bits), to.map(f32::to_bits), "{}", method.name());
        }
    }

    #[test]
    fn merging_a_checkpoint_with_itself_changes_nothing_much() {
        let values = [0.1f32, -3.7, 12.5];
        for method in MERGES.items {
            let mut out = [0.0; 3];
            method.merge(0.3, &values, &values, &mut out);
            for (a, b) in out.iter().zip(values) {
                assert!((a - b).abs() <= 2e-7 * b.abs(), "{}", method.name());
            }
        }
    }
}
