//! What the numbers say, in sentences.

use crate::report::ReportData;
use crate::report::tables::percent;
use crate::stats::Interval;

/// What the numbers say, in sentences, with their uncertainty.
pub fn findings(data: &ReportData) -> Vec<String> {
    let mut all = Vec::new();
    let level = data.manifest.suite.stats.confidence * 100.0;
    for curve in &data.manifest.curves {
        let (Some(start), Some(end)) = (
            curve.points.first().and_then(|p| data.frontier.point(&p.variant)),
            curve.points.last().and_then(|p| data.frontier.point(&p.variant)),
        ) else {
            continue;
        };
        let compare = |a: f64, ai: Option<Interval>, b: f64, bi: Option<Interval>| {
            let apart = matches!((ai, bi), (Some(x), Some(y)) if x.high < y.low || y.high < x.low);
            let verdict = if apart { "the intervals do not overlap" } else { "the intervals overlap" };
            format!("{} to {} ({verdict})", percent(a, ai), percent(b, bi))
        };
        all.push(format!(
            "Fine-tuning {} into {} moves speciality from {} and generality from {}, in percent with {level}% intervals.",
            curve.from, curve.to,
            compare(start.speciality, start.speciality_ci, end.speciality, end.speciality_ci),
            compare(start.generality, start.generality_ci, end.generality, end.generality_ci),
        ));
        let Some(report) = data.frontier.curves.iter().find(|r| r.curve == curve.id) else { continue };
        let list = |alphas: &[f64]| alphas.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
        let beat = if report.better_than_both_ends.len() == 1 { "beats" } else { "beat" };
        all.push(if report.better_than_both_ends.is_empty() {
            format!(
                "No alpha on the way to {} beats both ends on the mean of speciality and generality.",
                curve.to
            )
        } else if report.surely_better_than_both_ends.is_empty() {
            format!(
                "On the way to {}, alpha {} {beat} both ends on the mean of speciality and generality, but \
                 the band of the paired differences over all alphas includes 0.",
                curve.to,
                list(&report.better_than_both_ends)
            )
        } else {
            format!(
                "On the way to {}, alpha {} {beat} both ends on the mean of speciality and generality; for \
                 {} the band of the paired differences to the better end over all alphas excludes 0.",
                curve.to,
                list(&report.better_than_both_ends),
                list(&report.surely_better_than_both_ends)
            )
        });
        if let (Some(best), Some(how)) = (&report.best_alpha, &report.chosen_by) {
            all.push(format!(
                "Alpha {} was chosen for {} by the {how}: mean {} on the test probes. The oracle, alpha {}, \
                 reaches {}; choosing on the test probes would have added {}.",
                best.alpha,
                curve.to,
                percent(best.test_value, None),
                best.oracle_alpha,
                percent(best.oracle_value, None),
                percent(best.optimism, None)
            ));
        }
    }
    if !data.manifest.skipped.is_empty() {
        let names: Vec<&str> = data.manifest.skipped.iter().take(5).map(|s| s.example.as_str()).collect();
        all.push(format!(
            "{} examples could not be decoded and were left out for every variant, among them {}.",
            data.manifest.skipped.len(),
            names.join(", ")
        ));
    }
    if let Some(race) = &data.manifest.race {
        let (seen, there) = race.passes.values().fold((0, 0), |(a, b), (s, t)| (a + s, b + t));
        all.push(format!(
            "Racing until {} used {seen} of {there} images ({:.0}% saved). The probes' intervals are confidence \
             sequences: they hold together at {level}% although the run looked after every round and stopped. \
             Intervals of averages, frontiers and curves are plain resamples and do not account for stopping.",
            race.rule,
            (1.0 - seen as f64 / there.max(1) as f64) * 100.0
        ));
    }
    let expected = data.manifest.planned;
    if data.manifest.cells.len() < expected {
        all.push(format!(
            "{} of {expected} cells are finished; the rest is missing.",
            data.manifest.cells.len()
        ));
    }
    all
}
