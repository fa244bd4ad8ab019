//! How much each value of a checkpoint matters: the diagonal of its Fisher information, and means that are weighed by it.
//!
//! Matena and Raffel 2022 (arXiv:2111.09832), equation 4; as a path: mlfoundations/wise-ft, `--fisher`. `specbench tune` writes
//! it beside a checkpoint (`save_fisher`): the mean squared gradient of single training examples.

use std::sync::Arc;

use rayon::prelude::*;

use super::beside::Beside;
use super::error::MergeError;
use crate::checkpoint::Weights;

/// Nothing counts less than this (mlfoundations/wise-ft, `--fisher_floor`).
pub const FLOOR: f32 = 1e-8;

/// Refuses what cannot be Fisher information: means of squares are never below nothing.
pub(super) fn squares(importance: &[&[f32]]) -> candle_core::Result<()> {
    let any = |values: &&[f32]| values.par_chunks(1 << 16).any(|part| part.iter().any(|v| *v < 0.0));
    if importance.iter().any(any) {
        candle_core::bail!("its Fisher information has values below 0; it is a mean of squares");
    }
    Ok(())
}

/// Whether all of `weights` can be weighed by `importance`: the tensors that `admits` names and that not all share have one in
/// each, of their shape.
///
/// # Errors
/// With the first tensor for which that does not hold.
pub(super) fn check(
    weights: &[&dyn Weights],
    importance: &[Arc<dyn Weights>],
    admits: impl Fn(&str) -> bool,
) -> Result<(), MergeError> {
    let Some((first, others)) = weights.split_first() else { return Ok(()) };
    let wrong = |of: &dyn Weights, what: String| MergeError::Beside {
        label: of.label(),
        what,
        by: Beside::Fisher.written_by(),
    };
    for name in first.floats().into_iter().filter(|n| admits(n)) {
        if importance.iter().all(|i| !i.contains(name)) && others.iter().all(|o| first.same(*o, name)) {
            continue;
        }
        for (weights, importance) in weights.iter().zip(importance) {
            let (Some(info), shape) = (importance.info(name), weights.info(name).map(|i| i.shape)) else {
                return Err(wrong(
                    &**importance,
                    format!("has nothing for `{name}`, which the checkpoints differ in"),
                ));
            };
            if Some(&info.shape) != shape.as_ref() {
                let (here, there) = (info.shape, shape.unwrap_or_default());
                return Err(wrong(&**importance, format!("has {here:?} for `{name}`, which is {there:?}")));
            }
        }
    }
    Ok(())
}
