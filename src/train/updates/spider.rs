//! SPIDER: after every step each weight goes back towards its start as far as the start matters more than the fine-tuning.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Tensor};

use crate::base::config::Section;
use crate::base::registry::Named;
use crate::checkpoint::Tensors;
use crate::train::outputs::Parameters;
use crate::train::parts::{Update, UpdateKind, Updating};
use crate::train::resume::{copies, of, under};

/// The kind.
pub(super) struct SpiderKind;

impl Named for SpiderKind {
    fn name(&self) -> &'static str {
        "spider"
    }
    fn summary(&self) -> &'static str {
        "w = (1 - M) start + M w, M from normalised |start| against normalised summed gradients, tensor by tensor; `mask` \
         (rescaled, selected, none) for its ablations"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2411.10928; WenkeHuang/SPIDER, Code/train/SPIDER.py"
    }
}

impl UpdateKind for SpiderKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Update> {
        let choices = [("rescaled", Mask::Rescaled), ("selected", Mask::Selected), ("none", Mask::None)];
        Arc::new(Spider(section.choice("mask", &choices).map_or(Mask::Rescaled, |c| c.value)))
    }
}

/// How far the mask goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mask {
    /// The whole method.
    Rescaled,
    /// Selected entries keep their whole step: a binary mask.
    Selected,
    /// Ones: full fine-tuning.
    None,
}

#[derive(Debug)]
struct Spider(Mask);

impl Update for Spider {
    fn prepare(&self, parameters: &Parameters, _: usize) -> Result<Box<dyn Updating>> {
        let start = copies(parameters)?;
        let importance = start.iter().map(|(n, t)| Ok((n.clone(), rank(t)?))).collect::<Result<_>>()?;
        Ok(Box::new(Working { mask: self.0, start, importance, gradients: BTreeMap::new() }))
    }
}

struct Working {
    mask: Mask,
    start: Tensors,
    /// Normalised importance of the start.
    importance: Tensors,
    /// Signed sums of gradients.
    gradients: Tensors,
}

/// `sigmoid((|x| - mean) / std)` over a tensor, std being unbiased; zeros where all values are zero. Where all are equal
/// (one value alone), the middle: PyTorch would divide by zero or by nothing.
fn rank(x: &Tensor) -> Result<Tensor> {
    let size = x.abs()?.to_dtype(DType::F64)?;
    let n = size.elem_count() as f64;
    let mean = size.mean_all()?.to_scalar::<f64>()?;
    if mean == 0.0 {
        return x.zeros_like();
    }
    let centred = (size - mean)?;
    let variance = centred.sqr()?.sum_all()?.to_scalar::<f64>()? / (n - 1.0).max(1.0);
    let scaled = if variance > 0.0 { (centred / variance.sqrt())? } else { centred.zeros_like()? };
    candle_nn::ops::sigmoid(&scaled)?.to_dtype(x.dtype())
}

/// The mask from the two importances.
fn mask(start: &Tensor, tuning: &Tensor, kind: Mask) -> Result<Tensor> {
    let selected = start.lt(tuning)?.to_dtype(start.dtype())?;
    match kind {
        Mask::None => selected.ones_like(),
        Mask::Selected => Ok(selected),
        Mask::Rescaled => {
            let count = selected.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
            if count == 0.0 {
                return Ok(selected);
            }
            let share = (tuning / (start + tuning)?)?;
            // A choice and no product: where both are zero the share is not a number.
            let share = selected.to_dtype(DType::U8)?.where_cond(&share, &share.zeros_like()?)?;
            let mean = share.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()? / count;
            (share / mean)?.minimum(1.0)
        }
    }
}

impl Updating for Working {
    fn after(&mut self, _: usize, parameters: &Parameters, gradients: &GradStore) -> Result<()> {
        for (name, var) in parameters {
            if let Some(gradient) = gradients.get(var.as_tensor()) {
                let sum = match self.gradients.get(name) {
                    Some(sum) => (sum + gradient)?,
                    None => gradient.detach(),
                };
                self.gradients.insert(name.clone(), sum);
            }
            let tuning = match self.gradients.get(name) {
                Some(sum) => rank(sum)?,
                None => self.start[name].zeros_like()?,
            };
            let mask = mask(&self.importance[name], &tuning, self.mask)?;
            let start = &self.start[name];
            // (1 - M) start + M w.
            let kept = ((1.0 - &mask)? * start)?;
            var.set(&(kept + (mask * var.as_tensor().detach())?)?)?;
        }
        Ok(())
    }

    fn state(&self) -> Tensors {
        let mut state = under("start", &self.start);
        state.extend(under("gradient", &self.gradients));
        state
    }

    fn restore(&mut self, state: &Tensors) {
        self.start = of("start", state);
        self.gradients = of("gradient", state);
        for (name, start) in &self.start {
            if let Ok(importance) = rank(start) {
                self.importance.insert(name.clone(), importance);
            }
        }
    }
}
