//! Optimisers whose state can be written down, so that training goes on where it stopped.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};

use super::outputs::Parameters;
use super::resume::{of, under};
use crate::checkpoint::Tensors;

/// An optimiser, with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimiser {
    /// AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) as PyTorch computes it; betas 0.9 and 0.999, epsilon 1e-8.
    AdamW,
    /// Stochastic gradient descent with momentum and coupled weight decay, as PyTorch computes it.
    Sgd {
        /// Momentum, without dampening.
        momentum: f64,
    },
}

/// Names used in recipes.
pub const OPTIMISERS: [(&str, Optimiser); 2] =
    [("adamw", Optimiser::AdamW), ("sgd", Optimiser::Sgd { momentum: 0.9 })];

const BETAS: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-8;

/// An optimiser at work.
pub struct Optimising {
    kind: Optimiser,
    /// Weight decay by parameter.
    decay: BTreeMap<String, f64>,
    first: Tensors,
    second: Tensors,
    steps: usize,
}

impl Optimising {
    /// One for these parameters.
    #[must_use]
    pub fn new(kind: Optimiser, decay: BTreeMap<String, f64>) -> Self {
        Self { kind, decay, first: Tensors::new(), second: Tensors::new(), steps: 0 }
    }

    /// One step, with a learning rate by name; a parameter without a gradient stays.
    pub fn step(
        &mut self,
        parameters: &Parameters,
        gradients: &GradStore,
        rate: &dyn Fn(&str) -> f64,
    ) -> Result<()> {
        self.steps += 1;
        for (name, var) in parameters {
            let Some(gradient) = gradients.get(var.as_tensor()) else { continue };
            let lr = rate(name);
            let gradient = gradient.detach();
            let weight = var.as_tensor().detach();
            let decay = self.decay.get(name).copied().unwrap_or(0.0);
            let next = match self.kind {
                Optimiser::AdamW => self.adam(name, &weight, &gradient, decay, lr)?,
                Optimiser::Sgd { momentum } => {
                    let gradient = if decay == 0.0 { gradient } else { (gradient + (&weight * decay)?)? };
                    let velocity = match self.first.get(name) {
                        Some(velocity) => ((velocity * momentum)? + gradient)?,
                        None => gradient,
                    };
                    let next = (weight - (&velocity * lr)?)?;
                    self.first.insert(name.clone(), velocity);
                    next
                }
            };
            var.set(&next)?;
        }
        Ok(())
    }

    fn adam(
        &mut self,
        name: &str,
        weight: &Tensor,
        gradient: &Tensor,
        decay: f64,
        lr: f64,
    ) -> Result<Tensor> {
        let mix = |old: Option<&Tensor>, new: Tensor, beta: f64| -> Result<Tensor> {
            let new = (new * (1.0 - beta))?;
            match old {
                Some(old) => (old * beta)? + new,
                None => Ok(new),
            }
        };
        let first = mix(self.first.get(name), gradient.clone(), BETAS.0)?;
        let second = mix(self.second.get(name), gradient.sqr()?, BETAS.1)?;
        let n = self.steps as i32;
        let (a, b) = (1.0 - BETAS.0.powi(n), 1.0 - BETAS.1.powi(n));
        let size = ((second.sqrt()? / b.sqrt())? + EPSILON)?;
        let step = ((&first / size)? * (lr / a))?;
        self.first.insert(name.to_owned(), first);
        self.second.insert(name.to_owned(), second);
        (weight * (1.0 - lr * decay))? - step
    }

    /// What it carries from step to step.
    #[must_use]
    pub fn state(&self) -> Tensors {
        let mut all = under("first", &self.first);
        all.extend(under("second", &self.second));
        all
    }

    /// Goes on from [`Optimising::state`] after so many steps.
    pub fn restore(&mut self, state: &Tensors, steps: usize) {
        (self.first, self.second, self.steps) = (of("first", state), of("second", state), steps);
    }
}
