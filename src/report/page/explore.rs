//! What the page's chart is drawn from: scores of all variants, as JSON within the page.

use maud::{Markup, PreEscaped, html};
use serde_json::{Map, Value, json};

use crate::report::ReportData;
use crate::report::figures::{method_paint, paint};
use crate::report::methods::method_of;
use crate::stats::{Estimate, Interval};
use crate::suite::ProbeRole;

/// The chart's place, hidden where no script runs, and its data. Empty where nothing has a speciality and a generality.
///
/// Each report has a name, empty where there is one alone; variants and curves of several carry it.
pub fn section(all: &[(&str, &ReportData)]) -> Markup {
    let points: Vec<Value> = all.iter().flat_map(|(run, data)| points(run, data)).collect();
    html! {
        @if !points.is_empty() {
            section id="explore" hidden {
                h2 id="chart" { "Look around" }
                p.note { "Every model of this report. Point at one to read its numbers; choose what lies across and up." }
            }
            script type="application/json" id="data" { (PreEscaped(embedded(&chart(all, &points)))) }
        }
    }
}

/// JSON that cannot end the element it stands in, whatever names it holds.
fn embedded(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// A name within a run.
fn within(run: &str, name: &str) -> String {
    if run.is_empty() { name.to_owned() } else { format!("{run}: {name}") }
}

fn chart(all: &[(&str, &ReportData)], points: &[Value]) -> Value {
    let mut probes: Vec<&str> = Vec::new();
    let mut curves: Vec<Value> = Vec::new();
    for (number, (run, data)) in all.iter().enumerate() {
        for probe in data.manifest.probes.iter().filter(|p| p.spec.role != ProbeRole::Selection) {
            if !probes.contains(&probe.spec.id.as_str()) {
                probes.push(&probe.spec.id);
            }
        }
        for curve in &data.manifest.curves {
            let method = method_of(curve);
            let along: Vec<String> = curve.points.iter().map(|p| within(run, &p.variant)).collect();
            let colour = if all.len() > 1 { paint(number) } else { method_paint(data, &method) };
            let (id, method) = (within(run, &curve.id), within(run, &method));
            curves.push(json!({"id": id, "method": method, "colour": colour, "points": along}));
        }
    }
    json!({"probes": probes, "curves": curves, "points": points})
}

fn triple(value: f64, interval: Option<Interval>) -> Value {
    let round = |v: f64| (v * 1e5).round() / 1e5;
    match interval {
        Some(i) => json!([round(value), round(i.low), round(i.high)]),
        None => json!([round(value)]),
    }
}

fn points(run: &str, data: &ReportData) -> Vec<Value> {
    let one = |p: &crate::report::Point| {
        let curves = data.manifest.curves.iter().filter(|c| c.points.iter().any(|q| q.variant == p.variant));
        let curves: Vec<String> = curves.map(|c| within(run, &c.id)).collect();
        let mut scores = Map::new();
        for probe in &data.manifest.probes {
            if let Some(found) = data.main(&p.variant, probe) {
                let Estimate { value, interval, .. } = found.estimate;
                scores.insert(probe.spec.id.clone(), triple(value, interval));
            }
        }
        json!({
            "variant": within(run, &p.variant), "label": within(run, &data.label(&p.variant)),
            "curves": curves, "alpha": p.alpha,
            "s": triple(p.speciality, p.speciality_ci), "g": triple(p.generality, p.generality_ci),
            "on": p.p_on_frontier, "scores": scores,
        })
    };
    data.frontier.points.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_the_script() {
        let text = embedded(&json!({"a": "</script><img src=x onerror=alert(1)>"}));
        assert!(!text.contains('<'), "{text}");
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap()["a"],
            "</script><img src=x onerror=alert(1)>"
        );
    }
}
