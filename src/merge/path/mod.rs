//! Paths between two checkpoints: what a sweep walks along. To add one, write a file with a `PathMethod` and list it
//! here.

mod fisher;
mod output_ensemble;
mod slerp;
mod wise_ft;

use std::ops::RangeInclusive;

pub use fisher::blend_weighed;

use crate::base::registry::{Named, Registry};

/// A way to combine a pretrained and a fine-tuned tensor at weight `alpha`.
pub trait PathMethod: Named + Sync {
    /// The alphas for which the method means something.
    fn alphas(&self) -> RangeInclusive<f64>;

    /// Whether the factors depend on the whole tensor, which then cannot be combined in parts.
    fn needs_whole_tensors(&self) -> bool {
        false
    }

    /// Whether it weighs values by how much they matter: both ends must have that said beside them.
    fn weighs(&self) -> bool {
        false
    }

    /// Whether it combines what both models answer, and not their weights.
    fn of_outputs(&self) -> bool {
        false
    }

    /// Factors of the pretrained and of the fine-tuned values of a whole tensor, strictly between the ends.
    fn factors(&self, alpha: f64, from: &[f32], to: &[f32]) -> [f32; 2];
}

/// Combines element by element into `out`: `from` at alpha 0 and `to` at alpha 1, bit for bit. All slices have the same
/// length.
pub fn blend(alpha: f64, [keep, take]: [f32; 2], from: &[f32], to: &[f32], out: &mut [f32]) {
    if alpha == 0.0 {
        out.copy_from_slice(from);
    } else if alpha == 1.0 {
        out.copy_from_slice(to);
    } else {
        // As `keep * a + take * b` in f32, the reference's order of operations.
        for ((o, &a), &b) in out.iter_mut().zip(from).zip(to) {
            *o = keep * a + take * b;
        }
    }
}

/// All paths.
pub static PATHS: Registry<dyn PathMethod> = Registry {
    kind: "merge",
    items: &[&fisher::Fisher, &output_ensemble::OutputEnsemble, &slerp::Slerp, &wise_ft::WiseFt],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_returns_its_ends_exactly() {
        let from = [0.1f32, -3.7, 1e-30, f32::MAX];
        let to = [0.3f32, 2.9, -1e30, f32::MIN];
        for method in PATHS.items {
            let mut out = [0.0; 4];
            blend(0.0, method.factors(0.0, &from, &to), &from, &to, &mut out);
            assert_eq!(out.map(f32::to_bits), from.map(f32::to_bits), "{}", method.name());
            blend(1.0, method.factors(1.0, &from, &to), &from, &to, &mut out);
            assert_eq!(out.map(f32::to_bits), to.map(f32::to_bits), "{}", method.name());
        }
    }

    #[test]
    fn merging_a_checkpoint_with_itself_changes_nothing_much() {
        let values = [0.1f32, -3.7, 12.5];
        for method in PATHS.items {
            let mut out = [0.0; 3];
            blend(0.3, method.factors(0.3, &values, &values), &values, &values, &mut out);
            for (a, b) in out.iter().zip(values) {
                assert!((a - b).abs() <= 2e-7 * b.abs(), "{}", method.name());
            }
        }
    }
}
