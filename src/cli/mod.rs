//! The person at the terminal: arguments, progress, messages, exit codes. The only module that
//! prints and the only one that reads the environment.

mod answers;
mod args;
mod commands;
mod common_args;
mod data_args;
mod error;
mod output;
mod parsers;
mod progress;
mod stop;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use crate::base::guard::is_guarded;
use answers::ErrorAnswer;
use args::Cli;
use clap::Parser as _;
use error::{CliError, Exit};
use output::Output;
use stop::Stop;

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
    let stop = Stop::watch(&output);
    quiet_panics();
    let threads = threads(cli.global.threads, &output);
    let work = || match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(|| commands::dispatch(&cli, &output, &stop)),
        Err(error) => Err(CliError::new(Exit::Internal, format!("cannot start {threads} threads: {error}"))),
    };
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let text = "this program has a fault; what is finished is kept. Please report the line above with the command";
        Err(CliError::new(Exit::Internal, text))
    });
    let exit = match result {
        Ok(exit) => exit,
        Err(error) => {
            output.error(&error.message);
            // One object, whatever happens: a result that says what is wrong is enough.
            if output.json && !output.has_answered() {
                output.json(&ErrorAnswer { message: error.message, exit: error.exit as u8 });
            }
            error.exit
        }
    };
    match output.failure() {
        Some(reason) if exit == Exit::Ok => {
            output.error(&format!("cannot write to standard output: {reason}"));
            Exit::Internal.into()
        }
        _ => exit.into(),
    }
}

/// A panic is one line here, and none where somebody catches it and says it better.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        // A panic on a thread of polars is thrown again on the thread that waits for it.
        let elsewhere = std::thread::current().name().is_some_and(|n| n.starts_with("polars"));
        if !is_guarded() && !elsewhere {
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("panic: {info}\n"));
        }
    }));
}

/// Threads to use: never more than there are cores, which would only cost memory.
fn threads(asked: Option<usize>, output: &Output) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Results do not depend on it; a few more than cores are allowed to show that.
    let most = cores.max(8);
    match asked {
        Some(asked) if asked > most => {
            output.warning(&format!("{asked} threads are asked for; {most} are used on {cores} cores"));
            most
        }
        Some(asked) => asked,
        None => cores,
    }
}
