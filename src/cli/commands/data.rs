//! `specbench data`.

use std::path::Path;

use super::places;
use crate::base::python_random::PythonRandom;
use crate::catalog::{Catalog, CatalogError, Split, State};
use crate::cli::answers::{DataItem, DataListAnswer, ShotsAnswer, SplitItem, VerifyAnswer, VerifyItem};
use crate::cli::args::{BuildArgs, Buildable, DataCommand, ShotsArgs, SplitArgs};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::data::write_split;
use crate::emoji::{self, BuildOptions};
use crate::report::Grid;

pub fn data(command: &DataCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        DataCommand::List { registry } => list(&places::registry(registry, None, output)?, output),
        DataCommand::Build(args) => build(args, output),
        DataCommand::Verify { names, archives, sources } => {
            verify(&places::catalog(sources, None, output)?, names, archives.as_deref(), output)
        }
        DataCommand::Split(args) => split(args, output),
        DataCommand::Shots(args) => shots(&places::catalog(&args.sources, None, output)?, args, output),
        DataCommand::Fetch(args) => {
            super::fetch::fetch(&places::catalog(&args.sources, None, output)?, args, output)
        }
    }
}

/// The table of `data list` and `list datasets`.
pub fn list(catalog: &Catalog, output: &Output) -> Result<Exit, CliError> {
    let headers = ["data set", "summary", "licence", "splits (examples)"];
    let rows = catalog.entries().map(|entry| {
        let here = |s: &Split| if catalog.files(s).iter().all(|f| f.exists()) { "" } else { ", not here" };
        let count = |s: &Split| s.examples.map_or_else(|| "?".to_owned(), |n| n.to_string());
        let splits = entry.splits.values().map(|s| format!("{} ({}{})", s.name, count(s), here(s)));
        vec![
            entry.name.clone(),
            entry.summary.clone(),
            entry.licence.clone(),
            splits.collect::<Vec<_>>().join(", "),
        ]
    });
    if output.json {
        let split = |s: &Split| {
            let here = catalog.files(s).iter().all(|f| f.exists());
            SplitItem { split: s.name.clone(), examples: s.examples, here }
        };
        let one = |e: &crate::catalog::DatasetEntry| DataItem {
            name: e.name.clone(),
            summary: e.summary.clone(),
            layout: e.layout.clone(),
            licence: e.licence.clone(),
            origin: e.origin.clone(),
            splits: e.splits.values().map(split).collect(),
        };
        output.json(&DataListAnswer { items: catalog.entries().map(one).collect() });
        return Ok(Exit::Ok);
    }
    let grid = Grid {
        title: "Data sets".to_owned(),
        headers: headers.map(str::to_owned).to_vec(),
        rows: rows.collect(),
        notes: vec![],
    };
    output.result(&grid.terminal(output.width));
    Ok(Exit::Ok)
}

fn build(args: &BuildArgs, output: &Output) -> Result<Exit, CliError> {
    let Buildable::Emoji = args.dataset;
    let options = BuildOptions {
        source: args.source.clone(),
        out: args.out.clone(),
        train_out: args.train.then(|| args.train_out.clone()),
        ..BuildOptions::default()
    };
    let summary = emoji::build(&options, |file| {
        output.note(&format!("{}: {} images, {} bytes", file.path.display(), file.examples, file.bytes));
    })?;
    for file in &summary.files {
        output.result(&format!("{}  {}", file.digest, file.path.display()));
    }
    let total: u64 = summary.files.iter().map(|f| f.bytes).sum();
    output.note(&format!(
        "{} concepts, {} files, {total} bytes",
        summary.concepts.len(),
        summary.files.len()
    ));
    Ok(Exit::Ok)
}

fn split(args: &SplitArgs, output: &Output) -> Result<Exit, CliError> {
    let fits = |share: f64| share > 0.0 && share < 1.0;
    if !fits(args.train) || !fits(args.val) || args.train + args.val >= 1.0 {
        let text = "`--train` and `--val` must be above 0 and leave a share for testing";
        return Err(CliError::new(Exit::Usage, text));
    }
    let sizes = write_split(&args.root, &args.out, args.seed, args.train, args.val)
        .map_err(|e| CliError::new(Exit::Unmeasured, e.to_string()))?;
    let [train, val, test] = sizes;
    output.result(&format!("{}: train {train}, val {val}, test {test}", args.out.display()));
    Ok(Exit::Ok)
}

fn shots(catalog: &Catalog, args: &ShotsArgs, output: &Output) -> Result<Exit, CliError> {
    let entry = catalog.dataset(&args.dataset)?;
    let split = catalog.split(entry, &args.split)?;
    let fail = |e: CatalogError| CliError::new(Exit::Unmeasured, e.to_string());
    let data = catalog.open_split(entry, split).map_err(fail)?.data;
    let labels: Vec<u32> = data.examples().iter().map(|e| e.label).collect();
    let mut random = PythonRandom::new(args.seed);
    let chosen = catalog.draw_shots(entry, &split.name, &labels, args.shots, &mut random).map_err(fail)?;
    let ids: Vec<&str> = chosen.iter().map(|&i| data.examples()[i].id.as_str()).collect();
    if output.json {
        output.json(&ShotsAnswer { items: ids.iter().map(|id| (*id).to_owned()).collect() });
    } else {
        output.result(&ids.join("\n"));
    }
    Ok(Exit::Ok)
}

fn verify(
    catalog: &Catalog,
    names: &[String],
    archives: Option<&Path>,
    output: &Output,
) -> Result<Exit, CliError> {
    for name in names {
        catalog.dataset(name)?;
    }
    let mut verdicts = Vec::new();
    for entry in catalog.chosen(names) {
        verdicts.extend(catalog.verify(entry, archives, |what| output.detail(&format!("looking at {what}"))));
    }
    let count = |state| verdicts.iter().filter(|v| v.state == state).count();
    let (bad, missing) = (count(State::Bad), count(State::Missing));
    if output.json {
        let items = verdicts
            .iter()
            .map(|v| VerifyItem {
                dataset: v.dataset.clone(),
                split: v.part.clone(),
                state: v.state.name().to_owned(),
                detail: v.detail.clone(),
            })
            .collect();
        output.json(&VerifyAnswer { items });
    } else {
        for v in &verdicts {
            output.result(&format!("{:8} {} {}: {}", v.state.name(), v.dataset, v.part, v.detail));
        }
    }
    // Asking for a data set by name means that it should be here.
    if bad > 0 || (missing > 0 && !names.is_empty()) {
        let named = |state: State| -> String {
            let all: Vec<String> = verdicts
                .iter()
                .filter(|v| v.state == state)
                .map(|v| format!("{} {}", v.dataset, v.part))
                .collect();
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        };
        let message =
            format!("differ from the registry: {}; missing: {}", named(State::Bad), named(State::Missing));
        return Err(CliError::new(Exit::Unmeasured, message));
    }
    Ok(Exit::Ok)
}
