//! The heads of a curve's variants.
//!
//! An end's head is its fine-tuned classifier where that knows all classes of the probe, otherwise
//! the zero-shot head of its own text tower. As in WiSE-FT the head is part of the interpolated
//! weights: where one end has a classifier, head rows and bias are interpolated. Where neither has,
//! the zero-shot head is computed from the interpolated text tower, or once if the ends share it.
//!
//! Learned context (CoOp) gives class embeddings for any names; they count as a head of their end, so that
//! along a curve features are interpolated, as MERGETUNE does, and not context vectors.

use candle_core::{DType, Device, Tensor};

use super::RunError;
use super::family::{Family, Source};
use super::placement::Placement;
use crate::checkpoint::{CONTEXT, Tensors};
use crate::merge::merge_tensors;
use crate::model::clip::{Kernels, TextTower};
use crate::model::{
    CheckpointFolder, Classifier, ModelError, class_embeddings, context_embeddings, context_places,
    context_texts, prompts,
};
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

/// Rows `[classes, projection_dim]` and bias of one end.
struct EndHead {
    rows: Tensor,
    bias: Option<Tensor>,
}

/// The heads of a family on one probe, one per member; equal heads share their tensors.
pub fn heads(family: &Family, probe: &Probe, placement: &Placement) -> Result<Vec<Head>, RunError> {
    let wrap = |e| RunError::from(ModelError::compute(format!("head of probe `{}`", probe.spec.id))(e));
    let finish = |end: EndHead| Head::new(&end.rows, end.bias, &placement.device).map_err(wrap);
    let alphas: Vec<f64> = family.members.iter().map(|m| m.alpha).collect();
    match &family.source {
        Source::Single { folder, tensors } => {
            let head = finish(end_head(folder, tensors, probe)?)?;
            Ok(vec![head; alphas.len()])
        }
        Source::Pair { from, to, ends, method, head } => {
            let knows = |f: &CheckpointFolder| classifier_rows(f, probe).is_some() || f.has_context();
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
                Head::new(&rows, bias, &placement.device)
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

/// The head from names and templates, or from names and learned context.
fn zero_shot(folder: &CheckpointFolder, tensors: &Tensors, probe: &Probe) -> Result<EndHead, RunError> {
    let get = |name: &str| tensors.get(name).cloned().map_or_else(|| folder.weights.load(name), Ok);
    let scale = get("logit_scale")?;
    let shift = if folder.config.is_siglip() { Some(get("logit_bias")?) } else { None };
    let tokenizer = folder.tokenizer()?;
    let names = &probe.classes.head;
    let context = if folder.has_context() { Some(folder.weights.load(CONTEXT)?) } else { None };
    let tokens = match &context {
        Some(context) => {
            let length = folder.config.text_config.max_position_embeddings;
            context_places(tokenizer.encode(&context_texts(names))?, context, length)
        }
        None => tokenizer.encode(&prompts(names, &probe.templates))?,
    };
    let compute = || {
        let tower = TextTower::new(&folder.config, tensors, Kernels::Inference)?;
        let embeddings = match &context {
            Some(context) => context_embeddings(&tower, &tokens, context)?,
            None => class_embeddings(&tower, &tokens, probe.templates.len())?,
        };
        let rows = embeddings.broadcast_mul(&scale.reshape(())?.exp()?)?;
        let bias = shift.map(|b| b.reshape(1)?.broadcast_as(names.len())?.contiguous()).transpose()?;
        Ok(EndHead { rows, bias })
    };
    let what = format!("zero-shot head of `{}`", folder.path.display());
    compute().map_err(|e| ModelError::compute(what)(e).into())
}
