//! `specbench compare`, `check` and `bless`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::base::fs::write_atomic;
use crate::cli::answers::{BlessAnswer, CheckAnswer};
use crate::cli::args::{BlessArgs, CheckArgs, CompareArgs};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::cli::progress::Working;
use crate::compare::{
    CompareError, Comparison, GateOutcome, Options, Side, annotations, cells_table, check as judge,
    curves_table, junit, not_measured, summary, verdict_line, verdicts_grid,
};
use crate::report::Grid;
use crate::stats::Resampling;
use crate::store::Manifest;
use crate::suite::GateSpec;

/// How the second side's suite computes its statistics.
fn options(manifest: &Manifest) -> Options {
    let stats = manifest.suite.stats;
    let resampling = Resampling { seed: stats.seed, resamples: stats.resamples };
    Options { confidence: stats.confidence, resampling }
}

pub fn compare(args: &CompareArgs, output: &Output) -> Result<Exit, CliError> {
    let (before, after) = (Side::of_results(&args.a)?, Side::of_results(&args.b)?);
    let manifest = Manifest::read(&args.b).map_err(CompareError::from)?;
    let working = Working::new(output, "resampling both sides");
    let comparison = Comparison::new(&before, &after, &options(&manifest))?;
    drop(working);
    let (cells, curves) = (cells_table(&comparison), curves_table(&comparison));
    if let Some(out) = &args.out {
        let tables = [
            ("cells", cells.tidy()),
            ("curves", curves.tidy()),
            ("flips", comparison.flips_grid()),
            ("classes", comparison.classes_grid()),
        ];
        for (name, grid) in tables {
            write(&out.join(format!("{name}.csv")), &grid.csv())?;
        }
        let mut text = cells.grid().markdown();
        text.push('\n');
        text.push_str(&curves.grid().markdown());
        write(&out.join("compare.md"), &text)?;
    }
    if let Some(file) = &args.html {
        let words = [
            format!("from {} to {}", args.a.display(), args.b.display()),
            moved(&comparison, manifest.suite.stats.confidence),
        ];
        let (cells, curves) = (cells.grid(), curves.grid());
        let (classes, flips) = (comparison.classes_grid(), comparison.flips_grid());
        let tables = [
            (&cells, "cells.csv"),
            (&curves, "curves.csv"),
            (&classes, "classes.csv"),
            (&flips, "flips.csv"),
        ];
        let tables: Vec<_> = tables.into_iter().filter(|t| !t.0.rows.is_empty()).collect();
        write(file, &crate::report::page_of_tables("Comparison", &words, &tables))?;
        output.note(&format!("page: {}", file.display()));
    }
    if output.json {
        output.json(&comparison);
        return Ok(Exit::Ok);
    }
    output.result(&cells.grid().terminal(output.width));
    if !comparison.curves.is_empty() {
        output.result(&curves.grid().terminal(output.width));
    }
    notes(&comparison, output);
    if let Some(worst) = comparison.cells.iter().min_by(|x, y| x.difference.total_cmp(&y.difference)) {
        output.result(&worst_classes(worst).terminal(output.width));
    }
    if let Some(out) = &args.out {
        output.note(&format!("flips, classes and the tables: {}", out.display()));
    }
    Ok(Exit::Ok)
}

/// How many cells moved beyond chance.
fn moved(comparison: &Comparison, confidence: f64) -> String {
    let sure = |sign: f64| {
        let cells = comparison.cells.iter();
        cells.filter(|c| c.p_holm <= 1.0 - confidence && c.difference * sign > 0.0).count()
    };
    let all = comparison.cells.len();
    format!("of {all} results {} rose and {} fell beyond chance (Holm-adjusted)", sure(1.0), sure(-1.0))
}

/// What only one side has, and what else the reader should know.
fn notes(comparison: &Comparison, output: &Output) {
    let unpaired = comparison.unpaired.iter().map(ToString::to_string);
    for remark in unpaired.chain(comparison.remarks.iter().cloned()) {
        output.note(&format!("note: {remark}"));
    }
}

/// The classes of the cell that fell most.
fn worst_classes(cell: &crate::compare::CellChange) -> Grid {
    let row = |c: &crate::compare::ClassChange| {
        vec![c.class.clone(), c.n.to_string(), c.gained.to_string(), c.lost.to_string()]
    };
    Grid {
        title: format!("Classes that changed most: {} on {}", cell.variant, cell.probe),
        headers: ["class", "n", "gained", "lost"].map(str::to_owned).to_vec(),
        rows: cell.classes.iter().take(5).map(row).collect(),
        notes: vec![],
    }
}

pub fn bless(args: &BlessArgs, output: &Output) -> Result<Exit, CliError> {
    let side = Side::of_results(&args.dir)?;
    let manifest = Manifest::read(&args.dir).map_err(CompareError::from)?;
    if side.cells.is_empty() || side.cells.len() < manifest.planned {
        let text = format!(
            "{} of {} results are finished; a baseline must be complete",
            side.cells.len(),
            manifest.planned
        );
        return Err(CliError::new(Exit::Unmeasured, text));
    }
    side.write(&args.to)?;
    output.note(&format!(
        "{}: {} variants, {} probes, {} results",
        args.to.display(),
        side.variants.len(),
        side.probes.len(),
        side.cells.len()
    ));
    if output.json {
        let (variants, probes, cells) = (side.variants.len(), side.probes.len(), side.cells.len());
        output.json(&BlessAnswer { baseline: args.to.clone(), variants, probes, cells });
    }
    Ok(Exit::Ok)
}

/// The verdict of a gate that cannot be judged; the error that follows says why.
fn say_not_measured(output: &Output) {
    if !output.json {
        output.result("verdict: not measured");
    }
}

pub fn check(args: &CheckArgs, output: &Output) -> Result<Exit, CliError> {
    for (flag, value, bounds) in [
        ("--tolerance", args.tolerance, GateSpec::TOLERANCE),
        ("--significance", args.significance, GateSpec::SIGNIFICANCE),
    ] {
        if let Some(value) = value.filter(|v| !bounds.contains(v)) {
            say_not_measured(output);
            let (low, high) = (bounds.start(), bounds.end());
            return Err(CliError::new(Exit::Usage, format!("`{flag} {value}` must be from {low} to {high}")));
        }
    }
    let before = match Side::of_baseline(&args.baseline) {
        Err(CompareError::File(e)) if e.is_missing() => {
            let text = format!("{e}; write a baseline with `specbench bless DIR --to FILE`");
            return Err(CliError::new(Exit::Incomparable, text));
        }
        other => other?,
    };
    let after = Side::of_results(&args.dir)?;
    let manifest = Manifest::read(&args.dir).map_err(CompareError::from)?;
    let mut gate: GateSpec = manifest.suite.gate.clone();
    gate.tolerance = args.tolerance.unwrap_or(gate.tolerance);
    gate.significance = args.significance.unwrap_or(gate.significance);
    let comparison = Comparison::new(&before, &after, &options(&manifest))?;
    let verdicts = judge(&comparison, &after, &gate);
    let mut lost = not_measured(&comparison, &before, &after, &gate);
    if verdicts.is_empty() && lost.is_empty() {
        lost.push("no gated metric".to_owned());
    }
    if !lost.is_empty() {
        say_not_measured(output);
        let text = format!("what the baseline holds was not measured: {}", lost.join("; "));
        return Err(CliError::new(Exit::Unmeasured, text));
    }
    let failed = verdicts.iter().any(|v| v.outcome == GateOutcome::Regression);
    if let Some(path) = &args.junit {
        write(path, &junit(&after.suite, &verdicts))?;
    }
    let page = summary(&after.suite, &verdicts);
    if let Some(path) = &args.summary {
        write(path, &page)?;
    }
    if let Some(path) = args.step_summary.as_ref().filter(|p| !p.as_os_str().is_empty()) {
        append(path, &page)?;
    }
    if args.github {
        let lines = annotations(&verdicts);
        if !lines.is_empty() {
            output.result(&lines);
        }
    }
    if output.json {
        let verdict = if failed { "regression" } else { "pass" }.to_owned();
        output.json(&CheckAnswer { verdict, gate: gate.clone(), metrics: verdicts });
    } else {
        let table = verdicts_grid(&verdicts, 8).terminal(output.width);
        output.verdicts(&table, &[" pass "], &[" REGRESSION "]);
        notes(&comparison, output);
        output.verdicts(&verdict_line(&verdicts), &["pass"], &["regression"]);
    }
    Ok(if failed { Exit::Regression } else { Exit::Ok })
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    Ok(write_atomic(path, text.as_bytes()).map_err(CompareError::from)?)
}

/// GitHub's step summary collects what all steps append.
fn append(path: &PathBuf, text: &str) -> Result<(), CliError> {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut f| f.write_all(text.as_bytes()))
        .map_err(|e| CliError::new(Exit::Internal, format!("cannot append to `{}`: {e}", path.display())))
}
