//! `specbench tune`.

use std::path::Path;

use crate::cli::args::Global;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::stop::Stop;
use crate::train::{Recipe, TuneEvent, tune as execute};

pub fn tune(
    global: &Global,
    recipe: &Path,
    out: Option<&Path>,
    output: &Output,
    stop: &Stop,
) -> Result<Exit, CliError> {
    let catalog = super::open_catalog(global, output)?;
    let mut recipe = Recipe::open(recipe)?;
    if let Some(out) = out {
        recipe.out = out.to_owned();
    }
    output.note(&format!("loading the training data of `{}`", recipe.id));
    let mut progress: Option<Progress<'_>> = None;
    let orderly = stop.orderly();
    let result = execute(&recipe, &catalog, |event| {
        match event {
            TuneEvent::Ready { parameters, steps } => {
                output.note(&format!("{parameters} trained values, {steps} steps"));
                progress = Some(Progress::new(output, "steps", steps as u64));
            }
            TuneEvent::Step { step, loss, accuracy, lr } => {
                let text = format!("steps, loss {loss:.3}, batch accuracy {:.0}%", accuracy * 100.0);
                if let Some(p) = &mut progress {
                    p.add(1);
                    p.message(text);
                }
                if step % 100 == 0 {
                    output.detail(&format!(
                        "step {step}: loss {loss:.4}, batch accuracy {accuracy:.3}, lr {lr:.2e}"
                    ));
                }
            }
            TuneEvent::Written(path) => output.result(&format!("checkpoint: {}", path.display())),
        }
        !stop.is_asked()
    });
    if let Some(progress) = progress {
        progress.finish();
    }
    drop(orderly);
    result?;
    Ok(Exit::Ok)
}
