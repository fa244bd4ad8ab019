//! SPIDER's ablation: the largest half of the start is frozen, tensor by tensor.

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
pub(super) struct MagnitudeMaskKind;

impl Named for MagnitudeMaskKind {
    fn name(&self) -> &'static str {
        "magnitude-mask"
    }
    fn summary(&self) -> &'static str {
        "the `frozen` (0.5) largest of |start| of each tensor go back to their start after every step"
    }
    fn reference(&self) -> &'static str {
        "WenkeHuang/SPIDER, Code/train/MagnitudeMask.py"
    }
}

impl UpdateKind for MagnitudeMaskKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Update> {
        Arc::new(MagnitudeMask(section.number_in("frozen", 0.0..=1.0).map_or(0.5, |n| n.value)))
    }
}

#[derive(Debug)]
struct MagnitudeMask(f64);

/// 1 where a value trains, 0 where it is among the largest; equal values in the order of their places.
fn trains(start: &Tensor, frozen: f64) -> Result<Tensor> {
    let values = start.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    let count = (values.len() as f64 * frozen) as usize;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()).then(a.cmp(&b)));
    let mut mask = vec![1.0f32; values.len()];
    order[..count].iter().for_each(|&i| mask[i] = 0.0);
    Tensor::from_vec(mask, start.shape(), start.device())
}

impl Update for MagnitudeMask {
    fn prepare(&self, parameters: &Parameters, _: usize) -> Result<Box<dyn Updating>> {
        let start = copies(parameters)?;
        let masks = start.iter().map(|(n, t)| Ok((n.clone(), trains(t, self.0)?))).collect::<Result<_>>()?;
        Ok(Box::new(Working { start, masks }))
    }
}

struct Working {
    start: Tensors,
    masks: Tensors,
}

impl Updating for Working {
    fn after(&mut self, _: usize, parameters: &Parameters, _: &GradStore) -> Result<()> {
        for (name, var) in parameters {
            let (mask, start) = (&self.masks[name], &self.start[name]);
            var.set(&(((1.0 - mask)? * start)? + (mask * var.as_tensor().detach())?)?)?;
        }
        Ok(())
    }

    fn state(&self) -> Tensors {
        let mut state = under("start", &self.start);
        state.extend(under("mask", &self.masks));
        state
    }

    fn restore(&mut self, state: &Tensors) {
        (self.start, self.masks) = (of("start", state), of("mask", state));
    }
}
