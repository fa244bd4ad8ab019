//! The page's section on single examples.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::examples::{ExampleView, picture_path};
use super::tables::escape_html as escape;

/// The section: for each curve and probe the most confident new mistakes, with pictures where the run left
/// them, and the confusions that changed most. Empty without curves.
pub fn section(out: &Path, views: &[ExampleView]) -> String {
    if views.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<h2>Examples</h2><p class=\"note\">The most confident new mistakes of each fine-tuned end. The row of \
         squares is the path from alpha 0 to alpha 1: filled where the model is right.</p>",
    );
    for view in views.iter().filter(|v| !v.regressions.is_empty()) {
        let _ = write!(
            text,
            "<details><summary>{}, {}: {} lost, {} gained of {}</summary><div class=\"examples\">",
            escape(&view.curve),
            escape(&view.probe),
            view.lost,
            view.gained,
            view.n
        );
        for r in &view.regressions {
            let picture = std::fs::read(picture_path(out, &view.probe, &r.example));
            let image = picture.map_or_else(
                |_| String::new(),
                |bytes| {
                    let data = STANDARD.encode(bytes);
                    format!("<img alt=\"{}\" src=\"data:image/png;base64,{data}\">", escape(&r.label))
                },
            );
            let path: String =
                r.along.iter().map(|&right| if right { '\u{25a0}' } else { '\u{25a1}' }).collect();
            let _ = write!(
                text,
                "<figure>{image}<figcaption><b>{}</b> taken for <b>{}</b> ({:.0}%)<br>{path}<br>{}</figcaption></figure>",
                escape(&r.label),
                escape(&r.prediction),
                f64::from(r.score) * 100.0,
                escape(&r.example)
            );
        }
        text.push_str("</div>");
        if !view.confusions.is_empty() {
            text.push_str("<p class=\"note\">Confusions that changed most: ");
            let each: Vec<String> = view
                .confusions
                .iter()
                .map(|c| {
                    format!("{} for {} {} to {}", escape(&c.label), escape(&c.prediction), c.before, c.after)
                })
                .collect();
            let _ = write!(text, "{}.</p>", each.join("; "));
        }
        text.push_str("</details>");
    }
    text
}
