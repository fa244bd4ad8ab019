//! What a method is made of: what trains, what is added to the loss, what happens after a step.
//!
//! Each part is one file and one line in its registry. It reads its own keys from the recipe, and is told of the model by
//! name alone, so that it works on every track for which it means something.

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};

use super::TrainError;
use super::outputs::{OutputTerm, Parameters};
use super::problem::Problem;
use crate::base::config::Section;
use crate::base::registry::Named;
use crate::checkpoint::Tensors;

/// A way to choose what trains.
pub trait TrainsKind: Named + Sync {
    /// Reads its keys.
    fn read(&self, section: &Section<'_>) -> Arc<dyn Trains>;
}

/// What trains, with its settings.
pub trait Trains: Debug + Send + Sync {
    /// Makes the trained values of a model.
    fn prepare(&self, problem: &dyn Problem, seed: u64) -> std::result::Result<Box<dyn Trained>, TrainError>;
}

/// Values under training, and the weights that follow from them.
pub trait Trained: Send + Sync {
    /// The trained values.
    fn parameters(&self) -> &Parameters;

    /// All weights, under gradient where they are trained.
    fn weights(&self, start: &Tensors) -> Result<Tensors>;

    /// `adapter_config.json`, if the values are an adapter's that can be written as such.
    fn adapter(&self) -> Option<serde_json::Value> {
        None
    }

    /// What is written alone, to lie over the checkpoint that was tuned, if that is enough.
    fn part(&self) -> Option<Tensors> {
        None
    }

    /// Whether each value is a weight of the model under its own name, so that it has a distance to the start.
    fn are_weights(&self) -> bool {
        true
    }
}

/// Something that can be added to the loss.
pub trait TermKind: Named + Sync {
    /// Reads its keys; notes what is missing.
    fn read(&self, section: &Section<'_>) -> Option<Term>;
}

/// A term of the loss, with its settings.
#[derive(Clone, Debug)]
pub enum Term {
    /// On the distance of the trained weights to the start.
    Weights(Arc<dyn WeightTerm>),
    /// On what the model gives for the batch.
    Outputs(Arc<dyn OutputTerm>),
    /// The loss itself on the way from another checkpoint.
    Path(PathTerm),
    /// The loss taken elsewhere: at a place between the start and the model.
    Drawn(DrawnPlace),
}

/// A penalty on weights, with its gradient.
pub trait WeightTerm: Debug + Send + Sync {
    /// Name for logs.
    fn name(&self) -> &'static str;

    /// The factor, and whether it is on the mean over all trained values instead of their sum.
    fn strength(&self) -> Strength;

    /// Examples whose gradients say how much each weight matters, if it needs that.
    fn fisher(&self) -> Option<usize> {
        None
    }

    /// The sum over the values of one tensor, and its gradient. `importance` is there if it was asked for.
    fn of(&self, weight: &Tensor, start: &Tensor, importance: Option<&Tensor>) -> Result<(f64, Tensor)>;
}

/// The factor of a penalty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strength {
    /// The factor.
    pub factor: f64,
    /// On the mean over all trained values; on the sum otherwise.
    pub mean: bool,
}

impl Strength {
    /// Reads `penalty` and `reduction`.
    pub(super) fn read(section: &Section<'_>, what: &str) -> Option<Self> {
        let mean = section.choice("reduction", &[("sum", false), ("mean", true)]).is_some_and(|c| c.value);
        let factor = factor(section, "penalty", what)?;
        Some(Self { factor, mean })
    }

    /// The factor on the sum over `n` values.
    #[must_use]
    pub fn on_sum(self, n: usize) -> f64 {
        if self.mean { self.factor / n.max(1) as f64 } else { self.factor }
    }

    /// "0.01 on the sum over 1000 values, which is 10 on their mean".
    #[must_use]
    pub fn text(self, n: usize) -> String {
        let (sum, mean) = (self.on_sum(n), self.on_sum(n) * n as f64);
        if self.mean {
            format!("{mean} on the mean over {n} values, which is {sum:.4e} on their sum")
        } else {
            format!("{sum} on the sum over {n} values, which is {mean:.4e} on their mean")
        }
    }
}

/// A factor that must be given.
pub(super) fn factor(section: &Section<'_>, key: &'static str, what: &str) -> Option<f64> {
    let found = section.number_in(key, 0.0..=1e12);
    if found.is_none() && !section.has(key) {
        section.note(section.span.clone(), format!("`{what}` needs `{key}`"), None);
    }
    found.map(|f| f.value)
}

/// The loss on the straight way from a fine-tuned checkpoint to the trained weights, in `points` even steps.
#[derive(Clone, Debug, PartialEq)]
pub struct PathTerm {
    /// Its factor.
    pub factor: f64,
    /// Steps.
    pub points: usize,
}

/// A place between the start (0) and the trained weights (1), drawn anew each step.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawnPlace {
    /// The smallest.
    pub from: f64,
    /// The largest.
    pub to: f64,
}

/// Something that happens to the trained values after each step of the optimiser.
pub trait UpdateKind: Named + Sync {
    /// Reads its keys.
    fn read(&self, section: &Section<'_>) -> Arc<dyn Update>;
}

/// An update, with its settings.
pub trait Update: Debug + Send + Sync {
    /// Looks at the start of a training of so many steps.
    fn prepare(&self, parameters: &Parameters, steps: usize) -> Result<Box<dyn Updating>>;
}

/// How a model does on examples that it does not learn from: means over batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// Loss of the task.
    pub loss: f64,
    /// Share that is right.
    pub accuracy: f64,
}

/// An update at work.
pub trait Updating: Send {
    /// After a step, counted from 1, with the gradients that the optimiser saw.
    fn after(&mut self, _step: usize, _parameters: &Parameters, _gradients: &GradStore) -> Result<()> {
        Ok(())
    }

    /// After how many steps each it wants to know how the model does on the data of `[validation]`, if it does.
    fn watches(&self) -> Option<usize> {
        None
    }

    /// How the model does there, whenever [`Updating::watches`] asked for it, and after the last step.
    fn watched(&mut self, _held: Held, _parameters: &Parameters) -> Result<()> {
        Ok(())
    }

    /// Whether training ends here.
    fn is_done(&self) -> bool {
        false
    }

    /// At the end.
    fn finish(&mut self, _parameters: &Parameters) -> Result<()> {
        Ok(())
    }

    /// What it carries from step to step, for resuming.
    fn state(&self) -> Tensors {
        Tensors::new()
    }

    /// Goes on from what [`Updating::state`] gave.
    fn restore(&mut self, _state: &Tensors) {}
}
