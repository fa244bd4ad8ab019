//! One row per curve: chosen alpha, optimism, barriers.

use super::{Grid, TableSpec, percent};
use crate::base::registry::Named;
use crate::report::ReportData;

/// The table.
pub(super) struct Curves;

impl Named for Curves {
    fn name(&self) -> &'static str {
        "curves"
    }
    fn summary(&self) -> &'static str {
        "chosen and oracle alpha, optimism and barriers of each curve"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2109.01903; barriers after arXiv:2110.06296"
    }
}

impl TableSpec for Curves {
    fn build(&self, data: &ReportData) -> Option<Grid> {
        if data.frontier.curves.is_empty() {
            return None;
        }
        let headers = [
            "curve",
            "chosen alpha",
            "mean there",
            "oracle alpha",
            "mean there",
            "optimism",
            "better than both ends",
            "beyond the interval",
            "barrier, speciality",
            "barrier, generality",
        ];
        let dash = || "-".to_owned();
        let list = |alphas: &[f64]| {
            let all: Vec<String> = alphas.iter().map(f64::to_string).collect();
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        };
        let rows = data
            .frontier
            .curves
            .iter()
            .map(|c| {
                let best = c.best_alpha.as_ref();
                let barrier = |b: &crate::report::frontier::AxisBarriers| {
                    b.metric.as_ref().map_or_else(dash, |b| percent(b.barrier.value, b.ci))
                };
                vec![
                    c.curve.clone(),
                    best.map_or_else(dash, |b| b.alpha.to_string()),
                    best.map_or_else(dash, |b| percent(b.test_value, None)),
                    best.map_or_else(dash, |b| b.oracle_alpha.to_string()),
                    best.map_or_else(dash, |b| percent(b.oracle_value, None)),
                    best.map_or_else(dash, |b| percent(b.optimism, None)),
                    list(&c.better_than_both_ends),
                    list(&c.surely_better_than_both_ends),
                    barrier(&c.speciality_barrier),
                    barrier(&c.generality_barrier),
                ]
            })
            .collect();
        let how = data.frontier.curves.iter().find_map(|c| c.chosen_by.clone());
        let mut notes = vec![
            "Means are of speciality and generality, in percent. Alpha is the weight of the \
             fine-tuned model. A negative barrier says that the curve lies above the straight line \
             between its ends."
                .to_owned(),
        ];
        match how {
            Some(how) => {
                notes.push(format!(
                    "Alpha was chosen by the {how}; the oracle looks at the test probes. The difference has no interval: \
                     the largest of noisy values is too large in every resample, so resamples do not cover it."
                ));
            }
            None => notes.push("No selection probe, so no alpha was chosen.".to_owned()),
        }
        Some(Grid { title: "Curves".to_owned(), headers: headers.map(str::to_owned).to_vec(), rows, notes })
    }
}
