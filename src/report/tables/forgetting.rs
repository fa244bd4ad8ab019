//! What single examples gain and lose along each curve.

use super::{Grid, TableSpec, percent};
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
    fn build(&self, data: &ReportData) -> Option<Grid> {
        if data.examples.is_empty() {
            return None;
        }
        let headers = [
            "curve",
            "probe",
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
                vec![
                    v.curve.clone(),
                    v.probe.clone(),
                    v.n.to_string(),
                    v.lost.to_string(),
                    v.gained.to_string(),
                    percent(v.lost as f64 / v.n as f64, v.negative_flips),
                    percent(v.lost as f64 / v.right_before.max(1) as f64, None),
                    v.steps.iter().map(|s| s.lost).sum::<usize>().to_string(),
                    v.steps.iter().map(|s| s.gained).sum::<usize>().to_string(),
                    steepest.map_or_else(|| "-".to_owned(), |s| format!("{} to {}", s.from, s.to)),
                    v.only_between.to_string(),
                    v.dip_between.to_string(),
                ]
            })
            .collect();
        Some(Grid {
            title: "Single examples from the pretrained to the fine-tuned end".to_owned(),
            headers: headers.map(str::to_owned).to_vec(),
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
