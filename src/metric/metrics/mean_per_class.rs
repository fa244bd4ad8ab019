//! Mean per-class recall.

use crate::base::registry::Named;
use crate::metric::{Columns, Metric};
use crate::stats::Form;

/// The metric.
pub(super) struct MeanPerClass;

impl Named for MeanPerClass {
    fn name(&self) -> &'static str {
        "mean-per-class"
    }
    fn summary(&self) -> &'static str {
        "mean over classes of the recall within the class (balanced accuracy)"
    }
    fn reference(&self) -> &'static str {
        "sklearn balanced_accuracy_score; CLIP_benchmark mean_per_class_recall"
    }
}

impl Metric for MeanPerClass {
    fn form(&self, columns: &Columns) -> Option<Form> {
        let hit = |i| f64::from(columns.correct(i));
        (!columns.is_empty()).then(|| Form::MacroMean {
            values: (0..columns.len()).map(hit).collect(),
            groups: columns.label.clone(),
        })
    }
}
