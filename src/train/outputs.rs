//! What a model gives for a batch, and what can be asked of it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use candle_core::{Result, Tensor, Var};

/// Trained values by name.
pub type Parameters = BTreeMap<String, Var>;

/// What a model gives for some examples.
pub struct Outputs {
    /// `[rows, classes]` or `[rows, vocabulary]`.
    pub logits: Tensor,
    /// Features `[rows, width]` of unit norm, where the model has them.
    pub features: Option<Tensor>,
    /// Rows of the head `[classes, width]` before they are normalised, where the model has them.
    pub classes: Option<Tensor>,
    /// Rows like `classes`, of the fine-tuned context that training started from.
    pub tuned: Option<Tensor>,
    /// Multiplies cosines in logits.
    pub scale: f64,
    /// The right output of each row.
    pub targets: Tensor,
}

/// A term on outputs.
pub trait OutputTerm: Debug + Send + Sync {
    /// Name for logs.
    fn name(&self) -> &'static str;

    /// Its value on some rows of a batch, to be summed over the parts of the batch and divided by its rows; the factor is
    /// in it.
    fn sum(&self, student: &Outputs, teacher: &Outputs) -> Result<Tensor>;

    /// Whether it is about the head and not about rows: then it counts once a step, and is not divided.
    fn once(&self) -> bool {
        false
    }
}
