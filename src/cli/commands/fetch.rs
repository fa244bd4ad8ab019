//! `specbench data fetch`.

use indicatif::HumanBytes;
use serde_json::json;

use crate::base::hub::{HubError, HubRepository};
use crate::catalog::{Catalog, DatasetEntry};
use crate::cli::args::FetchArgs;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::report::Grid;

/// One file that is wanted.
struct Wanted<'a> {
    entry: &'a DatasetEntry,
    split: &'a str,
    repository: HubRepository,
    file: String,
    here: bool,
    bytes: u64,
}

pub fn fetch(catalog: &Catalog, args: &FetchArgs, output: &Output) -> Result<Exit, CliError> {
    let fail = |e: HubError| CliError::new(Exit::Unmeasured, e.to_string());
    let mut wanted = Vec::new();
    for name in &args.names {
        let entry = catalog.dataset(name)?;
        if entry.splits.values().all(|s| catalog.on_hub(s).is_empty()) {
            let text = format!("data set `{name}` has no source on the hub; {}", entry.obtain);
            return Err(CliError::new(Exit::Usage, text));
        }
    }
    for entry in catalog.entries().filter(|e| args.names.is_empty() || args.names.contains(&e.name)) {
        for split in entry.splits.values() {
            for (repository, path) in catalog.on_hub(split) {
                for file in files(catalog, &repository, &path).map_err(fail)? {
                    let here = catalog.hub().path(&repository, &file).is_file();
                    let bytes = if here {
                        std::fs::metadata(catalog.hub().path(&repository, &file)).map_or(0, |m| m.len())
                    } else {
                        catalog.hub().size(&repository, &file).map_err(fail)?
                    };
                    let (repository, split) = (repository.clone(), split.name.as_str());
                    wanted.push(Wanted { entry, split, repository, file, here, bytes });
                }
            }
        }
    }
    show(&wanted, output);
    if args.plan {
        return Ok(Exit::Ok);
    }
    for file in wanted.iter().filter(|w| !w.here) {
        catalog.hub().file(&file.repository, &file.file).map_err(fail)?;
    }
    Ok(Exit::Ok)
}

/// The files that a path of the registry stands for: itself, or all below it if it is a folder. What is in the
/// cache as a file needs no network.
fn files(catalog: &Catalog, repository: &HubRepository, path: &str) -> Result<Vec<String>, HubError> {
    if catalog.hub().path(repository, path).is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let folder = format!("{}/", path.trim_end_matches('/'));
    let names = catalog.hub().list(repository)?;
    let found: Vec<String> = names.into_iter().filter(|n| n == path || n.starts_with(&folder)).collect();
    if found.is_empty() {
        let (file, repository) = (format!("`{path}`"), repository.clone());
        return Err(HubError::Unknown { file, repository });
    }
    Ok(found)
}

fn show(wanted: &[Wanted<'_>], output: &Output) {
    let missing: u64 = wanted.iter().filter(|w| !w.here).map(|w| w.bytes).sum();
    if output.json {
        let files: Vec<_> = wanted
            .iter()
            .map(|w| {
                json!({"dataset": w.entry.name, "split": w.split, "repository": w.repository.to_string(),
                    "file": w.file, "bytes": w.bytes, "here": w.here, "licence": w.entry.licence})
            })
            .collect();
        output.result(&json!({"files": files, "bytes_to_fetch": missing}).to_string());
        return;
    }
    let row = |w: &Wanted<'_>| {
        vec![
            w.entry.name.clone(),
            w.split.to_owned(),
            format!("{}/{}", w.repository, w.file),
            HumanBytes(w.bytes).to_string(),
            if w.here { "here" } else { "to fetch" }.to_owned(),
            w.entry.licence.clone(),
        ]
    };
    let grid = Grid {
        title: "Files on the hub".to_owned(),
        headers: ["data set", "split", "file", "size", "state", "licence"].map(str::to_owned).to_vec(),
        rows: wanted.iter().map(row).collect(),
        notes: vec![format!("{} to fetch", HumanBytes(missing))],
    };
    output.result(&grid.terminal());
}
