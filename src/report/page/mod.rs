//! The page: one self-contained file. Templates escape whatever they are given.

mod examples;
mod explore;
mod findings;
mod several;

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::ReportData;
use super::figures::Figure;
use super::tables::{Grid, TABLES, TableSpec};

pub use findings::findings;
pub use several::several;

/// Rows of a table that the page shows; all of them are in the files beside it.
const MOST_ROWS: usize = 250;
/// Curves whose examples the page shows.
const MOST_CURVES: usize = 24;

/// How it looks.
const STYLE: &str = include_str!("style.css");
/// What it does where scripts run; without them everything is there to read.
const SCRIPT: &str = include_str!("explore.js");

/// The page of a report.
pub fn page(out: &Path, data: &ReportData, figures: &[(&'static dyn Figure, String)]) -> String {
    let suite = &data.manifest.suite;
    let tables: Vec<(&dyn TableSpec, Grid)> =
        TABLES.items.iter().filter_map(|t| Some((*t, t.build(data)?.grid()))).collect();
    // What the page is about comes first.
    let (frontier, others): (Vec<_>, Vec<_>) =
        figures.iter().partition(|(figure, _)| figure.name() == FRONTIER || figure.name() == METHODS);
    let figures: Vec<_> = frontier.into_iter().chain(others).collect();
    let body = html! {
        p { (suite.description) }
        (contents(&figures, &tables, data))
        h2 id="findings" { "Findings" }
        ul { @for finding in findings(data) { li { (finding) } } }
        (explore::section(&[("", data)]))
        h2 id="figures" { "Figures" }
        @for (figure, svg) in &figures {
            figure id=(format!("figure-{}", figure.name())) {
                (PreEscaped(svg))
                figcaption {
                    (figure.caption(data)) " "
                    (beside("figures", figure.name(), &["svg", "png", "pdf"]))
                }
            }
        }
        h2 id="tables" { "Tables" }
        @for (spec, grid) in &tables {
            h3 id=(format!("table-{}", spec.name())) { (grid.title) }
            (table(grid, &format!("tables/{}.csv", spec.name())))
            p.note { (beside("tables", spec.name(), &["csv", "tex", "md"])) }
        }
        (examples::section(out, data))
        (provenance(data))
    };
    whole(&suite.name, &body)
}

/// A page that needs nothing beside it.
fn whole(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                (body)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string() + "\n"
}

/// A page of tables alone, each below its title; `files` names what holds the rows that a table is too long for.
#[must_use]
pub fn of_tables(title: &str, words: &[String], tables: &[(&Grid, &str)]) -> String {
    let body = html! {
        ul { @for line in words { li { (line) } } }
        @for (grid, file) in tables {
            h2 { (grid.title) }
            (table(grid, file))
        }
    };
    whole(title, &body)
}

/// The figure that is drawn first.
const FRONTIER: &str = "frontier";
/// And the one after it, where methods are compared.
const METHODS: &str = "methods";

/// Links to the files of a figure or table beside the page.
fn beside(folder: &str, name: &str, endings: &[&str]) -> Markup {
    html! {
        @for (i, ending) in endings.iter().enumerate() {
            @if i > 0 { ", " }
            a href=(format!("{folder}/{name}.{ending}")) { (ending.to_uppercase()) }
        }
    }
}

/// The contents list.
fn contents(
    figures: &[&(&'static dyn Figure, String)],
    tables: &[(&dyn TableSpec, Grid)],
    data: &ReportData,
) -> Markup {
    html! {
        nav aria-label="contents" {
            ul {
                li { a href="#findings" { "Findings" } }
                li { a href="#figures" { "Figures" } ": "
                    @for (i, (figure, _)) in figures.iter().enumerate() {
                        @if i > 0 { ", " }
                        a href=(format!("#figure-{}", figure.name())) { (figure.name()) }
                    }
                }
                li { a href="#tables" { "Tables" } ": "
                    @for (i, (spec, _)) in tables.iter().enumerate() {
                        @if i > 0 { ", " }
                        a href=(format!("#table-{}", spec.name())) { (spec.name()) }
                    }
                }
                @if !data.examples.is_empty() { li { a href="#examples" { "Examples" } } }
                li { a href="#provenance" { "Provenance" } }
            }
        }
    }
}

fn table(grid: &Grid, file: &str) -> Markup {
    let more = grid.rows.len().saturating_sub(MOST_ROWS);
    html! {
        div.scroll {
            table.data {
                thead { tr { @for cell in &grid.headers { th { (cell) } } } }
                tbody {
                    @for row in grid.rows.iter().take(MOST_ROWS) { tr { @for cell in row { td { (cell) } } } }
                }
            }
        }
        @if more > 0 { p.note { (more) " more rows are in " (file) "." } }
        @for note in &grid.notes { p.note { (note) } }
    }
}

fn provenance(data: &ReportData) -> Markup {
    let m = &data.manifest;
    html! {
        h2 id="provenance" { "Provenance" }
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
