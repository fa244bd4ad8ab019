//! Early stopping: the result is the model that did best on examples that are watched and not learned from.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

use crate::base::config::Section;
use crate::base::registry::Named;
use crate::checkpoint::Tensors;
use crate::train::outputs::Parameters;
use crate::train::parts::{Held, Update, UpdateKind, Updating};
use crate::train::resume::{copies, of, under};

/// The kind.
pub(super) struct EarlyStopKind;

impl Named for EarlyStopKind {
    fn name(&self) -> &'static str {
        "early-stop"
    }
    fn summary(&self) -> &'static str {
        "the result is the model that is best `by` (loss, accuracy) on the data of `[validation]`, looked at `every` (10) \
         steps; training ends after `patience` looks that are no better"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2309.06256, section 4.1; `best_val` of KaiyangZhou/CoOp"
    }
}

impl UpdateKind for EarlyStopKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Update> {
        let ways = [("loss", By::Loss), ("accuracy", By::Accuracy)];
        Arc::new(EarlyStop {
            by: section.choice("by", &ways).map_or(By::Loss, |c| c.value),
            every: section.count("every").map_or(10, |c| c.value.max(1) as usize),
            patience: section.count("patience").map(|c| c.value.max(1) as usize),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Loss,
    Accuracy,
}

#[derive(Clone, Debug)]
struct EarlyStop {
    by: By,
    every: usize,
    patience: Option<usize>,
}

impl Update for EarlyStop {
    fn prepare(&self, _: &Parameters, _: usize) -> Result<Box<dyn Updating>> {
        Ok(Box::new(Working { settings: self.clone(), best: f64::INFINITY, since: 0, kept: Tensors::new() }))
    }
}

struct Working {
    settings: EarlyStop,
    /// The smallest so far: the loss, or one less the accuracy.
    best: f64,
    /// Looks since then.
    since: usize,
    kept: Tensors,
}

const COUNTS: &str = "counts";

impl Updating for Working {
    fn watches(&self) -> Option<usize> {
        Some(self.settings.every)
    }

    fn watched(&mut self, held: Held, parameters: &Parameters) -> Result<()> {
        let now = match self.settings.by {
            By::Loss => held.loss,
            By::Accuracy => 1.0 - held.accuracy,
        };
        if now < self.best {
            (self.best, self.since, self.kept) = (now, 0, copies(parameters)?);
        } else {
            self.since += 1;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.settings.patience.is_some_and(|patience| self.since >= patience)
    }

    fn finish(&mut self, parameters: &Parameters) -> Result<()> {
        for (name, var) in parameters {
            if let Some(kept) = self.kept.get(name) {
                var.set(kept)?;
            }
        }
        Ok(())
    }

    fn state(&self) -> Tensors {
        let mut state = under("kept", &self.kept);
        // The bits of the best, in two parts that f32 holds exactly, and the count.
        let bits = self.best.to_bits();
        let parts = [16, 32, 48, 64].map(|end| ((bits >> (end - 16)) & 0xffff) as f32);
        let counts = [&parts[..], &[self.since as f32]].concat();
        if let Ok(counts) = Tensor::new(counts, &Device::Cpu) {
            state.insert(COUNTS.to_owned(), counts);
        }
        state
    }

    fn restore(&mut self, state: &Tensors) {
        self.kept = of("kept", state);
        let counts = state.get(COUNTS).and_then(|t| t.to_vec1::<f32>().ok());
        if let Some([a, b, c, d, since]) = counts.as_deref() {
            let bits = [a, b, c, d].iter().rev().fold(0u64, |bits, part| (bits << 16) | **part as u64);
            (self.best, self.since) = (f64::from_bits(bits), *since as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Var;

    #[test]
    fn the_best_is_kept_and_patience_ends() {
        let parameters = Parameters::from([("w".to_owned(), Var::new(&[0.0f32], &Device::Cpu).unwrap())]);
        let settings = EarlyStop { by: By::Loss, every: 1, patience: Some(2) };
        let mut working = settings.prepare(&parameters, 10).unwrap();
        for (i, loss) in [3.0, 1.0 / 3.0, 2.0].into_iter().enumerate() {
            parameters["w"].set(&Tensor::new(&[i as f32], &Device::Cpu).unwrap()).unwrap();
            working.watched(Held { loss, accuracy: 0.0 }, &parameters).unwrap();
            assert!(!working.is_done());
        }
        // Another that goes on from its state ends in the same way.
        let mut other = settings.prepare(&parameters, 10).unwrap();
        other.restore(&working.state());
        for working in [&mut working, &mut other] {
            working.watched(Held { loss: 1.0 / 3.0, accuracy: 0.0 }, &parameters).unwrap();
            assert!(working.is_done());
            working.finish(&parameters).unwrap();
            assert_eq!(parameters["w"].to_vec1::<f32>().unwrap(), [1.0]);
        }
    }
}
