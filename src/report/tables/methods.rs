//! Ways of fine-tuning as whole curves: areas, differences, generality at equal speciality.

use super::{Best, Cell, Column, Number, NumberTable, Row, Show, TableSpec};
use crate::base::registry::Named;
use crate::report::ReportData;
use crate::stats::Interval;

/// The table.
pub(super) struct Methods;

impl Named for Methods {
    fn name(&self) -> &'static str {
        "methods"
    }
    fn summary(&self) -> &'static str {
        "each way of fine-tuning as a whole curve, over seeds: area, difference to the baseline, generality at equal speciality"
    }
    fn reference(&self) -> &'static str {
        "hypervolume: Zitzler et al. 2003; band: Romano and Wolf 2005"
    }
}

impl TableSpec for Methods {
    fn build(&self, data: &ReportData) -> Option<NumberTable> {
        let report = data.frontier.methods.as_ref()?;
        let base = report.methods.iter().position(|m| m.method == report.baseline)?;
        let at = format!("generality at {:.1}", report.speciality * 100.0);
        let largest = |title: &str| Column::new(title).best(Best::Largest);
        let columns = vec![
            Column::new("seeds"),
            largest("tuned speciality").short("spec."),
            largest("tuned generality").short("gen."),
            largest(&at).short("gen. at equal spec."),
            largest("area"),
            Column::new("over seeds").short("s.d."),
            Column::new(format!("area - {}", report.baseline)).short("difference"),
            Column::new(format!("P(above {})", report.baseline)).short("P(above)"),
            Column::new(format!("P(larger than {})", report.baseline)).short("P(larger)"),
        ];
        let area = |value: f64, interval: Option<Interval>| {
            Cell::Number(Number { interval, ..Number::new(value, Show::Area) })
        };
        let rows = report.methods.iter().enumerate().map(|(i, m)| Row {
            keys: vec![m.method.clone().into()],
            origin: None,
            cells: vec![
                Cell::count(m.curves.len()),
                Cell::percent(m.tuned.0, None),
                Cell::percent(m.tuned.1, None),
                m.generality.map_or(Cell::Nothing, |g| Cell::percent(g, m.generality_ci)),
                area(m.area, m.area_ci),
                m.area_sd.map_or(Cell::Nothing, |s| Cell::Number(Number::new(s, Show::AreaSpread))),
                if i == base { Cell::Nothing } else { area(m.difference, m.difference_ci) },
                Cell::probability(m.above[base]),
                Cell::probability(m.larger[base]),
            ],
        });
        let volume = data.frontier.hypervolume.as_ref()?;
        let level = data.manifest.suite.stats.confidence * 100.0;
        Some(NumberTable {
            title: "Ways of fine-tuning, as whole curves".to_owned(),
            keys: vec!["method"],
            columns,
            rows: rows.collect(),
            notes: vec![
                format!(
                    "Area that a curve dominates above ({:.1}, {:.1}), in squared percentage points, mean over seeds; in \
                     brackets {level}% intervals over examples, after ± the standard deviation over seeds. Differences to \
                     `{}` have bands that hold for all methods together.",
                    volume.reference.0 * 100.0,
                    volume.reference.1 * 100.0,
                    report.baseline
                ),
                "Above: every point of the other mean curve is matched or beaten. Probabilities are shares of paired resamples \
                 of the examples; seeds are averaged, not drawn."
                    .to_owned(),
            ],
        })
    }
}
