//! `specbench data fetch`.

use indicatif::HumanBytes;

use crate::catalog::{Archive, Catalog, DatasetEntry, FetchError, Wanted};
use crate::cli::answers::{FetchAnswer, FetchArchive, FetchFile};
use crate::cli::args::FetchArgs;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::report::Grid;

pub fn fetch(catalog: &Catalog, args: &FetchArgs, output: &Output) -> Result<Exit, CliError> {
    let wanted = match catalog.wanted(&args.names) {
        // What is got by hand still has addresses and sizes to plan with.
        Err(FetchError::ByHand { name, .. }) if args.plan && !catalog.dataset(&name)?.archives.is_empty() => {
            Vec::new()
        }
        Err(FetchError::Catalog(error)) => return Err(error.into()),
        Err(error @ FetchError::ByHand { .. }) => return Err(CliError::new(Exit::Usage, error.to_string())),
        Err(FetchError::Hub(error)) => return Err(CliError::new(Exit::Unmeasured, error.to_string())),
        Ok(wanted) => wanted,
    };
    let archives: Vec<(&DatasetEntry, &Archive)> =
        catalog.chosen(&args.names).flat_map(|e| e.archives.iter().map(move |a| (e, a))).collect();
    show(&wanted, if args.plan { &archives } else { &[] }, output);
    if args.plan {
        return Ok(Exit::Ok);
    }
    for file in wanted.iter().filter(|w| !w.here) {
        let got = catalog.hub().file(&file.repository, &file.file);
        got.map_err(|e| CliError::new(Exit::Unmeasured, e.to_string()))?;
    }
    Ok(Exit::Ok)
}

/// What would be fetched, for programs.
fn answer(wanted: &[Wanted<'_>], archives: &[(&DatasetEntry, &Archive)], missing: u64) -> FetchAnswer {
    let file = |w: &Wanted<'_>| FetchFile {
        dataset: w.entry.name.clone(),
        split: w.split.to_owned(),
        repository: w.repository.to_string(),
        file: w.file.to_string(),
        bytes: w.bytes,
        here: w.here,
        licence: w.entry.licence.clone(),
    };
    let archive = |(e, a): &(&DatasetEntry, &Archive)| FetchArchive {
        dataset: e.name.clone(),
        file: a.file.to_string(),
        url: a.url.to_string(),
        bytes: a.bytes,
        sha256: a.sha256.as_str().to_owned(),
        licence: e.licence.clone(),
    };
    FetchAnswer {
        files: wanted.iter().map(file).collect(),
        bytes_to_fetch: missing,
        archives: archives.iter().map(archive).collect(),
    }
}

fn show(wanted: &[Wanted<'_>], archives: &[(&DatasetEntry, &Archive)], output: &Output) {
    let missing: u64 = wanted.iter().filter(|w| !w.here).map(|w| w.bytes).sum();
    if output.json {
        output.json(&answer(wanted, archives, missing));
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
    if !wanted.is_empty() || archives.is_empty() {
        output.result(&grid.terminal(output.width));
    }
    if archives.is_empty() {
        return;
    }
    let row = |(e, a): &(&DatasetEntry, &Archive)| {
        vec![
            e.name.clone(),
            a.file.clone(),
            HumanBytes(a.bytes).to_string(),
            a.url.clone(),
            e.licence.clone(),
        ]
    };
    let grid = Grid {
        title: "Archives to get by hand".to_owned(),
        headers: ["data set", "file", "size", "address", "licence"].map(str::to_owned).to_vec(),
        rows: archives.iter().map(row).collect(),
        notes: vec!["`specbench data verify --archives FOLDER` checks them".to_owned()],
    };
    output.result(&grid.terminal(output.width));
}
