//! Means of what trains along training: stochastic moving average, and PromptSRC's aggregation with weights of a normal density.

use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor};

use crate::base::config::Section;
use crate::base::registry::named_by_fields;
use crate::checkpoint::Tensors;
use crate::train::outputs::Parameters;
use crate::train::parts::{Update, UpdateKind, Updating};
use crate::train::resume::{of, under};

/// A kind of mean.
pub(super) struct AverageKind {
    name: &'static str,
    summary: &'static str,
    reference: &'static str,
    gaussian: bool,
}

/// All alike from some step on.
pub(super) static AVERAGE: AverageKind = AverageKind {
    name: "average",
    summary: "the result is the mean of the weights after every step from `from_step` (1) on",
    reference: "stochastic moving average: arXiv:2309.06256, section 4.1; arXiv:2110.10832",
    gaussian: false,
};
/// Weighed by a normal density over steps.
pub(super) static GAUSSIAN: AverageKind = AverageKind {
    name: "gaussian-average",
    summary: "the result is the mean of what trains after every `average_every`-th step (1), weighed by a normal density with mean \
              `average_at` (0.75) and deviation `average_width` (0.05), shares of all steps: 15 and 1 of 20 epochs",
    reference: "arXiv:2307.06948, section 3.2; muzairkhattak/PromptSRC, `trainers/promptsrc.py`",
    gaussian: true,
};

named_by_fields!(AverageKind);

impl UpdateKind for AverageKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Update> {
        if !self.gaussian {
            let first = section.count("from_step").map_or(1, |c| c.value as usize);
            return Arc::new(Weighing::From(first));
        }
        let share = |key, range, usual| section.number_in(key, range).map_or(usual, |n| n.value);
        Arc::new(Weighing::Gaussian {
            every: section.count("average_every").map_or(1, |c| c.value.max(1) as usize),
            at: share("average_at", 0.0..=1.0, 0.75),
            width: share("average_width", 1e-3..=1e3, 0.05),
        })
    }
}

/// How much each step counts.
#[derive(Clone, Copy, Debug)]
enum Weighing {
    From(usize),
    Gaussian { every: usize, at: f64, width: f64 },
}

impl Weighing {
    /// Weight of what is there after a step of so many, counted from 1, up to a factor.
    fn weight(self, step: usize, steps: usize) -> f64 {
        match self {
            Self::From(first) if step >= first => 1.0,
            Self::Gaussian { every, at, width } if step.is_multiple_of(every) => {
                let place = step as f64 / steps.max(1) as f64;
                (-0.5 * ((place - at) / width).powi(2)).exp()
            }
            _ => 0.0,
        }
    }
}

impl Update for Weighing {
    fn prepare(&self, _: &Parameters, steps: usize) -> Result<Box<dyn Updating>> {
        Ok(Box::new(Working { weighing: *self, steps, mean: Tensors::new(), total: 0.0 }))
    }
}

struct Working {
    weighing: Weighing,
    steps: usize,
    mean: Tensors,
    /// Sum of the weights so far, a number that survives being written down.
    total: f32,
}

const TOTAL: &str = "total";

impl Updating for Working {
    fn after(&mut self, step: usize, parameters: &Parameters, _: &GradStore) -> Result<()> {
        let weight = self.weighing.weight(step, self.steps);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_steps() {
        let sma = Weighing::From(4);
        assert_eq!([3, 4, 10].map(|step| sma.weight(step, 10)), [0.0, 1.0, 1.0]);
        let gaussian = Weighing::Gaussian { every: 2, at: 0.5, width: 0.1 };
        assert_eq!(gaussian.weight(5, 10), 0.0);
        // Two deviations away, on either side.
        assert!((gaussian.weight(6, 20) - (-2.0f64).exp()).abs() < 1e-12);
        assert!((gaussian.weight(14, 20) - (-2.0f64).exp()).abs() < 1e-12);
        assert_eq!(gaussian.weight(10, 20), 1.0);
    }
}
