//! The mean of the weights along training: stochastic moving average.

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
pub(super) struct AverageKind;

impl Named for AverageKind {
    fn name(&self) -> &'static str {
        "average"
    }
    fn summary(&self) -> &'static str {
        "the result is the mean of the weights after every step from `from_step` (1) on"
    }
    fn reference(&self) -> &'static str {
        "stochastic moving average: arXiv:2309.06256, section 4.1; arXiv:2110.10832"
    }
}

impl UpdateKind for AverageKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Update> {
        Arc::new(Average { from_step: section.count("from_step").map_or(1, |c| c.value as usize) })
    }
}

#[derive(Debug)]
struct Average {
    from_step: usize,
}

impl Update for Average {
    fn prepare(&self, _: &Parameters, _: usize) -> Result<Box<dyn Updating>> {
        Ok(Box::new(Working { from_step: self.from_step, mean: Tensors::new(), count: 0 }))
    }
}

struct Working {
    from_step: usize,
    mean: Tensors,
    count: usize,
}

const COUNT: &str = "count";

impl Updating for Working {
    fn after(&mut self, step: usize, parameters: &Parameters, _: &GradStore) -> Result<()> {
        if step < self.from_step {
            return Ok(());
        }
        self.count += 1;
        for (name, var) in parameters {
            let now = var.as_tensor().copy()?;
            let mean = match self.mean.get(name) {
                Some(mean) => (mean + ((now - mean)? / self.count as f64)?)?,
                None => now,
            };
            self.mean.insert(name.clone(), mean);
        }
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
        if let Ok(count) = Tensor::new(self.count as f32, &Device::Cpu) {
            state.insert(COUNT.to_owned(), count);
        }
        state
    }

    fn restore(&mut self, state: &Tensors) {
        self.mean = of("mean", state);
        let count = state.get(COUNT).and_then(|t| t.to_scalar::<f32>().ok());
        self.count = count.unwrap_or(0.0) as usize;
    }
}
