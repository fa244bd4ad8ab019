//! Cross-entropy.

use crate::base::registry::Named;
use crate::metric::{Columns, Metric, Unit};
use crate::stats::Form;

/// The metric.
pub(super) struct Loss;

impl Named for Loss {
    fn name(&self) -> &'static str {
        "loss"
    }
    fn summary(&self) -> &'static str {
        "mean negative log-likelihood of the label, in nats; lower is better"
    }
    fn reference(&self) -> &'static str {
        "torch cross_entropy"
    }
}

impl Metric for Loss {
    fn unit(&self) -> Unit {
        Unit::Nats
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn form(&self, columns: &Columns) -> Option<Form> {
        let defined = !columns.is_empty();
        defined.then(|| Form::Mean(columns.loss.iter().map(|&loss| f64::from(loss)).collect()))
    }
}
