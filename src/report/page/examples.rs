//! The page's section on single examples.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use serde_json::json;

use super::MOST_CURVES;
use crate::report::ReportData;
use crate::report::examples::{ExampleView, Regression, picture_path};
use crate::store::Shown;

/// The section: for each curve and probe the most confident new mistakes, with pictures where the run left
/// them, and the confusions that changed most. Empty without curves.
pub fn section(out: &Path, data: &ReportData) -> Markup {
    let shown: Vec<&str> = data.manifest.curves.iter().take(MOST_CURVES).map(|c| c.id.as_str()).collect();
    let views =
        data.examples.iter().filter(|v| !v.regressions.is_empty() && shown.contains(&v.curve.as_str()));
    html! {
        @if !data.examples.is_empty() {
            h2 id="examples" { "Examples" }
            p.note {
                "The most confident new mistakes of each fine-tuned end. The row of squares is the path from alpha 0 \
                 to alpha 1: filled where the model is right."
                @if data.manifest.curves.len() > MOST_CURVES {
                    " Of the first " (MOST_CURVES) " curves of " (data.manifest.curves.len()) "."
                }
            }
            @for view in views { (one(out, data, view)) }
        }
    }
}

fn one(out: &Path, data: &ReportData, view: &ExampleView) -> Markup {
    // What the squares stand for, for who looks for one model's mistakes.
    let curve = data.manifest.curves.iter().find(|c| c.id == view.curve);
    let variants: Vec<&str> = curve.into_iter().flat_map(|c| &c.points).map(|p| p.variant.as_str()).collect();
    let confusions = view.confusions.iter();
    let confusions =
        confusions.map(|c| format!("{} for {} {} to {}", c.label, c.prediction, c.before, c.after));
    html! {
        details.view data-variants=(json!(variants)) {
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
    let path = picture_path(out, probe, &regression.example);
    let shown = std::fs::read(path.with_extension("json")).ok();
    let shown: Option<Shown> = shown.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(shown) = shown {
        return prompt(&shown, regression);
    }
    let picture = std::fs::read(path).ok();
    let picture = picture.map(|bytes| format!("data:image/png;base64,{}", STANDARD.encode(bytes)));
    let path = squares(regression);
    html! {
        figure data-along=(bits(regression)) {
            @if let Some(picture) = picture { img alt=(regression.label) src=(picture); }
            figcaption {
                b { (regression.label) } " taken for " b { (regression.prediction) }
                " (" (format!("{:.0}", f64::from(regression.score) * 100.0)) "%)" br;
                (path) br;
                (regression.example)
            }
        }
    }
}

/// The path along alpha: filled where the model is right.
fn squares(regression: &Regression) -> String {
    regression.along.iter().map(|&right| if right { '\u{25a0}' } else { '\u{25a1}' }).collect()
}

/// The same for scripts.
fn bits(regression: &Regression) -> String {
    regression.along.iter().map(|&right| if right { '1' } else { '0' }).collect()
}

/// Characters of a prompt that are shown: its end.
const PROMPT: usize = 600;

fn ending(text: &str) -> String {
    let skipped = text.chars().count().saturating_sub(PROMPT);
    let tail: String = text.chars().skip(skipped).collect();
    if skipped > 0 { format!("\u{2026}{tail}") } else { tail }
}

/// An example of a language task: its prompt, its choices with their log-likelihoods, what was written.
fn prompt(shown: &Shown, regression: &Regression) -> Markup {
    let letter = |i: usize| char::from_u32('A' as u32 + i as u32).unwrap_or('?').to_string();
    html! {
        div.prompt data-along=(bits(regression)) {
            pre { (ending(&shown.prompt)) }
            @if !regression.likelihoods.is_empty() {
                table {
                    tr { th { "" } th { "choice" } th { "pretrained" } th { "fine-tuned" } }
                    @for (i, (choice, [before, after])) in shown.choices.iter().zip(&regression.likelihoods).enumerate() {
                        tr {
                            td {
                                @if letter(i) == regression.label { b { "right" } }
                                @if letter(i) == regression.prediction { "taken" }
                            }
                            td { (ending(choice)) }
                            td { (format!("{before:.2}")) }
                            td { (format!("{after:.2}")) }
                        }
                    }
                }
            }
            @if let Some([before, after]) = &regression.written {
                p { b { "pretrained: " } (ending(before)) }
                p { b { "fine-tuned: " } (ending(after)) }
            }
            @if !regression.failed.is_empty() {
                p { "instructions not followed: " (regression.failed.iter().map(|i| (i + 1).to_string()).collect::<Vec<_>>().join(", ")) }
            }
            p.note { (squares(regression)) " " (regression.example) }
        }
    }
}
