//! The heads of a curve's variants.
//!
//! An end's head is its fine-tuned classifier where that knows all classes of the probe, otherwise
//! the zero-shot head of its own text tower. As in WiSE-FT the head is part of the interpolated
//! weights: where one end has a classifier, head rows and bias are interpolated. Where neither has,
//! the zero-shot head is computed from the interpolated text tower, or once if the ends share it.
//!
//! Learned context (CoOp) gives class embeddings for any names; they count as a head of their end, so that
//! along a curve features are interpolated, as MERGETUNE does, and not context vectors.

use candle_core::{Device, Tensor};

use super::RunError;
use super::family::{Family, Source};
use super::placement::Placement;
use crate::checkpoint::Tensors;
use crate::merge::merge_tensors;
use crate::model::clip::TextTower;
use crate::model::{CheckpointFolder, Classifier, HeadRows, ModelError, zero_shot};
use crate::plan::{EndHead as Choice, HeadKind, Probe};
use crate::suite::HeadRule;

/// `logits = features W^T + b` on normalised features.
#[derive(Clone)]
pub struct Head {
    /// `[projection_dim, classes]`, contiguous.
    weight: Tensor,
    /// `[classes]`.
    bias: Option<Tensor>,
}

impl Head {
    fn new(rows: &Tensor, bias: Option<Tensor>, device: &Device) -> candle_core::Result<Self> {
        let bias = bias.map(|b| b.to_device(device)).transpose()?;
        Ok(Self { weight: rows.t()?.contiguous()?.to_device(device)?, bias })
    }

    /// Logits `[batch, classes]` of normalised features `[batch, projection_dim]`.
    pub fn logits(&self, features: &Tensor) -> candle_core::Result<Tensor> {
        let logits = features.matmul(&self.weight)?;
        match &self.bias {
            Some(bias) => logits.broadcast_add(bias),
            None => Ok(logits),
        }
    }
}

/// The heads of a family on one probe, one per member; equal heads share their tensors.
pub fn heads(family: &Family, probe: &Probe, placement: &Placement) -> Result<Vec<Head>, RunError> {
    let wrap = |e| RunError::from(ModelError::compute(format!("head of probe `{}`", probe.spec.id))(e));
    let finish = |end: HeadRows| Head::new(&end.rows, end.bias, &placement.device).map_err(wrap);
    let alphas: Vec<f64> = family.members.iter().map(|m| m.alpha).collect();
    match &family.source {
        Source::Single { folder, tensors } => {
            let head = finish(end_head(folder, tensors, probe)?)?;
            Ok(vec![head; alphas.len()])
        }
        Source::Pair { from, to, ends, method, head } => {
            let knows = |f: &CheckpointFolder| Choice::of(f, &probe.classes).kind != HeadKind::ZeroShot;
            let fixed = match head {
                HeadRule::From => Some((from, 0.0)),
                HeadRule::To => Some((to, 1.0)),
                HeadRule::Interpolate => None,
            };
            if let Some((folder, alpha)) = fixed {
                let head = finish(end_head(folder, &ends.at(*method, alpha)?, probe)?)?;
                return Ok(vec![head; alphas.len()]);
            }
            if !knows(from) && !knows(to) {
                let owns = |name: &str| TextTower::owns(name) || name.starts_with("logit_");
                if ends.shares(owns) {
                    let head = finish(end_head(from, &ends.at(*method, 0.0)?, probe)?)?;
                    return Ok(vec![head; alphas.len()]);
                }
                let at = |&alpha: &f64| {
                    finish(zero_shot(from, &ends.at(*method, alpha)?, &probe.classes.head, &probe.templates)?)
                };
                return alphas.iter().map(at).collect();
            }
            let start = end_head(from, &ends.at(*method, 0.0)?, probe)?;
            let end = end_head(to, &ends.at(*method, 1.0)?, probe)?;
            let blend = |alpha: f64| -> candle_core::Result<Head> {
                let merged = start.blend(&end, |a, b| merge_tensors(*method, alpha, a, b))?;
                Head::new(&merged.rows, merged.bias, &placement.device)
            };
            alphas.into_iter().map(|alpha| blend(alpha).map_err(wrap)).collect()
        }
    }
}

fn end_head(folder: &CheckpointFolder, tensors: &Tensors, probe: &Probe) -> Result<HeadRows, RunError> {
    let choice = Choice::of(folder, &probe.classes);
    if choice.kind != HeadKind::Classifier {
        return Ok(zero_shot(folder, tensors, &probe.classes.head, &probe.templates)?);
    }
    let wrap = |e| RunError::from(ModelError::compute("classifier")(e));
    let n = choice.rows.len();
    let index = Tensor::from_vec(choice.rows, n, &Device::Cpu).map_err(wrap)?;
    let rows = folder.weights.load(Classifier::WEIGHT)?.index_select(&index, 0).map_err(wrap)?;
    let bias = if folder.weights.contains(Classifier::BIAS) {
        Some(folder.weights.load(Classifier::BIAS)?.index_select(&index, 0).map_err(wrap)?)
    } else {
        None
    };
    Ok(HeadRows { rows, bias })
}
