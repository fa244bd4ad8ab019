//! The heads of a curve's variants.
//!
//! An end's head is its fine-tuned classifier where that knows all classes of the probe, otherwise
//! the zero-shot head of its own text tower. As in WiSE-FT the head is part of the interpolated
//! weights: where one end has a classifier, head rows and bias are interpolated. Where neither has,
//! the zero-shot head is computed from the interpolated text tower, or once if the ends share it.
//!
//! Learned context (CoOp) gives class embeddings for any names; they count as a head of their end, so that
//! along a curve features are interpolated, as MERGETUNE does, and not context vectors. Where the context depends on the image
//! (CoCoOp), so do its rows: they are made for each image once and interpolated for every alpha.

use std::sync::Arc;

use super::RunError;
use super::family::{Family, Origin};
use crate::merge::merge_tensors;
use crate::model::{Architecture, Head, HeadKind, HeadRows, ModelError, Placement};
use crate::plan::Probe;
use crate::suite::HeadRule;
use crate::task::Candidates;

/// What the head of the candidates is called where a sweep's groups name tensors.
const HEAD: &str = "head";

/// The heads of a family on one probe, one per member (one per end, where outputs are combined); equal heads share their tensors. None where each question brings
/// its own candidates. `hear` is told of each so many prompts.
pub fn heads(
    family: &Family,
    probe: &Probe,
    placement: &Placement,
    hear: &mut dyn FnMut(usize),
) -> Result<Vec<Option<Head>>, RunError> {
    let Some(candidates) = probe.task.candidates() else {
        return Ok(vec![None; family.members.len().max(2)]);
    };
    Ok(made(family, probe, candidates, placement, hear)?.into_iter().map(Some).collect())
}

fn made(
    family: &Family,
    probe: &Probe,
    candidates: &Candidates,
    placement: &Placement,
    hear: &mut dyn FnMut(usize),
) -> Result<Vec<Head>, RunError> {
    let wrap = |e| RunError::from(ModelError::compute(format!("head of probe `{}`", probe.spec.id))(e));
    let finish = |end: HeadRows| Head::new(&end, &placement.device).map_err(wrap);
    let alphas: Vec<f64> = family.members.iter().map(|m| m.alpha).collect();
    match &family.source {
        Origin::Single { architecture, weights } => {
            let head = finish(architecture.head(&**weights, candidates, hear)?)?;
            Ok(vec![head; alphas.len()])
        }
        Origin::Ensemble { ends, .. } => {
            ends.iter().map(|(end, weights)| finish(end.head(&**weights, candidates, hear)?)).collect()
        }
        Origin::Pair { from, to, ends, path, head } => {
            let fixed = match head {
                HeadRule::From => Some((from, 0.0)),
                HeadRule::To => Some((to, 1.0)),
                HeadRule::Interpolate => None,
            };
            if let Some((end, alpha)) = fixed {
                let head = finish(end.head(&ends.at(*path, alpha), candidates, hear)?)?;
                return Ok(vec![head; alphas.len()]);
            }
            let is_made = |end: &Arc<dyn Architecture>| {
                end.head_choice(candidates).is_some_and(|h| h.kind == HeadKind::ZeroShot)
            };
            if is_made(from) && is_made(to) {
                let mut made = |&alpha: &f64| finish(from.head(&ends.at(*path, alpha), candidates, hear)?);
                if ends.shares(|name| from.makes_head(name)) {
                    return Ok(vec![made(&0.0)?; alphas.len()]);
                }
                return alphas.iter().map(&mut made).collect();
            }
            let start = from.head(&ends.at(*path, 0.0), candidates, hear)?;
            let end = to.head(&ends.at(*path, 1.0), candidates, hear)?;
            let blend = |alpha: f64| -> Result<Head, RunError> {
                let (path, alpha) = (*path, ends.alpha(alpha, HEAD));
                let merged = start.blend(&end, move |a, b| merge_tensors(path, alpha, a, b)).map_err(wrap)?;
                finish(merged)
            };
            alphas.into_iter().map(blend).collect()
        }
    }
}
