//! One file per command: arguments to one call of the library, and its result to text.

mod compare;
mod data;
mod doctor;
mod fetch;
mod import;
mod init;
mod inspect;
mod keys;
mod list;
mod merge;
mod places;
mod plan;
mod report;
mod run;
mod shell;
mod slurm;
mod tune;

use std::path::{Path, PathBuf};

use super::args::{Cli, Command, DtypeArg, ModelArgs, SelectArgs, SourceArgs};
use super::error::{CliError, Exit};
use super::output::Output;
use super::stop::Stop;
use crate::base::embedded::Kind;
use crate::catalog::Catalog;
use crate::model::Numerics;
use crate::plan::{Plan, Until};
use crate::suite::Suite;

/// The command line as it may be stored: without secrets. Arguments that are no text are shown as well as they can be.
fn command_line() -> Vec<String> {
    let mut hide_next = false;
    let shown = std::env::args_os().map(|argument| {
        let text = argument.to_string_lossy().into_owned();
        if std::mem::take(&mut hide_next) {
            return "***".to_owned();
        }
        hide_next = text == "--hub-token";
        match text.split_once('=') {
            Some(("--hub-token", _)) => "--hub-token=***".to_owned(),
            _ => text,
        }
    });
    shown.collect()
}

/// Runs the chosen command.
pub fn dispatch(cli: &Cli, output: &Output, stop: &Stop) -> Result<Exit, CliError> {
    match &cli.command {
        Command::Run(args) => run::run(args, output, stop),
        Command::Slurm(args) => slurm::slurm(args, output),
        Command::Plan { suite, select, model, sources } => {
            plan::plan(suite, select, (model, sources), output)
        }
        Command::Report(args) => report::report(args, output),
        Command::Init(args) => init::init(args, output),
        Command::Tune(args) => tune::tune(args, output, stop),
        Command::Data { command } => data::data(command, output),
        Command::List { what, registry } => list::list(*what, registry, output),
        Command::Inspect { checkpoint, base, classes, hub } => {
            let at = |path: &Path| places::checkpoint(hub, path, output);
            let base = base.as_deref().map(at).transpose()?;
            inspect::inspect(&at(checkpoint)?, base.as_deref(), classes.as_deref(), output)
        }
        Command::Compare(args) => compare::compare(args, output),
        Command::Check(args) => compare::check(args, output),
        Command::Bless(args) => compare::bless(args, output),
        Command::Merge(args) => merge::merge(args, output),
        Command::Import(args) => import::import(args, output),
        Command::Doctor { model, sources } => doctor::doctor(model, sources, output),
        Command::Keys(args) => keys::keys(args, output),
        Command::Completions { shell } => Ok(shell::completions(*shell, output)),
        Command::Man { dir } => shell::man(dir, output),
    }
}

/// Device and type as results know them.
fn numerics(model: &ModelArgs) -> Result<Numerics, CliError> {
    let dtype = match model.dtype {
        DtypeArg::Auto | DtypeArg::F32 => "f32",
        DtypeArg::Bf16 => "bf16",
        DtypeArg::F16 => "f16",
    };
    crate::model::numerics(&model.device, dtype).map_err(|e| CliError::new(Exit::Usage, e.to_string()))
}

/// Reads suite and registry and makes the plan.
fn make_plan(
    (model, sources): (&ModelArgs, &SourceArgs),
    output: &Output,
    suite: &Path,
    select: &SelectArgs,
    until: Option<Until>,
    soups: impl FnOnce(&mut Suite, &Catalog, &Numerics, &Path) -> Result<(), CliError>,
) -> Result<(Plan, PathBuf), CliError> {
    let suite = places::file_of(Kind::Suite, suite, output)?;
    let catalog = places::catalog(sources, Some(&suite), output)?;
    let mut suite = Suite::open(&suite, &catalog)?;
    let out = select.out.clone().unwrap_or_else(|| PathBuf::from("reports").join(&suite.name));
    let numerics = numerics(model)?;
    if suite.checkpoints.iter().any(|c| c.combine.as_ref().is_some_and(|c| c.select.is_some())) {
        soups(&mut suite, &catalog, &numerics, &out)?;
    }
    let plan = Plan::new(suite, &catalog, select.limit, numerics, until);
    catalog.digests().keep();
    let plan = plan?;
    if let Some(pattern) = only(select)?
        && !plan.cells.iter().any(|c| pattern.matches(&plan.cell_name(c)))
    {
        let text = format!("`--only {pattern}` matches no result; results are called `variant/probe`");
        return Err(CliError::new(Exit::Usage, text));
    }
    for fallback in plan.fallbacks() {
        output.warning(&fallback);
    }
    Ok((plan, out))
}

/// The glob of `--only`.
fn only(select: &SelectArgs) -> Result<Option<glob::Pattern>, CliError> {
    let compile = |text: &String| {
        glob::Pattern::new(text)
            .map_err(|e| CliError::new(Exit::Usage, format!("`--only {text}` is not a glob: {e}")))
    };
    select.only.as_ref().map(compile).transpose()
}
