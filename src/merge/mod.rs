//! Combining two checkpoints into one, in memory.

mod ends;
mod methods;
mod preflight;

pub(crate) use ends::merge_tensors;
pub use ends::{Ends, Fate, MergeError, TensorFilter};
pub use methods::MERGES;
pub use preflight::Preflight;

use std::ops::RangeInclusive;

use crate::base::registry::Named;

/// A way to combine a pretrained and a fine-tuned tensor at weight `alpha`.
pub trait MergeMethod: Named + Sync {
    /// The alphas for which the method means something.
    fn alphas(&self) -> RangeInclusive<f64>;

    /// Combines element by element into `out`. Must return `from` at alpha 0 and `to` at alpha 1,
    /// bit for bit. All slices have the same length.
    fn merge(&self, alpha: f64, from: &[f32], to: &[f32], out: &mut [f32]);
}
