//! `specbench merge`.

use std::path::Path;

use super::places;
use crate::base::fs::read_lines;
use crate::cli::answers::MergeAnswer;
use crate::cli::args::MergeArgs;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::merge::{COMBINES, Fate, MergeError, MergeFile, MergeKind, PATHS, Preflight};
use crate::model::clip::{HeadPlan, PointPlan};
use crate::model::lm::LanguagePoint;
use crate::model::{ModelError, PointRequest, WriteError, WrittenHeads, located, open_merge};
use crate::report::Grid;

pub fn merge(args: &MergeArgs, output: &Output) -> Result<Exit, CliError> {
    if MergeFile::is_meant_by(Path::new(&args.method)) {
        return described(args, output);
    }
    let usage = |text: &str| CliError::new(Exit::Usage, text);
    let many = COMBINES.get(&args.method).filter(|many| PATHS.get(many.name()).is_none());
    if let Some(many) = many {
        let text = format!(
            "`{}` combines many checkpoints: describe it in a mergekit file, or as a `[[checkpoint]]` of a suite",
            many.name()
        );
        return Err(usage(&text));
    }
    let from =
        args.from.as_deref().ok_or_else(|| usage("`--from`, the pretrained checkpoint, is missing"))?;
    let to = args.to.as_deref().ok_or_else(|| usage("`--to`, the fine-tuned checkpoint, is missing"))?;
    let at = |path: &Path| places::checkpoint(&args.hub, path, output);
    point(&args.method, (&at(from)?, &at(to)?, args.alpha.unwrap_or(0.5)), args, output)
}

/// A merge that a file describes.
fn described(args: &MergeArgs, output: &Output) -> Result<Exit, CliError> {
    let usage = |text: String| CliError::new(Exit::Usage, text);
    if args.from.is_some() || args.to.is_some() || args.alpha.is_some() {
        let text = "the file says what is merged; leave `--from`, `--to` and `--alpha` out";
        return Err(usage(text.to_owned()));
    }
    let file = MergeFile::open(Path::new(&args.method)).map_err(|e| usage(e.to_string()))?;
    let hub = places::hub(&args.hub, output);
    let wrong = |e: ModelError| usage(e.to_string());
    if let MergeKind::Point(path, alpha) = file.kind {
        let base = file.base.as_ref().ok_or_else(|| usage("the file names no base".to_owned()))?;
        let from = located(&file, base, &hub).map_err(wrong)?;
        let to = located(&file, &file.of[0], &hub).map_err(wrong)?;
        return point(path.name(), (&from, &to, alpha), args, output);
    }
    if !args.include.is_empty() || !args.exclude.is_empty() {
        let text = "`--include` and `--exclude` are for a point between two; a combination takes all tensors";
        return Err(usage(text.to_owned()));
    }
    let templates =
        args.templates.as_deref().map(read_lines).transpose().map_err(|e| usage(e.to_string()))?;
    let heads = WrittenHeads { templates: templates.as_deref(), dropped: args.drop_heads };
    let merged = open_merge(&file, &hub).map_err(wrong)?;
    let (weights, facts) = (merged.weights(), merged.facts().map_err(WriteError::from)?);
    let mut rows: Vec<Vec<String>> =
        facts.into_iter().map(|(what, value)| vec![what.to_owned(), value]).collect();
    rows.push(vec!["merge".to_owned(), weights.label()]);
    rows.push(vec!["tensors".to_owned(), weights.floats().len().to_string()]);
    if output.json {
        let all = rows.iter().map(|row| (row[0].clone(), row[1].clone()));
        output.json(&MergeAnswer::File(all.collect()));
    } else {
        let headers = ["what", "value"].map(str::to_owned).to_vec();
        let title = args.method.clone();
        output.result(&Grid { title, headers, rows, notes: Vec::new() }.terminal(output.width));
    }
    if let Some(out) = &args.out {
        let (n, started) = (weights.floats().len(), std::time::Instant::now());
        output.note(&format!("merging {n} tensors into {}", out.display()));
        merged.write(out, file.dtype, heads).map_err(WriteError::from)?;
        output.note(&format!("wrote {} in {:.1} s", out.display(), started.elapsed().as_secs_f64()));
    }
    Ok(Exit::Ok)
}

/// A point between two checkpoints.
fn point(
    path: &str,
    (from, to, alpha): (&Path, &Path, f64),
    args: &MergeArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let asked = PointRequest {
        path,
        from,
        to,
        alpha,
        include: &args.include,
        exclude: &args.exclude,
        templates: args.templates.as_deref(),
        drop_heads: args.drop_heads,
    };
    if LanguagePoint::is_for(from) {
        let plan = LanguagePoint::new(&asked)?;
        show((path, alpha), &plan.look, &HeadPlan::None, output);
        plan.check()?;
        if let Some(out) = &args.out {
            plan.write(out)?;
        }
    } else {
        let plan = PointPlan::new(&asked)?;
        show((path, alpha), &plan.look, &plan.heads, output);
        plan.check()?;
        if let Some(out) = &args.out {
            plan.write(out)?;
        }
    }
    if let Some(out) = &args.out {
        output.note(&format!("wrote {}", out.display()));
    }
    Ok(Exit::Ok)
}

impl From<WriteError> for CliError {
    fn from(error: WriteError) -> Self {
        let exit = match &error {
            WriteError::Asked(_)
            | WriteError::Merge(MergeError::Mismatch { .. })
            | WriteError::Model(ModelError::Unlike(_)) => Exit::Usage,
            WriteError::Merge(_) | WriteError::Model(_) => Exit::Unmeasured,
        };
        Self::new(exit, error.to_string())
    }
}

fn show((path, alpha): (&str, f64), look: &Preflight, plan: &HeadPlan, output: &Output) {
    let kinds = [
        ("interpolated", Fate::Interpolated),
        ("copied (equal at both ends)", Fate::Shared),
        ("copied (the filter keeps the first)", Fate::Kept),
    ];
    if output.json {
        let list = |f: Fate| look.with(f).map(str::to_owned).collect();
        output.json(&MergeAnswer::Point {
            interpolated: list(Fate::Interpolated),
            equal: list(Fate::Shared),
            kept: list(Fate::Kept),
            skipped: look.skipped.clone(),
            untied: look.untied.clone(),
            problems: look.problems.clone(),
            heads: plan.text(),
        });
        return;
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut add = |what: &str, names: Vec<&str>| {
        let mut shown = names.iter().take(4).copied().collect::<Vec<_>>().join(", ");
        if names.len() > 4 {
            shown.push_str(", ...");
        }
        rows.push(vec![what.to_owned(), names.len().to_string(), shown]);
    };
    for (what, fate) in kinds {
        add(what, look.with(fate).collect());
    }
    add(
        "not merged tensor by tensor (heads, integer buffers)",
        look.skipped.iter().map(String::as_str).collect(),
    );
    rows.push(vec!["heads".to_owned(), String::new(), plan.text()]);
    let grid = Grid {
        title: format!("{path} at alpha {alpha}"),
        headers: ["what", "tensors", "names"].map(str::to_owned).to_vec(),
        rows,
        notes: look.untied.iter().map(|t| format!("tied weights: {t}")).collect(),
    };
    output.result(&grid.terminal(output.width));
}
