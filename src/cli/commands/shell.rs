//! Completions and manual pages, from the definitions of the command line.

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::base::fs::write_atomic;
use crate::cli::args::Cli;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;

/// The name that the program is called by.
const NAME: &str = "specbench";

pub fn completions(shell: Shell, output: &Output) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
    output.result(&String::from_utf8_lossy(&text));
    Exit::Ok
}

/// One page for the program and one for each command.
pub fn man(folder: &Path, output: &Output) -> Result<Exit, CliError> {
    let fail = |e: &dyn std::fmt::Display| CliError::new(Exit::Internal, e.to_string());
    let mut command = Cli::command();
    command.build();
    let pages = std::iter::once((NAME.to_owned(), command.clone()))
        .chain(command.get_subcommands().map(|c| (format!("{NAME}-{}", c.get_name()), c.clone())));
    for (name, command) in pages {
        let mut text = Vec::new();
        clap_mangen::Man::new(command).render(&mut text).map_err(|e| fail(&e))?;
        let path = folder.join(format!("{name}.1"));
        write_atomic(&path, &text).map_err(|e| fail(&e))?;
        output.result(&path.display().to_string());
    }
    Ok(Exit::Ok)
}
