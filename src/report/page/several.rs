//! Several results folders on one page: a leaderboard, a chart of all of them, and whether they may be compared.

use maud::{Markup, html};

use super::{explore, table, whole};
use crate::report::tables::Grid;
use crate::report::tables::percent;
use crate::report::{Point, ReportData};

/// The page; each report has a name and the place of its own page.
#[must_use]
pub fn several(all: &[(String, String, ReportData)]) -> String {
    let named: Vec<(&str, &ReportData)> = all.iter().map(|(name, _, data)| (name.as_str(), data)).collect();
    let body = html! {
        h2 { "Leaderboard" }
        (table(&leaderboard(&named), "the reports of the runs"))
        (explore::section(&named))
        h2 { "Runs" }
        ul {
            @for (name, place, data) in all {
                li { a href=(place) { (name) } ": " (data.manifest.suite.name) ", axes " (data.frontier.axes) }
            }
        }
        (cautions(&named))
    };
    whole(&format!("{} runs", all.len()), &body)
}

/// One row a curve, at the alpha that was chosen on selection probes or at its fine-tuned end, and one a variant on no curve; the
/// best mean first.
fn leaderboard(all: &[(&str, &ReportData)]) -> Grid {
    let mut rows: Vec<(f64, Vec<String>)> = Vec::new();
    for (run, data) in all {
        let mut add = |what: &str, alpha: Option<f64>, point: &Point| {
            let row = vec![
                (*run).to_owned(),
                what.to_owned(),
                alpha.map_or_else(|| "-".to_owned(), |a| a.to_string()),
                percent(point.mean, point.mean_ci),
                percent(point.speciality, point.speciality_ci),
                percent(point.generality, point.generality_ci),
            ];
            rows.push((point.mean, row));
        };
        for curve in &data.manifest.curves {
            let chosen = data.chosen_alpha(&curve.id);
            let place = curve.points.iter().find(|p| Some(p.alpha) == chosen).or(curve.points.last());
            if let Some((place, point)) = place.and_then(|p| Some((p, data.frontier.point(&p.variant)?))) {
                add(&curve.id, Some(place.alpha), point);
            }
        }
        for point in &data.frontier.points {
            let on_curve =
                data.manifest.curves.iter().any(|c| c.points.iter().any(|p| p.variant == point.variant));
            if !on_curve {
                add(&point.variant, None, point);
            }
        }
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    Grid {
        title: "Leaderboard".to_owned(),
        headers: ["run", "curve or model", "alpha", "mean", "speciality", "generality"].map(str::to_owned).to_vec(),
        rows: rows.into_iter().map(|r| r.1).collect(),
        notes: vec![
            "In percent, with each run's own intervals. A curve stands at the alpha that was chosen on its selection probes, or \
             at its fine-tuned end. For paired differences use `specbench compare`."
                .to_owned(),
        ],
    }
}

/// What keeps runs from being compared: probes of one name on other data or on other examples, or axes of other probes.
fn cautions(all: &[(&str, &ReportData)]) -> Markup {
    let mut lines: Vec<String> = Vec::new();
    let Some(((first, reference), others)) = all.split_first() else { return html! {} };
    for (run, data) in others {
        if data.frontier.axes != reference.frontier.axes {
            lines.push(format!("{run} and {first} have other axes: their means do not measure the same."));
        }
        for probe in &data.manifest.probes {
            let other = reference.manifest.probes.iter().find(|p| p.spec.id == probe.spec.id);
            let Some(other) = other else { continue };
            let (own, theirs) = (data.examples_of(probe), reference.examples_of(other));
            if other.data != probe.data || other.spec.metric != probe.spec.metric {
                let id = &probe.spec.id;
                lines.push(format!("{run} and {first} measured `{id}` on other data or by another metric."));
            } else if own != theirs {
                let id = &probe.spec.id;
                lines.push(format!("`{id}`: {run} measured {own} examples, {first} {theirs}."));
            }
        }
    }
    html! {
        @if !lines.is_empty() {
            h2 { "What cannot be compared" }
            ul { @for line in &lines { li { (line) } } }
        }
    }
}
