//! Stored predictions to tables, figures and a page. Loads no model and no image.

mod assemble;
mod cells;
mod examples;
mod figures;
mod frontier;
mod halves;
mod lm_eval;
mod methods;
mod origin;
mod page;
mod points;
mod scores;
mod tables;

use std::path::{Path, PathBuf};

pub use assemble::ReportData;
pub use cells::{CellScore, MetricValue};
pub use examples::{Confusion, ExampleView, Regression, Step};
pub use figures::{FIGURES, Sheet};
pub use frontier::{CurveReport, FrontierReport, Hypervolume, Point};
pub use methods::{MethodReport, MethodsReport};
pub use origin::Origin;
pub use page::findings;
pub use page::of_tables as page_of_tables;
pub use tables::{Best, Cell, Column, Grid, Key, Number, NumberTable, Row, Show, TABLES};

use crate::base::fs::{FileError, write_atomic};
use crate::base::table::TableError;
use crate::store::StoreError;

/// More curves than these are shown and told as methods, means over seeds.
pub const MANY_CURVES: usize = 7;

/// Why a report cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Results cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The scores table cannot be written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A figure cannot be drawn.
    #[error("figure `{figure}`: {reason}")]
    Figure {
        /// The figure.
        figure: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// There is nothing to report on.
    #[error("`{0}` holds no finished cell")]
    Empty(String),
    /// Predictions and manifest do not belong together.
    #[error("the predictions of `{variant}` on `{probe}` are of other examples than those of `{other}`")]
    Mixed {
        /// The variant.
        variant: String,
        /// The probe.
        probe: String,
        /// The variant it was compared with.
        other: String,
    },
}

/// Rebuilds scores, frontier, tables, figures and the page of a results folder; the figures beside the page are drawn on
/// `sheet`.
pub fn build(out: &Path, sheet: Sheet) -> Result<ReportData, ReportError> {
    let data = ReportData::load(out)?;
    write(&data, out, sheet)?;
    Ok(data)
}

/// Writes scores, frontier, tables, figures and the page of loaded results.
pub fn write(data: &ReportData, out: &Path, sheet: Sheet) -> Result<(), ReportError> {
    scores::write(data, out)?;
    let mut json = serde_json::to_string_pretty(&data.frontier).expect("plain data always has a JSON form");
    json.push('\n');
    write_atomic(&out.join("frontier.json"), json.as_bytes())?;
    for table in TABLES.items {
        let path = |ending: &str| out.join("tables").join(format!("{}.{ending}", table.name()));
        let Some(built) = table.build(data) else {
            remove(&["md", "csv", "tex"].map(path))?;
            continue;
        };
        write_atomic(&path("md"), built.grid().markdown().as_bytes())?;
        write_atomic(&path("csv"), built.tidy().csv().as_bytes())?;
        write_atomic(&path("tex"), built.latex(table.name()).as_bytes())?;
    }
    let mut drawn = Vec::new();
    for figure in FIGURES.items {
        let fail = |reason| ReportError::Figure { figure: figure.name(), reason };
        let path = |ending: &str| out.join("figures").join(format!("{}.{ending}", figure.name()));
        let Some(screen) = figure.draw(data, Sheet::SCREEN).map_err(fail)? else {
            remove(&["svg", "png", "pdf"].map(path))?;
            continue;
        };
        let svg = if sheet == Sheet::SCREEN { None } else { figure.draw(data, sheet).map_err(fail)? };
        let svg = svg.map_or_else(|| screen.clone(), |svg| sheet.sized(svg));
        write_atomic(&path("svg"), svg.as_bytes())?;
        let tree = figures::tree(&svg).map_err(fail)?;
        write_atomic(&path("png"), &sheet.png(&tree).map_err(fail)?)?;
        write_atomic(&path("pdf"), &figures::pdf(&tree).map_err(fail)?)?;
        drawn.push((*figure, screen));
    }
    lm_eval::write(data, out)?;
    write_atomic(&out.join("report.html"), page::page(out, data, &drawn).as_bytes())?;
    Ok(())
}

/// One page for several results folders, each with a name and a link to its own page.
///
/// # Errors
///
/// If the page cannot be written.
pub fn write_several(all: &[(String, String, ReportData)], file: &Path) -> Result<(), ReportError> {
    write_atomic(file, page::several(all).as_bytes())?;
    Ok(())
}

/// Removes what an earlier report of this folder had and this one has not: beside the new numbers it would be wrong.
fn remove(paths: &[PathBuf]) -> Result<(), ReportError> {
    for path in paths {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(FileError::new("remove", path, e).into());
            }
            _ => {}
        }
    }
    Ok(())
}
