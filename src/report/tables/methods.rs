//! Ways of fine-tuning as whole curves: areas, differences, generality at equal speciality.

use super::{Grid, TableSpec, percent};
use crate::base::registry::Named;
use crate::report::ReportData;

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
    fn build(&self, data: &ReportData) -> Option<Grid> {
        let report = data.frontier.methods.as_ref()?;
        let base = report.methods.iter().position(|m| m.method == report.baseline)?;
        let at = format!("generality at {:.1}", report.speciality * 100.0);
        let headers = vec![
            "method".to_owned(),
            "seeds".to_owned(),
            "tuned speciality".to_owned(),
            "tuned generality".to_owned(),
            at,
            "area".to_owned(),
            "over seeds".to_owned(),
            format!("area - {}", report.baseline),
            format!("P(above {})", report.baseline),
            format!("P(larger than {})", report.baseline),
        ];
        let dash = || "-".to_owned();
        let probability = |p: Option<f64>| p.map_or_else(dash, |p| format!("{p:.2}"));
        let rows = report.methods.iter().enumerate().map(|(i, m)| {
            vec![
                m.method.clone(),
                m.curves.len().to_string(),
                percent(m.tuned.0, None),
                percent(m.tuned.1, None),
                m.generality.map_or_else(dash, |g| percent(g, m.generality_ci)),
                hundredths(m.area, m.area_ci),
                m.area_sd.map_or_else(dash, |s| format!("±{:.2}", s * 1e4)),
                if i == base { dash() } else { hundredths(m.difference, m.difference_ci) },
                probability(m.above[base]),
                probability(m.larger[base]),
            ]
        });
        let volume = data.frontier.hypervolume.as_ref()?;
        let level = data.manifest.suite.stats.confidence * 100.0;
        Some(Grid {
            title: "Ways of fine-tuning, as whole curves".to_owned(),
            headers,
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

/// An area in squared percentage points.
fn hundredths(value: f64, interval: Option<crate::stats::Interval>) -> String {
    let own = format!("{:.1}", value * 1e4);
    interval.map_or(own.clone(), |i| format!("{own} [{:.1}, {:.1}]", i.low * 1e4, i.high * 1e4))
}
