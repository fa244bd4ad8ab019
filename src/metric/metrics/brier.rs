//! Brier score of the predicted class.

use crate::base::registry::Named;
use crate::metric::{Columns, Metric};
use crate::stats::Form;

/// The metric.
pub(super) struct Brier;

impl Named for Brier {
    fn name(&self) -> &'static str {
        "brier"
    }
    fn summary(&self) -> &'static str {
        "mean squared distance of the top class's probability from whether it is right"
    }
    fn reference(&self) -> &'static str {
        "Brier 1950, of the predicted class alone"
    }
}

impl Metric for Brier {
    fn higher_is_better(&self) -> bool {
        false
    }

    fn form(&self, columns: &Columns) -> Option<Form> {
        (!columns.is_empty()).then(|| {
            Form::Mean(
                (0..columns.len())
                    .map(|i| (columns.confidence[i] - f64::from(columns.correct(i))).powi(2))
                    .collect(),
            )
        })
    }
}
