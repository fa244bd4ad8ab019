//! `specbench import`.

use std::collections::BTreeMap;

use crate::cli::answers::ImportAnswer;
use crate::cli::args::ImportArgs;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::import::{self, FORMATS, ImportError, Wanted};

/// Left-out lines that are shown; the rest is counted.
const SHOWN: usize = 10;

pub fn import(args: &ImportArgs, output: &Output) -> Result<Exit, CliError> {
    let format = FORMATS.get(&args.format).ok_or_else(|| {
        let (message, help) = FORMATS.unknown(&args.format);
        ImportError::Unfit(format!("{message}; {help}"))
    })?;
    let examples: BTreeMap<String, usize> = args.examples.iter().cloned().collect();
    let (found, left_out) = format.read(&args.paths)?;
    for line in left_out.iter().take(SHOWN) {
        output.note(&format!("left out: {line}"));
    }
    if left_out.len() > SHOWN {
        output.note(&format!("left out: {} more", left_out.len() - SHOWN));
    }
    let wanted = Wanted {
        out: args.out.clone(),
        format: format.name(),
        pretrained: args.pretrained.clone(),
        speciality: args.speciality.clone(),
        selection: args.selection.clone(),
        examples,
        command: std::env::args().collect(),
    };
    let imported = import::import(found, &wanted)?;
    let (with_examples, all) = imported.cells;
    if output.json {
        output.json(&ImportAnswer {
            out: args.out.clone(),
            cells: all,
            with_examples,
            left_out,
            frontier: imported.data.frontier,
        });
    } else {
        super::report::show(&imported.data, &args.out, output);
        output.result(&format!("{all} scores, {with_examples} of them with their examples"));
    }
    Ok(Exit::Ok)
}
