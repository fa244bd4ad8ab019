//! The page: one self-contained file.

use std::fmt::Write as _;
use std::path::Path;

use super::ReportData;
use super::figures::Figure;
use super::tables::{TABLES, percent};
use crate::report::tables::escape_html as escape;

const STYLE: &str = "body{font:16px/1.5 Roboto,Helvetica,Arial,sans-serif;color:#222;max-width:62rem;\
margin:2rem auto;padding:0 1rem}h1{margin-bottom:.2rem}h2{margin-top:2.2rem;border-bottom:1px solid #ddd}\
table{border-collapse:collapse;font-size:.85rem}th,td{padding:.25rem .6rem;text-align:right;\
border-bottom:1px solid #e4e4e4;white-space:nowrap}th:first-child,td:first-child{text-align:left}\
th{border-bottom:2px solid #888;white-space:normal;vertical-align:bottom}.scroll{overflow-x:auto}\
.note,figcaption{font-size:.85rem;color:#555}figure{margin:1rem 0}svg{max-width:100%;height:auto}\
pre{background:#f6f6f6;padding:.8rem;overflow-x:auto;font-size:.8rem}li{margin:.3rem 0}summary{cursor:pointer;margin:.4rem 0}\
.examples{display:flex;flex-wrap:wrap;gap:1rem}.examples figure{width:9rem;margin:.4rem 0;overflow-wrap:anywhere}\
.examples img{width:96px;image-rendering:pixelated}";

/// The page of a report.
pub fn page(out: &Path, data: &ReportData, figures: &[(&'static dyn Figure, String)]) -> String {
    let suite = &data.manifest.suite;
    let mut body = String::new();
    let _ = write!(body, "<h1>{}</h1><p>{}</p>", escape(&suite.name), escape(&suite.description));
    let _ = write!(
        body,
        "<h2>Findings</h2><ul>{}</ul>",
        findings(data).iter().map(|f| { format!("<li>{}</li>", escape(f)) }).collect::<String>()
    );
    body.push_str("<h2>Figures</h2>");
    for (figure, svg) in figures {
        let _ =
            write!(body, "<figure>{svg}<figcaption>{}</figcaption></figure>", escape(&figure.caption(data)));
    }
    body.push_str("<h2>Tables</h2>");
    for table in TABLES.items {
        if let Some(grid) = table.build(data) {
            body.push_str(&grid.html());
        }
    }
    body.push_str(&super::examples_html::section(out, &data.examples));
    body.push_str(&provenance(data));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head><body>{body}</body></html>\n",
        escape(&suite.name)
    )
}

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
        let compare =
            |a: f64, ai: Option<crate::stats::Interval>, b: f64, bi: Option<crate::stats::Interval>| {
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

fn provenance(data: &ReportData) -> String {
    let m = &data.manifest;
    let mut text = String::from("<h2>Provenance</h2><ul>");
    for c in &m.checkpoints {
        let _ = write!(
            text,
            "<li>checkpoint {}: {}, digest {}</li>",
            escape(&c.id),
            escape(&c.source),
            escape(c.digest.short())
        );
    }
    for p in &m.probes {
        let _ = write!(
            text,
            "<li>probe {}: {} {}, {} examples, {} classes, data digest {}, licence {}</li>",
            escape(&p.spec.id),
            escape(&p.spec.dataset),
            escape(&p.spec.split),
            p.examples,
            p.class_names.len(),
            escape(p.data.short()),
            escape(&p.licence)
        );
    }
    let _ = write!(
        text,
        "<li>specbench {}, {} on {}, decoder {}, {} resamples from seed {}</li></ul><h3>Suite</h3><pre>{}</pre>",
        escape(&m.version),
        escape(&m.numerics.dtype),
        escape(&m.numerics.device),
        escape(&m.decoder),
        m.suite.stats.resamples,
        m.suite.stats.seed,
        escape(&m.suite.text)
    );
    text
}
