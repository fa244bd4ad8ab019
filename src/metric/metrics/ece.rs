//! Expected calibration error.

use crate::base::registry::Named;
use crate::metric::{Columns, Metric};
use crate::stats::Form;

/// The metric.
pub(super) struct Ece;

impl Named for Ece {
    fn name(&self) -> &'static str {
        "ece"
    }
    fn summary(&self) -> &'static str {
        "expected calibration error over 15 equal bins of the predicted class's probability"
    }
    fn reference(&self) -> &'static str {
        "Guo et al. 2017, arXiv:1706.04599"
    }
}

impl Metric for Ece {
    fn higher_is_better(&self) -> bool {
        false
    }

    fn form(&self, columns: &Columns) -> Option<Form> {
        (!columns.is_empty()).then(|| Form::Calibration {
            confidence: columns.confidence.clone(),
            correct: (0..columns.len()).map(|i| f64::from(columns.correct(i))).collect(),
        })
    }
}
