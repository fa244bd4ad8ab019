//! `specbench report`.

use std::path::{Path, PathBuf};

use url::Url;

use crate::cli::answers::ReportAnswer;
use crate::cli::args::ReportArgs;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::cli::progress::Working;
use crate::report::{self, MANY_CURVES, ReportData, Sheet, TABLES};

pub fn report(args: &ReportArgs, output: &Output) -> Result<Exit, CliError> {
    let sheet = args.figure_width.map(|width| Sheet::print(width, args.font_size));
    let sheet = sheet.transpose().map_err(|e| CliError::new(Exit::Usage, e))?.unwrap_or_default();
    let dir = match (&args.dirs[..], &args.html) {
        ([dir], None) => dir,
        (dirs, Some(html)) => return several(dirs, html, output),
        _ => {
            let text = "several results folders make one page; name it with `--html FILE`";
            return Err(CliError::new(Exit::Usage, text.to_owned()));
        }
    };
    let working = Working::new(output, "resampling and drawing");
    let data = report::build(dir, sheet)?;
    drop(working);
    if output.json {
        output.json(&ReportAnswer::One { out: dir.clone(), frontier: Box::new(data.frontier) });
    } else {
        show(&data, dir, output);
    }
    Ok(Exit::Ok)
}

/// One page for several results folders, named as far as tells them apart.
fn several(dirs: &[PathBuf], html: &Path, output: &Output) -> Result<Exit, CliError> {
    let mut all = Vec::new();
    for dir in dirs {
        let data = ReportData::load(dir)?;
        let last =
            dir.file_name().map_or_else(|| dir.display().to_string(), |n| n.to_string_lossy().into_owned());
        let twice = dirs.iter().filter(|d| d.file_name() == dir.file_name()).count() > 1;
        let name = if twice { dir.display().to_string() } else { last };
        let page = std::path::absolute(dir.join("report.html")).unwrap_or_else(|_| dir.join("report.html"));
        let place =
            Url::from_file_path(&page).map_or_else(|()| page.display().to_string(), |u| u.to_string());
        all.push((name, place, data));
    }
    report::write_several(&all, html)?;
    if output.json {
        output.json(&ReportAnswer::Several { page: html.to_owned(), runs: dirs.to_vec() });
    } else {
        output.result(&format!("page: {}", html.display()));
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
        output.result(&grid.grid().terminal(output.width));
    }
    for finding in report::findings(data) {
        output.result(&format!("- {finding}"));
    }
    output.result(&format!("report: {}", dir.join("report.html").display()));
}
