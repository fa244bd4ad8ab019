//! The person at the terminal: arguments, progress, messages, exit codes. The only module that
//! prints and the only one that reads the environment.

mod args;
mod commands;
mod error;
mod output;
mod progress;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser as _;

use args::Cli;
use error::{CliError, Exit};
use output::Output;

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    let output = Output::new(&cli.global);
    let stop = Arc::new(AtomicBool::new(false));
    watch_interrupt(&stop);
    let threads = cli
        .global
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let result = match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(|| commands::dispatch(&cli, &output, &stop)),
        Err(error) => Err(CliError::new(Exit::Internal, format!("cannot start {threads} threads: {error}"))),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            output.error(&error.message);
            error.exit.into()
        }
    }
}

/// The first interrupt asks for an orderly stop, the second ends the process.
fn watch_interrupt(stop: &Arc<AtomicBool>) {
    let flag = Arc::clone(stop);
    // Without a handler an interrupt still ends the process, so a failure here is no reason to stop.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
}
