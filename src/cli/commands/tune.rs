//! `specbench tune`.

use std::sync::Arc;

use super::places;
use crate::base::embedded::Kind;
use crate::cli::answers::TuneAnswer;
use crate::cli::args::TuneArgs;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::stop::Stop;
use crate::train::{Recipe, TuneEvent, TuneOptions, tune as execute};

pub fn tune(args: &TuneArgs, output: &Output, stop: &Stop) -> Result<Exit, CliError> {
    let mut recipes = Vec::new();
    for path in &args.recipes {
        let path = places::file_of(Kind::Recipe, path, output)?;
        let catalog = Arc::new(places::catalog(&args.sources, Some(&path), output)?);
        recipes.extend(Recipe::open(&path)?.into_iter().map(|r| (r, Arc::clone(&catalog))));
    }
    if let Some(only) = &args.only {
        recipes.retain(|(r, _)| only.matches(&r.id) || only.matches(&r.out.display().to_string()));
    }
    if recipes.is_empty() {
        return Err(CliError::new(Exit::Usage, "no recipe matches `--only`"));
    }
    if let Some(out) = &args.out {
        let [one] = &mut recipes[..] else {
            let n = recipes.len();
            let text = format!("`--out` is for one recipe, these are {n}; choose one with `--only`");
            return Err(CliError::new(Exit::Usage, text));
        };
        one.0.out.clone_from(out);
    }
    let orderly = stop.orderly();
    let n = recipes.len();
    for (i, (recipe, catalog)) in recipes.iter().enumerate() {
        let name =
            if n > 1 { format!("{} ({} of {n}) ", recipe.out.display(), i + 1) } else { String::new() };
        one(recipe, catalog, TuneOptions { fresh: args.fresh }, &name, output, stop)?;
        catalog.digests().keep();
    }
    drop(orderly);
    Ok(Exit::Ok)
}

fn one(
    recipe: &Recipe,
    catalog: &crate::catalog::Catalog,
    options: TuneOptions,
    name: &str,
    output: &Output,
    stop: &Stop,
) -> Result<(), CliError> {
    output.note(&format!("{name}loading the training data of `{}`", recipe.id));
    let mut progress: Option<Progress<'_>> = None;
    let result = execute(recipe, catalog, options, |event| {
        match event {
            TuneEvent::Kept(path) => {
                if output.json {
                    output.json(&TuneAnswer { checkpoint: path, kept: true });
                } else {
                    let text =
                        format!("checkpoint: {} (there already; --fresh trains again)", path.display());
                    output.result(&text);
                }
            }
            TuneEvent::Ready { parameters, steps, done, penalties } => {
                let from = if done > 0 { format!(", {done} done before") } else { String::new() };
                output.note(&format!("{parameters} trained values, {steps} steps{from}"));
                for (name, strength) in penalties {
                    output.note(&format!("{name}: {strength}"));
                }
                progress = Some(Progress::new(output, "steps", (steps - done) as u64));
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
            // One line each, as they are done.
            TuneEvent::Written(path) if output.json => {
                output.json(&TuneAnswer { checkpoint: path, kept: false });
            }
            TuneEvent::Written(path) => output.result(&format!("checkpoint: {}", path.display())),
        }
        !stop.is_asked()
    });
    if let Some(progress) = progress {
        progress.finish();
    }
    Ok(result?)
}
