//! What single examples gain and lose along each curve.

use super::{Cell, Column, NumberTable, Row, TableSpec};
use crate::base::registry::Named;
use crate::report::ReportData;

/// The table.
pub(super) struct Forgetting;

impl Named for Forgetting {
    fn name(&self) -> &'static str {
        "forgetting"
    }
    fn summary(&self) -> &'static str {
        "examples lost and gained from end to end, and forgetting events along alpha"
    }
    fn reference(&self) -> &'static str {
        "negative flips: arXiv:2011.09161; forgetting events: arXiv:1812.05159"
    }
}

impl TableSpec for Forgetting {
    fn build(&self, data: &ReportData) -> Option<NumberTable> {
        if data.examples.is_empty() {
            return None;
        }
        let columns = [
            "n",
            "lost",
            "gained",
            "negative-flip rate",
            "of the right ones lost",
            "events lost",
            "events gained",
            "steepest step",
            "right only between",
            "wrong only between",
        ];
        let rows = data
            .examples
            .iter()
            .map(|v| {
                let steepest = v.steps.iter().max_by_key(|s| s.lost.saturating_sub(s.gained));
                Row {
                    keys: vec![v.curve.clone().into(), v.probe.clone().into()],
                    origin: Some(data.origin_of_curve(&v.curve)),
                    cells: vec![
                        Cell::count(v.n),
                        Cell::count(v.lost),
                        Cell::count(v.gained),
                        Cell::percent(v.lost as f64 / v.n as f64, v.negative_flips),
                        Cell::percent(v.lost as f64 / v.right_before.max(1) as f64, None),
                        Cell::count(v.steps.iter().map(|s| s.lost).sum()),
                        Cell::count(v.steps.iter().map(|s| s.gained).sum()),
                        steepest.map_or(Cell::Nothing, |s| Cell::Text(format!("{} to {}", s.from, s.to))),
                        Cell::count(v.only_between),
                        Cell::count(v.dip_between),
                    ],
                }
            })
            .collect();
        Some(NumberTable {
            title: "Single examples from the pretrained to the fine-tuned end".to_owned(),
            keys: vec!["curve", "probe"],
            columns: columns.map(Column::new).to_vec(),
            rows,
            notes: vec![format!(
                "Lost: right at alpha 0, wrong at alpha 1; the rate is among all examples, with Wilson's {}% \
                     interval (of as many examples as clusters leave). Events: the same from each alpha of the grid to \
                     the next, added up.",
                data.manifest.suite.stats.confidence * 100.0
            )],
        })
    }
}
