//! One row per curve: chosen alpha, optimism, barriers.

use super::{Best, Cell, Column, Number, NumberTable, Row, Show, TableSpec};
use crate::base::registry::Named;
use crate::report::ReportData;
use crate::report::frontier::{AxisBarriers, CurveReport};

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
    fn build(&self, data: &ReportData) -> Option<NumberTable> {
        if data.frontier.curves.is_empty() {
            return None;
        }
        let columns = [
            Column::new("chosen alpha").short("alpha"),
            Column::new("mean at the chosen").short("mean").best(Best::Largest),
            Column::new("oracle alpha").short("oracle"),
            Column::new("mean at the oracle").short("mean"),
            Column::new("optimism"),
            Column::new("better than both ends").short("better"),
            Column::new("beyond the interval").short("surely"),
            Column::new("barrier, speciality").short("barrier, spec."),
            Column::new("barrier, generality").short("barrier, gen."),
        ];
        let rows = data.frontier.curves.iter().map(|c| row(data, c)).collect();
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
        Some(NumberTable {
            title: "Curves".to_owned(),
            keys: vec!["curve"],
            columns: columns.to_vec(),
            rows,
            notes,
        })
    }
}

fn row(data: &ReportData, c: &CurveReport) -> Row {
    let best = c.best_alpha.as_ref();
    let list = |alphas: &[f64]| {
        let all: Vec<String> = alphas.iter().map(f64::to_string).collect();
        Cell::Text(if all.is_empty() { "none".to_owned() } else { all.join(", ") })
    };
    let alpha =
        |alpha: Option<f64>| alpha.map_or(Cell::Nothing, |a| Cell::Number(Number::new(a, Show::Plain)));
    let mean = |mean: Option<f64>| mean.map_or(Cell::Nothing, |m| Cell::percent(m, None));
    let barrier =
        |b: &AxisBarriers| b.metric.as_ref().map_or(Cell::Nothing, |b| Cell::percent(b.barrier.value, b.ci));
    Row {
        keys: vec![c.curve.clone().into()],
        origin: Some(data.origin_of_curve(&c.curve)),
        cells: vec![
            alpha(best.map(|b| b.alpha)),
            mean(best.map(|b| b.test_value)),
            alpha(best.map(|b| b.oracle_alpha)),
            mean(best.map(|b| b.oracle_value)),
            mean(best.map(|b| b.optimism)),
            list(&c.better_than_both_ends),
            list(&c.surely_better_than_both_ends),
            barrier(&c.speciality_barrier),
            barrier(&c.generality_barrier),
        ],
    }
}
