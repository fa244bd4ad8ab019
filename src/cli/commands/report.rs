//! `specbench report`.

use std::path::Path;

use serde_json::json;

use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::report::{self, MANY_CURVES, ReportData, TABLES};

pub fn report(dir: &Path, output: &Output) -> Result<Exit, CliError> {
    let data = report::build(dir)?;
    if output.json {
        output.json("report", json!({ "out": dir, "frontier": data.frontier }));
    } else {
        show(&data, dir, output);
    }
    Ok(Exit::Ok)
}

/// The frontier table, or the probes where there is no frontier, and where the rest lies.
pub fn show(data: &ReportData, dir: &Path, output: &Output) {
    let table = |name| TABLES.get(name).and_then(|t| t.build(data));
    // Of many curves, their methods.
    let many = data.manifest.curves.len() > MANY_CURVES;
    let methods = if many { table("methods") } else { None };
    if let Some(grid) = methods.or_else(|| table("frontier")).or_else(|| table("probes")) {
        output.result(&grid.terminal(output.width));
    }
    for finding in report::findings(data) {
        output.result(&format!("- {finding}"));
    }
    output.result(&format!("report: {}", dir.join("report.html").display()));
}
