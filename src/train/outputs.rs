//! What a model gives for a batch, and what can be asked of it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use candle_core::{D, DType, Result, Tensor, Var};
use candle_nn::ops::log_softmax;

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
    /// Of each row the features of its class's caption, `[rows, width]` of unit norm, where the model has them.
    pub captions: Option<Tensor>,
    /// Rows like `classes`, of the fine-tuned context that training started from.
    pub tuned: Option<Tensor>,
    /// Multiplies cosines in logits.
    pub scale: f64,
    /// The right output of each row.
    pub targets: Tensor,
}

/// KL(p || q) in nats of the distributions that logits `[rows, n]` stand for, value by value: summed over the last axis it is that of
/// each row.
pub fn kl(p: &Tensor, q: &Tensor) -> Result<Tensor> {
    let (p, q) = (log_softmax(p, D::Minus1)?, log_softmax(q, D::Minus1)?);
    p.exp()? * (p - q)?
}

/// Sum over rows of KL(before || after), computed in f64.
pub fn divergence(before: &Tensor, after: &Tensor) -> Result<f64> {
    kl(&before.to_dtype(DType::F64)?, &after.to_dtype(DType::F64)?)?.sum_all()?.to_scalar()
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
