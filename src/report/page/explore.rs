//! What the page's chart is drawn from: scores of all variants, as JSON within the page.

use maud::{Markup, PreEscaped, html};
use serde_json::{Map, Value, json};

use crate::report::ReportData;
use crate::report::figures::method_paint;
use crate::report::methods::method_of;
use crate::stats::{Estimate, Interval};
use crate::suite::ProbeRole;

/// The chart's place, hidden where no script runs, and its data. Empty where nothing has a speciality and a generality.
pub fn section(data: &ReportData) -> Markup {
    let points = points(data);
    html! {
        @if !points.is_empty() {
            section id="explore" hidden {
                h2 id="chart" { "Look around" }
                p.note { "Every model of this report. Point at one to read its numbers; choose what lies across and up." }
            }
            script type="application/json" id="data" { (PreEscaped(embedded(&chart(data, &points)))) }
        }
    }
}

/// JSON that cannot end the element it stands in, whatever names it holds.
fn embedded(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

fn chart(data: &ReportData, points: &[Value]) -> Value {
    let reported = |p: &&crate::store::ProbeRecord| p.spec.role != ProbeRole::Selection;
    let probes: Vec<&str> =
        data.manifest.probes.iter().filter(reported).map(|p| p.spec.id.as_str()).collect();
    let curve = |c: &crate::plan::Curve| {
        let method = method_of(c);
        let along: Vec<&str> = c.points.iter().map(|p| p.variant.as_str()).collect();
        json!({"id": c.id, "method": method, "colour": method_paint(data, &method), "points": along})
    };
    let curves: Vec<Value> = data.manifest.curves.iter().map(curve).collect();
    json!({"probes": probes, "curves": curves, "points": points})
}

fn triple(value: f64, interval: Option<Interval>) -> Value {
    let round = |v: f64| (v * 1e5).round() / 1e5;
    match interval {
        Some(i) => json!([round(value), round(i.low), round(i.high)]),
        None => json!([round(value)]),
    }
}

fn points(data: &ReportData) -> Vec<Value> {
    let one = |p: &crate::report::Point| {
        let curves = data.manifest.curves.iter().filter(|c| c.points.iter().any(|q| q.variant == p.variant));
        let curves: Vec<&str> = curves.map(|c| c.id.as_str()).collect();
        let mut scores = Map::new();
        for probe in &data.manifest.probes {
            if let Some(found) = data.main(&p.variant, probe) {
                let Estimate { value, interval, .. } = found.estimate;
                scores.insert(probe.spec.id.clone(), triple(value, interval));
            }
        }
        json!({
            "variant": p.variant, "label": data.label(&p.variant), "curves": curves, "alpha": p.alpha,
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
