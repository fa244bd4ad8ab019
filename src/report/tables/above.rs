//! Whose curve dominates more than whose, with what probability.

use super::{Grid, TableSpec};
use crate::base::registry::Named;
use crate::report::ReportData;

/// The table.
pub(super) struct Above;

impl Named for Above {
    fn name(&self) -> &'static str {
        "above"
    }
    fn summary(&self) -> &'static str {
        "for each two ways of fine-tuning, the probability that one's area is larger, and that its curve lies above"
    }
    fn reference(&self) -> &'static str {
        "paired bootstrap over examples; set dominance: Zitzler et al. 2003"
    }
}

impl TableSpec for Above {
    fn build(&self, data: &ReportData) -> Option<Grid> {
        let report = data.frontier.methods.as_ref()?;
        let names = report.methods.iter().map(|m| m.method.clone());
        let cell = |larger: Option<f64>, above: Option<f64>| match (larger, above) {
            (Some(larger), Some(above)) => format!("{larger:.2} ({above:.2})"),
            _ => "-".to_owned(),
        };
        let row = |m: &crate::report::MethodReport| {
            let cells = m.larger.iter().zip(&m.above).map(|(l, a)| cell(*l, *a));
            std::iter::once(m.method.clone()).chain(cells).collect()
        };
        Some(Grid {
            title: "Whose curve dominates more".to_owned(),
            headers: std::iter::once("method".to_owned()).chain(names).collect(),
            rows: report.methods.iter().map(row).collect(),
            notes: vec![
                "Probability that the row's area is larger than the column's; in brackets, that its mean curve lies above \
                 the column's everywhere."
                    .to_owned(),
            ],
        })
    }
}
