//! `specbench doctor`.

use std::path::Path;

use super::places;
use crate::cli::answers::{DoctorAnswer, DoctorItem};
use crate::cli::args::{ModelArgs, SourceArgs};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::doctor::{Check, State, brought_along, canaries, device, folder, processor};
use crate::report::Grid;

pub fn doctor(model: &ModelArgs, sources: &SourceArgs, output: &Output) -> Result<Exit, CliError> {
    let built_in = places::built_in()?;
    let numerics = super::numerics(model);
    let mut checks =
        vec![processor(), device(numerics.as_ref().map_err(|e| e.message.clone())), brought_along(&built_in)];
    if let Ok(numerics) = &numerics {
        let catalog = places::catalog(sources, None, output)?;
        checks.extend(canaries(&built_in, &catalog, numerics));
    }
    checks.push(folder("results", Path::new("reports")));
    checks.push(folder("crops and digests", Path::new(".cache")));
    checks.push(folder("hub cache", places::hub(&sources.hub, output).cache()));
    let bad = checks.iter().filter(|c| c.state == State::Bad).count();
    show(&checks, output);
    if bad > 0 {
        return Err(CliError::new(Exit::Unmeasured, format!("{bad} of {} checks failed", checks.len())));
    }
    Ok(Exit::Ok)
}

fn show(checks: &[Check], output: &Output) {
    if output.json {
        let one = |c: &Check| DoctorItem {
            check: c.what.to_owned(),
            state: c.state.name().to_owned(),
            found: c.found.clone(),
            advice: c.advice.clone(),
        };
        output.json(&DoctorAnswer { items: checks.iter().map(one).collect() });
        return;
    }
    let row = |c: &Check| vec![c.what.to_owned(), c.state.name().to_owned(), c.found.clone()];
    let advice = |c: &Check| c.advice.as_ref().map(|a| format!("{}: {a}", c.what));
    let grid = Grid {
        title: format!("specbench {}", env!("CARGO_PKG_VERSION")),
        headers: ["check", "state", "found"].map(str::to_owned).to_vec(),
        rows: checks.iter().map(row).collect(),
        notes: checks.iter().filter_map(advice).collect(),
    };
    output.verdicts(&grid.terminal(output.width), &[" ok "], &[" BAD "]);
}
