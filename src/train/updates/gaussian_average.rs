//! The mean of the values along training, weighed by a normal density over steps: PromptSRC's aggregation of prompts.

use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor};

use crate::base::config::Section;
use crate::base::registry::Named;
use crate::checkpoint::Tensors;
use crate::train::outputs::Parameters;
use crate::train::parts::{Update, UpdateKind, Updating};
use crate::train::resume::{of, under};

/// The kind.
pub(super) struct GaussianAverageKind;

impl Named for GaussianAverageKind {
    fn name(&self) -> &'static str {
        "gaussian-average"
    }
    fn summary(&self) -> &'static str {
        "the result is the mean of what trains after every `average_every`-th step (1), weighed by a normal density with mean \
         `average_at` (0.75) and deviation `average_width` (0.05), shares of all steps: 15 and 1 of 20 epochs"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2307.06948, section 3.2; muzairkhattak/PromptSRC, `trainers/promptsrc.py`"
    }
}

impl UpdateKind for GaussianAverageKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Update> {
        let share = |key, range, usual| section.number_in(key, range).map_or(usual, |n| n.value);
        Arc::new(GaussianAverage {
            every: section.count("average_every").map_or(1, |c| c.value.max(1) as usize),
            at: share("average_at", 0.0..=1.0, 0.75),
            width: share("average_width", 1e-3..=1e3, 0.05),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct GaussianAverage {
    every: usize,
    at: f64,
    width: f64,
}

impl GaussianAverage {
    /// Weight of what is there after a step of so many, counted from 1, up to a factor.
    fn weight(&self, step: usize, steps: usize) -> f64 {
        if !step.is_multiple_of(self.every) {
            return 0.0;
        }
        let place = step as f64 / steps.max(1) as f64;
        (-0.5 * ((place - self.at) / self.width).powi(2)).exp()
    }
}

impl Update for GaussianAverage {
    fn prepare(&self, _: &Parameters, steps: usize) -> Result<Box<dyn Updating>> {
        Ok(Box::new(Working { weights: *self, steps, mean: Tensors::new(), total: 0.0 }))
    }
}

struct Working {
    weights: GaussianAverage,
    steps: usize,
    mean: Tensors,
    /// Sum of the weights so far, a number that survives being written down.
    total: f32,
}

const TOTAL: &str = "total";

impl Updating for Working {
    fn after(&mut self, step: usize, parameters: &Parameters, _: &GradStore) -> Result<()> {
        let weight = self.weights.weight(step, self.steps);
        let total = (f64::from(self.total) + weight) as f32;
        if weight == 0.0 || total == 0.0 {
            return Ok(());
        }
        for (name, var) in parameters {
            let now = var.as_tensor().copy()?;
            let mean = match self.mean.get(name) {
                Some(mean) => (mean + ((now - mean)? * (weight / f64::from(total)))?)?,
                None => now,
            };
            self.mean.insert(name.clone(), mean);
        }
        self.total = total;
        Ok(())
    }

    fn finish(&mut self, parameters: &Parameters) -> Result<()> {
        for (name, var) in parameters {
            if let Some(mean) = self.mean.get(name) {
                var.set(mean)?;
            }
        }
        Ok(())
    }

    fn state(&self) -> Tensors {
        let mut state = under("mean", &self.mean);
        if let Ok(total) = Tensor::new(self.total, &Device::Cpu) {
            state.insert(TOTAL.to_owned(), total);
        }
        state
    }

    fn restore(&mut self, state: &Tensors) {
        self.mean = of("mean", state);
        self.total = state.get(TOTAL).and_then(|t| t.to_scalar().ok()).unwrap_or(0.0);
    }
}
