//! `specbench run`.

use std::path::Path;
use std::time::Instant;

use super::{command_line, make_plan, only};
use crate::catalog::Catalog;
use crate::cli::answers::{RunAnswer, TokensAnswer};
use crate::cli::args::RunArgs;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::cli::progress::{Progress, Working};
use crate::cli::stop::Stop;
use crate::model::{Numerics, Tokens};
use crate::plan::Plan;
use crate::report::{self, ReportData, Sheet};
use crate::run::{
    CropCacheOptions, RunEvent, RunOptions, RunSummary, choose_soups, joinable, pictures, run as execute,
};
use crate::suite::Suite;

pub fn run(args: &RunArgs, output: &Output, stop: &Stop) -> Result<Exit, CliError> {
    let started = Instant::now();
    let options = |out: &Path| options(args, out, stop);
    let soups = |suite: &mut Suite, catalog: &Catalog, numerics: &Numerics, out: &Path| {
        let mut progress: Option<Progress<'_>> = None;
        let mut listen = |event| tell(event, output, &mut progress);
        let orderly = stop.orderly();
        let asked = (args.select.limit, numerics);
        for choice in choose_soups(suite, catalog, asked, &options(out)?, &mut listen)? {
            let (n, of) = (choice.chosen.len(), choice.chosen.join(", "));
            let looked = choice.looked_at.len();
            output.note(&format!(
                "{}: {n} averaged ({of}), chosen on {} from {looked} looks",
                choice.id, choice.probe
            ));
        }
        drop(orderly);
        Ok(())
    };
    let (plan, out) =
        make_plan((&args.model, &args.sources), output, &args.suite, &args.select, args.until, soups)?;
    let options = options(&out)?;
    let mut progress: Option<Progress<'_>> = None;
    let orderly = stop.orderly();
    let result = execute(&plan, &options, &mut |event| tell(event, output, &mut progress));
    if let Some(progress) = progress {
        progress.finish();
    }
    let mut summary = result?;
    if summary.missing > 0 && joinable(&plan, &options)? {
        // The last shard of all joins, whoever was to do it.
        output.note("all shards are finished; joining them");
        let options = RunOptions { shard: (0, 1), fresh: false, ..options };
        let done = summary.finished;
        summary = execute(&plan, &options, &mut |event| tell(event, output, &mut None))?;
        summary.finished += done;
    }
    drop(orderly);
    finish(&plan, &out, &summary, started, output)
}

/// How the plan is executed.
fn options(args: &RunArgs, out: &Path, stop: &Stop) -> Result<RunOptions, CliError> {
    Ok(RunOptions {
        batch: args.batch,
        memory: args.memory << 20,
        shard: args.shard.unwrap_or((0, 1)),
        fresh: args.select.fresh,
        share: !args.no_share,
        crops: (!args.no_cache)
            .then(|| CropCacheOptions { folder: args.cache.clone(), limit: args.cache_limit << 30 }),
        only: only(&args.select)?,
        command: command_line(),
        stop: stop.flag(),
        ..RunOptions::new(out.to_owned())
    })
}

/// Joins, reports, and says what was done.
fn finish(
    plan: &Plan,
    out: &Path,
    summary: &RunSummary,
    started: Instant,
    output: &Output,
) -> Result<Exit, CliError> {
    if summary.skipped > 0 {
        output.warning(&format!("{} examples could not be decoded and were left out", summary.skipped));
    }
    if summary.missing > 0 {
        let text = format!(
            "this shard is finished; {} results wait for the other shards. Run without `--shard` to join them",
            summary.missing
        );
        output.note(&text);
        return Ok(Exit::Ok);
    }
    let working = Working::new(output, "resampling and drawing the report");
    let data = ReportData::load(out)?;
    pictures(plan, &data.wanted_pictures(out))?;
    report::write(&data, out, Sheet::SCREEN)?;
    drop(working);
    if output.json {
        output.json(&RunAnswer {
            out: out.to_owned(),
            finished: summary.finished,
            reused: summary.reused,
            skipped: summary.skipped,
            decoded: summary.decoded,
            tokens: TokensAnswer { computed: summary.tokens.computed, without_sharing: summary.tokens.alone },
            seconds: started.elapsed().as_secs_f64(),
            frontier: data.frontier,
        });
    } else {
        super::report::show(&data, out, output);
    }
    let seconds = started.elapsed().as_secs_f64();
    let (finished, reused, read) = (summary.finished, summary.reused, read(summary));
    output.note(&format!("{finished} results evaluated, {reused} reused, {read}, {seconds:.1} s"));
    Ok(Exit::Ok)
}

/// The stages that each family of variants shares; of many families, the least and the most.
fn stages(shared: &[(usize, usize)]) -> String {
    if shared.len() <= 6 {
        return shared.iter().map(|(n, of)| format!("{n} of {of}")).collect::<Vec<_>>().join(", ");
    }
    let least = shared.iter().map(|s| s.0).min().unwrap_or(0);
    let (most, of) = shared.iter().copied().max().unwrap_or((0, 0));
    format!("{least} to {most} of {of} in {} families", shared.len())
}

/// What a run read: images, tokens, or both.
fn read(summary: &RunSummary) -> String {
    let Tokens { computed, alone } = summary.tokens;
    let mut parts = Vec::new();
    if summary.decoded > 0 || alone == 0 {
        parts.push(format!("{} images decoded", summary.decoded));
    }
    if alone > 0 {
        let saved = 100.0 * (1.0 - computed as f64 / alone as f64).max(0.0);
        parts
            .push(format!("{computed} tokens a variant computed of {alone} ({saved:.0} % saved by sharing)"));
    }
    parts.join(", ")
}

/// What is counted.
const PREDICTIONS: &str = "predictions";

/// Prompts that take long enough to be told of.
const MANY_PROMPTS: usize = 20_000;

/// Says one event of the run: progress on its bar, everything else as a line above it.
fn tell<'a>(event: RunEvent, output: &'a Output, progress: &mut Option<Progress<'a>>) {
    let line = match event {
        RunEvent::Planned { cells, reused, predictions } => {
            output.note(&format!(
                "{cells} results, {reused} finished before, {predictions} predictions to make"
            ));
            *progress = Some(Progress::new(output, PREDICTIONS, predictions as u64));
            return;
        }
        RunEvent::Heads { name, heads, prompts } => {
            let text = format!("{name}: up to {prompts} prompts for {heads} heads");
            if let Some(progress) = progress {
                progress.begin("prompts", prompts as u64);
            }
            if prompts < MANY_PROMPTS {
                return;
            }
            text
        }
        RunEvent::Prompts { prompts } => {
            if let Some(progress) = progress {
                progress.within(prompts as u64);
            }
            return;
        }
        RunEvent::Progress { predictions } => {
            if let Some(progress) = progress {
                progress.add(predictions as u64);
            }
            return;
        }
        RunEvent::Pass { name, variants, shared, resumed } => {
            if let Some(progress) = progress {
                progress.end();
            }
            let resumed =
                if resumed > 0 { format!(", {resumed} segments from before") } else { String::new() };
            format!("{name}: {variants} variants, {} layers computed once for all{resumed}", stages(&shared))
        }
        RunEvent::Halved { name, times } => format!(
            "warning: {name}: batches did not fit in the device's memory and were halved {times} times; `--batch` \
             makes them smaller"
        ),
        RunEvent::Waiting { name } => {
            format!("{name}: another run has this in hand; waiting for it")
        }
        RunEvent::Damaged { name, segment } => {
            format!("warning: {name}: segment {segment} of an earlier run is damaged; evaluated again")
        }
        RunEvent::NotKept { name, reason } => format!("warning: {name}: {reason}; crops are not kept"),
        RunEvent::Skipped { data, example, reason } => {
            format!("warning: {data}, example `{example}` left out: {reason}")
        }
    };
    if let Some(progress) = progress {
        progress.line(&line);
    }
}
