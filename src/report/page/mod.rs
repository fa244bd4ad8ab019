//! The page: one self-contained file. Templates escape whatever they are given.

mod examples;
mod findings;

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::ReportData;
use super::figures::Figure;
use super::tables::{Grid, TABLES, TableSpec};

pub use findings::findings;

/// Rows of a table that the page shows; all of them are in the files beside it.
const MOST_ROWS: usize = 250;
/// Curves whose examples the page shows.
const MOST_CURVES: usize = 24;

const STYLE: &str = "body{font:16px/1.5 Roboto,Helvetica,Arial,sans-serif;color:#222;max-width:62rem;\
margin:2rem auto;padding:0 1rem}h1{margin-bottom:.2rem}h2{margin-top:2.2rem;border-bottom:1px solid #ddd}\
table{border-collapse:collapse;font-size:.85rem}th,td{padding:.25rem .6rem;text-align:right;\
border-bottom:1px solid #e4e4e4;white-space:nowrap}th:first-child,td:first-child{text-align:left}\
th{border-bottom:2px solid #888;white-space:normal;vertical-align:bottom}.scroll{overflow-x:auto}\
.note,figcaption{font-size:.85rem;color:#555}figure{margin:1rem 0}svg{max-width:100%;height:auto}\
pre{background:#f6f6f6;padding:.8rem;overflow-x:auto;font-size:.8rem}li{margin:.3rem 0}summary{cursor:pointer;margin:.4rem 0}\
.examples{display:flex;flex-wrap:wrap;gap:1rem}.examples figure{width:9rem;margin:.4rem 0;overflow-wrap:anywhere}\
.examples img{width:96px;image-rendering:pixelated}\
.prompt{flex:1 1 24rem;border:1px solid #ddd;padding:.5rem;font-size:.9rem}.prompt pre{white-space:pre-wrap;overflow-wrap:anywhere}";

/// The page of a report.
pub fn page(out: &Path, data: &ReportData, figures: &[(&'static dyn Figure, String)]) -> String {
    let suite = &data.manifest.suite;
    let tables = TABLES.items.iter().filter_map(|t| Some((t, t.build(data)?)));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (suite.name) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (suite.name) }
                p { (suite.description) }
                h2 { "Findings" }
                ul { @for finding in findings(data) { li { (finding) } } }
                h2 { "Figures" }
                @for (figure, svg) in figures {
                    figure { (PreEscaped(svg)) figcaption { (figure.caption(data)) } }
                }
                h2 { "Tables" }
                @for (spec, grid) in tables { (table(*spec, &grid)) }
                (examples::section(out, data))
                (provenance(data))
            }
        }
    };
    page.into_string() + "\n"
}

fn table(spec: &dyn TableSpec, grid: &Grid) -> Markup {
    let more = grid.rows.len().saturating_sub(MOST_ROWS);
    html! {
        h3 { (grid.title) }
        div.scroll {
            table {
                thead { tr { @for cell in &grid.headers { th { (cell) } } } }
                tbody {
                    @for row in grid.rows.iter().take(MOST_ROWS) { tr { @for cell in row { td { (cell) } } } }
                }
            }
        }
        @if more > 0 { p.note { (more) " more rows are in tables/" (spec.name()) ".csv." } }
        @for note in &grid.notes { p.note { (note) } }
    }
}

fn provenance(data: &ReportData) -> Markup {
    let m = &data.manifest;
    html! {
        h2 { "Provenance" }
        ul {
            @for c in &m.checkpoints {
                li { "checkpoint " (c.id) ": " (c.source) ", digest " (c.digest.short()) }
            }
            @for p in &m.probes {
                li {
                    "probe " (p.spec.id) ": " (p.spec.dataset) " " (p.spec.split) ", " (p.examples) " examples, "
                    (p.class_names.len()) " classes, data digest " (p.data.short()) ", licence " (p.licence)
                }
            }
            li {
                "specbench " (m.version) ", " (m.numerics.dtype) " on " (m.numerics.device) ", decoder " (m.decoder)
                ", " (m.suite.stats.resamples) " resamples from seed " (m.suite.stats.seed)
            }
        }
        h3 { "Suite" }
        pre { (m.suite.text) }
    }
}
