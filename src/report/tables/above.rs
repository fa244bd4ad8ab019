//! Whose curve dominates more than whose, with what probability.

use super::{Cell, Column, Number, NumberTable, Row, Show, TableSpec};
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
    fn build(&self, data: &ReportData) -> Option<NumberTable> {
        let report = data.frontier.methods.as_ref()?;
        let column = |m: &crate::report::MethodReport| Column {
            second: Some(format!("above everywhere: {}", m.method)),
            ..Column::new(m.method.clone())
        };
        let number = |p: f64| Number::new(p, Show::Digits(2));
        let cell = |larger: Option<f64>, above: Option<f64>| match (larger, above) {
            (Some(larger), Some(above)) => Cell::Two(number(larger), number(above)),
            _ => Cell::Nothing,
        };
        let row = |m: &crate::report::MethodReport| Row {
            keys: vec![m.method.clone().into()],
            origin: None,
            cells: m.larger.iter().zip(&m.above).map(|(l, a)| cell(*l, *a)).collect(),
        };
        Some(NumberTable {
            title: "Whose curve dominates more".to_owned(),
            keys: vec!["method"],
            columns: report.methods.iter().map(column).collect(),
            rows: report.methods.iter().map(row).collect(),
            notes: vec![
                "Probability that the row's area is larger than the column's; in brackets, that its mean curve lies above \
                 the column's everywhere."
                    .to_owned(),
            ],
        })
    }
}
