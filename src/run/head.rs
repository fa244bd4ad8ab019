//! The heads of a curve's variants.
//!
//! An end's head is its fine-tuned classifier where that knows all classes of the probe, otherwise
//! the zero-shot head of its own text tower. As in WiSE-FT the head is part of the interpolated
//! weights: where one end has a classifier, head rows and bias are interpolated. Where neither has,
//! the zero-shot head is computed from the interpolated text tower, or once if the ends share it.

use candle_core::{DType, Device, Tensor};

use super::RunError;
use super::family::{Family, Source};
use crate::checkpoint::Tensors;
use crate::merge::merge_tensors;
use crate::model::clip::{Kernels, TextTower};
use crate::model::{CheckpointFolder, Classifier, ModelError, prompts, zero_shot_head};
use crate::plan::Probe;
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
    fn new(rows: &Tensor, bias: Option<Tensor>) -> candle_core::Result<Self> {
        Ok(Self { weight: rows.t()?.contiguous()?, bias })
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

/// Rows `[classes, projection_dim]` and bias of one end.
struct EndHead {
    rows: Tensor,
    bias: Option<Tensor>,
}

/// The heads of a family on one probe, one per member; equal heads share their tensors.
pub fn heads(family: &Family, probe: &Probe) -> Result<Vec<Head>, RunError> {
    let wrap = |e| RunError::from(ModelError::compute(format!("head of probe `{}`", probe.spec.id))(e));
    let finish = |end: EndHead| Head::new(&end.rows, end.bias).map_err(wrap);
    let alphas: Vec<f64> = family.members.iter().map(|m| m.alpha).collect();
    match &family.source {
        Source::Single { folder, tensors } => {
            let head = finish(end_head(folder, tensors, probe)?)?;
            Ok(vec![head; alphas.len()])
        }
        Source::Pair { from, to, ends, method, head } => {
            let knows = |folder: &CheckpointFolder| classifier_rows(folder, probe).is_some();
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
                let owns = |name: &str| TextTower::owns(name) || name == "logit_scale";
                if ends.shares(owns) {
                    let head = finish(end_head(from, &ends.at(*method, 0.0)?, probe)?)?;
                    return Ok(vec![head; alphas.len()]);
                }
                let at = |&alpha: &f64| finish(zero_shot(from, &ends.at(*method, alpha)?, probe)?);
                return alphas.iter().map(at).collect();
            }
            let start = end_head(from, &ends.at(*method, 0.0)?, probe)?;
            let end = end_head(to, &ends.at(*method, 1.0)?, probe)?;
            let blend = |alpha: f64| -> candle_core::Result<Head> {
                let rows = merge_tensors(*method, alpha, &start.rows, &end.rows)?;
                let bias = match (&start.bias, &end.bias) {
                    (None, None) => None,
                    (a, b) => {
                        let zero = Tensor::zeros(rows.dim(0)?, DType::F32, &Device::Cpu)?;
                        let (a, b) = (a.as_ref().unwrap_or(&zero), b.as_ref().unwrap_or(&zero));
                        Some(merge_tensors(*method, alpha, a, b)?)
                    }
                };
                Head::new(&rows, bias)
            };
            alphas.into_iter().map(|alpha| blend(alpha).map_err(wrap)).collect()
        }
    }
}

fn classifier_rows(folder: &CheckpointFolder, probe: &Probe) -> Option<Vec<u32>> {
    folder.classifier.as_ref()?.rows(&probe.classes.head)
}

fn end_head(folder: &CheckpointFolder, tensors: &Tensors, probe: &Probe) -> Result<EndHead, RunError> {
    let Some(rows) = classifier_rows(folder, probe) else {
        return zero_shot(folder, tensors, probe);
    };
    let select = || -> Result<EndHead, RunError> {
        let wrap = |e| RunError::from(ModelError::compute("classifier")(e));
        let index = Tensor::from_vec(rows.clone(), rows.len(), &Device::Cpu).map_err(wrap)?;
        let weight = folder.weights.load(Classifier::WEIGHT)?;
        let bias = folder.weights.load(Classifier::BIAS)?;
        Ok(EndHead {
            rows: weight.index_select(&index, 0).map_err(wrap)?,
            bias: Some(bias.index_select(&index, 0).map_err(wrap)?),
        })
    };
    select()
}

fn zero_shot(folder: &CheckpointFolder, tensors: &Tensors, probe: &Probe) -> Result<EndHead, RunError> {
    let texts = prompts(&probe.classes.head, &probe.templates);
    let tokens = folder.tokenizer()?.encode(&texts)?;
    let scale = tensors.get("logit_scale").cloned().map_or_else(|| folder.weights.load("logit_scale"), Ok)?;
    let compute = || {
        let tower = TextTower::new(&folder.config, tensors, Kernels::Inference)?;
        zero_shot_head(&tower, &scale.reshape(())?, &tokens, probe.templates.len())
    };
    let context = format!("zero-shot head of `{}`", folder.path.display());
    let rows = compute().map_err(ModelError::compute(context))?;
    Ok(EndHead { rows, bias: None })
}
