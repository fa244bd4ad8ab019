//! Numbers from stored predictions. Knows no model and no device.
//!
//! A metric turns predictions into a [`Form`]: per-example parts and how they are joined. The same
//! parts give the value, and a bootstrap replicate when each example counts as often as it was drawn.

mod metrics;

pub use metrics::METRICS;

use std::collections::BTreeMap;

use crate::base::registry::Named;
use crate::stats::Form;
use crate::task::Task;

/// Columns of one cell's predictions that metrics read; all of one length.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// True class of each example.
    pub label: Vec<u32>,
    /// Class with the largest logit.
    pub prediction: Vec<u32>,
    /// Whether the label is among the five largest logits.
    pub in_top5: Vec<bool>,
    /// Negative log-likelihood of the label.
    pub loss: Vec<f32>,
    /// Probability of the predicted class.
    pub confidence: Vec<f64>,
    /// Number of classes of the head.
    pub classes: usize,
    /// Numbers that the task keeps of each example, by name.
    pub numbers: BTreeMap<String, Vec<f64>>,
}

impl Columns {
    /// Number of examples.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.label.len()
    }

    /// Whether there is no example.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.label.is_empty()
    }

    /// Whether example `i` is classified correctly.
    #[must_use]
    pub fn correct(&self, i: usize) -> bool {
        self.label[i] == self.prediction[i]
    }
}

/// What a metric's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A fraction, shown in percent.
    Fraction,
    /// Natural units of information.
    Nats,
    /// A plain number.
    Number,
}

/// A metric.
pub trait Metric: Named + Sync {
    /// What its values are.
    fn unit(&self) -> Unit {
        Unit::Fraction
    }

    /// Whether it can be computed from what a task asks, or why not; asked when the plan is made.
    fn fits(&self, _task: &dyn Task) -> Result<(), String> {
        Ok(())
    }

    /// Whether larger is better.
    fn higher_is_better(&self) -> bool {
        true
    }

    /// Whether it is a mean of hits and misses, as racing needs.
    fn is_of_hits(&self) -> bool {
        false
    }

    /// How the value comes about; `None` where it is not defined (no example, too few classes).
    fn form(&self, columns: &Columns) -> Option<Form>;
}
