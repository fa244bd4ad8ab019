//! What the numbers say, in sentences.

use crate::plan::Curve;
use crate::report::tables::percent;
use crate::report::{CurveReport, Point, ReportData};
use crate::stats::Interval;

/// What the numbers say, in sentences, with their uncertainty.
pub fn findings(data: &ReportData) -> Vec<String> {
    let mut all = methods(data);
    // Many curves are told as methods; each curve is in the tables.
    let each = if data.manifest.curves.len() > crate::report::MANY_CURVES {
        &[][..]
    } else {
        &data.manifest.curves[..]
    };
    for curve in each {
        let end = |p: Option<&crate::plan::CurvePoint>| data.frontier.point(&p?.variant);
        let (Some(start), Some(end)) = (end(curve.points.first()), end(curve.points.last())) else {
            continue;
        };
        // Curves of one pair of ends say once what lies between them.
        let told = |other: &&Curve| {
            let variants =
                |c: &Curve| [c.points.first(), c.points.last()].map(|p| p.map(|p| p.variant.clone()));
            variants(other) == variants(curve)
        };
        if each.iter().find(told).is_some_and(|first| first.id == curve.id) {
            all.push(ends(data, curve, start, end));
        }
        let report = data.frontier.curves.iter().find(|r| r.curve == curve.id);
        if let Some(report) = report {
            all.push(between(curve, report));
            all.extend(chosen(curve, report));
        }
    }
    all.extend(left_out(data));
    all.extend(race(data));
    all.extend(without_examples(data));
    let expected = data.manifest.planned;
    if data.manifest.cells.len() < expected {
        all.push(format!(
            "{} of {expected} results are finished; the rest is missing.",
            data.manifest.cells.len()
        ));
    }
    all
}

/// Whose curve dominates more than the baseline's, surely or not.
fn methods(data: &ReportData) -> Vec<String> {
    let Some(report) = &data.frontier.methods else { return Vec::new() };
    let Some(base) = report.methods.iter().position(|m| m.method == report.baseline) else {
        return Vec::new();
    };
    let level = data.manifest.suite.stats.confidence * 100.0;
    let names = |test: &dyn Fn(&Interval) -> bool| -> Vec<String> {
        let chosen = report.methods.iter().filter(|m| m.difference_ci.as_ref().is_some_and(test));
        chosen.map(|m| format!("{} ({:+.1})", m.method, m.difference * 1e4)).collect()
    };
    let said = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let mut all = vec![format!(
        "Areas that curves dominate, against `{}` ({:.1} squared points), by bands that hold for all methods together at \
             {level}%: larger: {}; smaller: {}; not told apart: {}.",
        report.baseline,
        report.methods[base].area * 1e4,
        said(names(&|i| i.low > 0.0)),
        said(names(&|i| i.high < 0.0)),
        said(names(&|i| i.low <= 0.0 && i.high >= 0.0)),
    )];
    let above =
        |m: &crate::report::MethodReport| m.above[base].filter(|p| *p >= 0.5).map(|p| (m.method.clone(), p));
    let lie: Vec<String> =
        report.methods.iter().filter_map(above).map(|(m, p)| format!("{m} (P = {p:.2})")).collect();
    all.push(if lie.is_empty() {
        format!("No mean curve lies above that of `{}` everywhere in half of the resamples.", report.baseline)
    } else {
        format!(
            "Above `{}` everywhere, in at least half of the resamples: {}.",
            report.baseline,
            lie.join(", ")
        )
    });
    all
}

/// What scores without examples cannot say.
fn without_examples(data: &ReportData) -> Option<String> {
    let cells = &data.manifest.cells;
    let stated: Vec<_> = cells.iter().filter(|c| !c.stated.is_empty()).collect();
    let unknown = stated.iter().filter(|c| c.stated.values().all(|s| s.stderr.is_none())).count();
    let bare = if unknown > 0 {
        format!(" {unknown} of them state no error and have no interval.")
    } else {
        String::new()
    };
    (!stated.is_empty()).then(|| {
        format!(
            "{} of {} scores were imported without examples: their intervals are those of their stated errors, and nothing \
             is paired.{bare}",
            stated.len(),
            cells.len()
        )
    })
}

/// From one end of a curve to the other.
fn ends(data: &ReportData, curve: &Curve, start: &Point, end: &Point) -> String {
    let level = data.manifest.suite.stats.confidence * 100.0;
    let compare = |a: f64, ai: Option<Interval>, b: f64, bi: Option<Interval>| {
        let apart = matches!((ai, bi), (Some(x), Some(y)) if x.high < y.low || y.high < x.low);
        let verdict = if apart { "the intervals do not overlap" } else { "the intervals overlap" };
        format!("{} to {} ({verdict})", percent(a, ai), percent(b, bi))
    };
    format!(
        "Fine-tuning {} into {} moves speciality from {} and generality from {}, in percent with {level}% intervals.",
        curve.from,
        curve.to,
        compare(start.speciality, start.speciality_ci, end.speciality, end.speciality_ci),
        compare(start.generality, start.generality_ci, end.generality, end.generality_ci),
    )
}

/// Where a curve leads; by its name as well, if it has one of its own.
fn goal(curve: &Curve) -> String {
    if curve.id == curve.to { curve.to.clone() } else { format!("{} (curve {})", curve.to, curve.id) }
}

/// Whether some alpha is better than both ends.
fn between(curve: &Curve, report: &CurveReport) -> String {
    let list = |alphas: &[f64]| alphas.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    let better = &report.better_than_both_ends;
    let beat = if better.len() == 1 { "beats" } else { "beat" };
    let on_the_way = format!(
        "On the way to {}, alpha {} {beat} both ends on the mean of speciality and generality",
        goal(curve),
        list(better)
    );
    if better.is_empty() {
        format!(
            "No alpha on the way to {} beats both ends on the mean of speciality and generality.",
            goal(curve)
        )
    } else if report.surely_better_than_both_ends.is_empty() {
        format!(
            "{on_the_way}, but that may be chance: no difference is beyond what resampling the examples gives."
        )
    } else {
        format!(
            "{on_the_way}; for {} that is beyond chance (bands of the paired differences over all alphas together).",
            list(&report.surely_better_than_both_ends)
        )
    }
}

/// Which alpha the selection probes chose, and what that cost.
fn chosen(curve: &Curve, report: &CurveReport) -> Option<String> {
    let (best, how) = (report.best_alpha.as_ref()?, report.chosen_by.as_ref()?);
    Some(format!(
        "Alpha {} was chosen for {} by the {how}: mean {} on the test probes. The oracle, alpha {}, \
         reaches {}; choosing on the test probes would have added {}.",
        best.alpha,
        goal(curve),
        percent(best.test_value, None),
        best.oracle_alpha,
        percent(best.oracle_value, None),
        percent(best.optimism, None)
    ))
}

fn left_out(data: &ReportData) -> Option<String> {
    let skipped = &data.manifest.skipped;
    let names: Vec<&str> = skipped.iter().take(5).map(|s| s.example.as_str()).collect();
    (!skipped.is_empty()).then(|| {
        format!(
            "{} examples could not be decoded and were left out for every variant, among them {}.",
            skipped.len(),
            names.join(", ")
        )
    })
}

fn race(data: &ReportData) -> Option<String> {
    let race = data.manifest.race.as_ref()?;
    let level = data.manifest.suite.stats.confidence * 100.0;
    let (seen, there) = race.passes.values().fold((0, 0), |(a, b), (s, t)| (a + s, b + t));
    Some(format!(
        "Racing until {} used {seen} of {there} images ({:.0}% saved). The probes' intervals are confidence \
         sequences: they hold together at {level}% although the run looked after every round and stopped. \
         Intervals of averages, frontiers and curves are plain resamples and do not account for stopping.",
        race.rule,
        (1.0 - seen as f64 / there.max(1) as f64) * 100.0
    ))
}
