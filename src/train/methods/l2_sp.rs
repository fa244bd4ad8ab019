//! Full fine-tuning held to its start: the loss plus `penalty` times the sum over all trained values of the
//! squared distance to the pretrained ones (L2-SP, Li et al. 2018, arXiv:1802.01483, without its separate term for
//! new layers: the head starts as the zero-shot head and is held to it as well).

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use super::full::Full;
use crate::base::registry::Named;
use crate::catalog::Catalog;
use crate::train::{Method, Objective, Recipe, StepOutcome, TrainError, TunedModel};

/// The method.
pub(super) struct L2Sp;

impl Named for L2Sp {
    fn name(&self) -> &'static str {
        "l2-sp"
    }
    fn summary(&self) -> &'static str {
        "full, plus `penalty` times the summed squared distance to the pretrained weights"
    }
    fn reference(&self) -> &'static str {
        "arXiv:1802.01483"
    }
}

impl Method for L2Sp {
    fn prepare(&self, recipe: &Recipe, catalog: &Catalog) -> Result<Box<dyn Objective>, TrainError> {
        let penalty =
            recipe.penalty.ok_or_else(|| recipe.mistake("this method needs `penalty` in `[train]`"))?;
        let inner = Full.objective(recipe, catalog)?;
        let start = |(name, var): (&String, &Var)| Ok((name.clone(), var.as_tensor().detach().copy()?));
        let start = inner.parameters().iter().map(start).collect::<Result<_, TrainError>>()?;
        Ok(Box::new(Held { inner, start, penalty }))
    }
}

/// An objective with the penalty on top.
struct Held {
    inner: Box<dyn Objective>,
    start: BTreeMap<String, Tensor>,
    penalty: f64,
}

impl Objective for Held {
    fn parameters(&self) -> &BTreeMap<String, Var> {
        self.inner.parameters()
    }

    fn step(&self, step: usize) -> Result<StepOutcome, TrainError> {
        let mut outcome = self.inner.step(step)?;
        for (name, var) in self.parameters() {
            let distance = (var.as_tensor().detach() - &self.start[name])?;
            outcome.loss += self.penalty * f64::from(distance.sqr()?.sum_all()?.to_scalar::<f32>()?);
            let pull = (distance * (2.0 * self.penalty))?;
            let total = match outcome.gradients.remove(var.as_tensor()) {
                Some(gradient) => (gradient + pull)?,
                None => pull,
            };
            outcome.gradients.insert(var.as_tensor(), total);
        }
        Ok(outcome)
    }

    fn finish(&self) -> Result<TunedModel, TrainError> {
        self.inner.finish()
    }
}
