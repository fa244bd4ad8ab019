//! `specbench init`.

use std::path::{Path, PathBuf};

use super::places;
use crate::cli::answers::InitAnswer;
use crate::cli::args::InitArgs;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::init::{InitError, InitRequest, init as write};
use crate::plan::Plan;
use crate::suite::Suite;

pub fn init(args: &InitArgs, output: &Output) -> Result<Exit, CliError> {
    let request = InitRequest {
        data: args.folder.clone(),
        from: args.from.clone(),
        to: args.to.clone(),
        // The working folder goes without saying.
        out: if args.out == Path::new(".") { PathBuf::new() } else { args.out.clone() },
        force: args.force,
    };
    let written = write(&request)?;
    for remark in &written.remarks {
        output.note(remark);
    }
    for file in &written.files {
        output.note(&format!("wrote {}", file.display()));
    }
    // What is written must run: it is planned as `run` would.
    let catalog = places::catalog(&args.sources, Some(&written.suite), output)?;
    let suite = Suite::open(&written.suite, &catalog)?;
    // Whatever computes it later.
    let numerics = crate::model::numerics("cpu", "f32");
    let numerics = numerics.map_err(|e| CliError::new(Exit::Internal, e.to_string()))?;
    let plan = Plan::new(suite, &catalog, None, numerics, None)?;
    for fallback in plan.fallbacks() {
        output.warning(&fallback);
    }
    let (variants, probes) = (plan.variants.len(), plan.probes.len());
    output.note(&format!("{variants} models on {probes} probes; look at the suite, then"));
    if output.json {
        let (suite, files, remarks) = (written.suite, written.files, written.remarks);
        output.json(&InitAnswer { suite, files, remarks, variants, probes });
    } else {
        output.result(&format!("specbench run {}", written.suite.display()));
    }
    Ok(Exit::Ok)
}

impl From<InitError> for CliError {
    fn from(error: InitError) -> Self {
        let exit = match &error {
            InitError::Unfit { .. } => Exit::Usage,
            _ => Exit::Unmeasured,
        };
        Self::new(exit, error.to_string())
    }
}
