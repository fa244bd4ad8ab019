//! Top-1 accuracy.

use crate::base::registry::Named;
use crate::metric::{Columns, Metric};
use crate::stats::Form;

/// The metric.
pub(super) struct Top1;

impl Named for Top1 {
    fn name(&self) -> &'static str {
        "top1"
    }
    fn summary(&self) -> &'static str {
        "share of examples whose largest logit is the label's"
    }
    fn reference(&self) -> &'static str {
        "torchvision accuracy(topk=1); CLIP_benchmark acc1"
    }
}

impl Metric for Top1 {
    fn is_of_hits(&self) -> bool {
        true
    }

    fn form(&self, columns: &Columns) -> Option<Form> {
        let hit = |i| f64::from(columns.correct(i));
        (!columns.is_empty()).then(|| Form::Mean((0..columns.len()).map(hit).collect()))
    }
}
