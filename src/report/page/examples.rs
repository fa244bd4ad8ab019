//! The page's section on single examples.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::MOST_CURVES;
use crate::report::ReportData;
use crate::report::examples::{ExampleView, Regression, picture_path};

/// The section: for each curve and probe the most confident new mistakes, with pictures where the run left
/// them, and the confusions that changed most. Empty without curves.
pub fn section(out: &Path, data: &ReportData) -> Markup {
    let shown: Vec<&str> = data.manifest.curves.iter().take(MOST_CURVES).map(|c| c.id.as_str()).collect();
    let views =
        data.examples.iter().filter(|v| !v.regressions.is_empty() && shown.contains(&v.curve.as_str()));
    html! {
        @if !data.examples.is_empty() {
            h2 { "Examples" }
            p.note {
                "The most confident new mistakes of each fine-tuned end. The row of squares is the path from alpha 0 \
                 to alpha 1: filled where the model is right."
                @if data.manifest.curves.len() > MOST_CURVES {
                    " Of the first " (MOST_CURVES) " curves of " (data.manifest.curves.len()) "."
                }
            }
            @for view in views { (one(out, view)) }
        }
    }
}

fn one(out: &Path, view: &ExampleView) -> Markup {
    let confusions = view.confusions.iter();
    let confusions =
        confusions.map(|c| format!("{} for {} {} to {}", c.label, c.prediction, c.before, c.after));
    html! {
        details {
            summary {
                (view.curve) ", " (view.probe) ": " (view.lost) " lost, " (view.gained) " gained of " (view.n)
            }
            div.examples {
                @for regression in &view.regressions { (example(out, &view.probe, regression)) }
            }
            @if !view.confusions.is_empty() {
                p.note { "Confusions that changed most: " (confusions.collect::<Vec<_>>().join("; ")) "." }
            }
        }
    }
}

fn example(out: &Path, probe: &str, regression: &Regression) -> Markup {
    let picture = std::fs::read(picture_path(out, probe, &regression.example)).ok();
    let picture = picture.map(|bytes| format!("data:image/png;base64,{}", STANDARD.encode(bytes)));
    let path = regression.along.iter().map(|&right| if right { '\u{25a0}' } else { '\u{25a1}' });
    html! {
        figure {
            @if let Some(picture) = picture { img alt=(regression.label) src=(picture); }
            figcaption {
                b { (regression.label) } " taken for " b { (regression.prediction) }
                " (" (format!("{:.0}", f64::from(regression.score) * 100.0)) "%)" br;
                (path.collect::<String>()) br;
                (regression.example)
            }
        }
    }
}
