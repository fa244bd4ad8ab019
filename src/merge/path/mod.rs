//! Paths between two checkpoints: what a sweep walks along. To add one, write a file with a `PathMethod` and list it
//! here.

mod wise_ft;

use std::ops::RangeInclusive;

use crate::base::registry::{Named, Registry};

/// A way to combine a pretrained and a fine-tuned tensor at weight `alpha`.
pub trait PathMethod: Named + Sync {
    /// The alphas for which the method means something.
    fn alphas(&self) -> RangeInclusive<f64>;

    /// Combines element by element into `out`. Must return `from` at alpha 0 and `to` at alpha 1,
    /// bit for bit. All slices have the same length.
    fn merge(&self, alpha: f64, from: &[f32], to: &[f32], out: &mut [f32]);
}

/// All paths.
pub static PATHS: Registry<dyn PathMethod> = Registry { kind: "merge", items: &[&wise_ft::WiseFt] };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_returns_its_ends_exactly() {
        let from = [0.1f32, -3.7, 1e-30, f32::MAX];
        let to = [0.3f32, 2.9, -1e30, f32::MIN];
        for method in PATHS.items {
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
        for method in PATHS.items {
            let mut out = [0.0; 3];
            method.merge(0.3, &values, &values, &mut out);
            for (a, b) in out.iter().zip(values) {
                assert!((a - b).abs() <= 2e-7 * b.abs(), "{}", method.name());
            }
        }
    }
}
