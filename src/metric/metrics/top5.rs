//! Top-5 accuracy.

use crate::base::registry::Named;
use crate::metric::{Columns, Metric};
use crate::stats::Form;
use crate::task::Task;

/// The metric.
pub(super) struct Top5;

impl Named for Top5 {
    fn name(&self) -> &'static str {
        "top5"
    }
    fn summary(&self) -> &'static str {
        "share of examples whose label is among the five largest logits; needs five classes"
    }
    fn reference(&self) -> &'static str {
        "torchvision accuracy(topk=5); CLIP_benchmark acc5"
    }
}

impl Metric for Top5 {
    fn is_of_hits(&self) -> bool {
        true
    }

    fn fits(&self, task: &dyn Task) -> Result<(), String> {
        match task.outputs().len() {
            n if n < 5 => Err(format!("there are only {n} classes")),
            _ => Ok(()),
        }
    }

    fn form(&self, columns: &Columns) -> Option<Form> {
        let defined = !columns.is_empty() && columns.classes >= 5;
        defined.then(|| Form::Mean(columns.in_top5.iter().map(|&hit| f64::from(hit)).collect()))
    }
}
