//! `specbench merge`.

use serde_json::json;

use crate::base::fs::read_lines;
use crate::cli::args::MergeArgs;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::merge::{Ends, Fate, MERGES, MergeError, Preflight, TensorFilter, merge_tensors};
use crate::model::{CheckpointFolder, Classifier, HeadRows, ModelError, zero_shot};
use crate::report::Grid;

pub fn merge(args: &MergeArgs, output: &Output) -> Result<Exit, CliError> {
    let usage = |text: String| CliError::new(Exit::Usage, text);
    let method = MERGES.get(&args.method).ok_or_else(|| {
        let (message, help) = MERGES.unknown(&args.method);
        usage(format!("{message}; {help}"))
    })?;
    if !method.alphas().contains(&args.alpha) {
        let (low, high) = (method.alphas().start().to_owned(), method.alphas().end().to_owned());
        return Err(usage(format!("alpha {} is outside {low} to {high}", args.alpha)));
    }
    let fail = |e: ModelError| CliError::new(Exit::Unmeasured, e.to_string());
    let from = CheckpointFolder::open(&args.from).map_err(fail)?;
    let to = CheckpointFolder::open(&args.to).map_err(fail)?;
    let compile = |list: &[String]| -> Result<Vec<glob::Pattern>, CliError> {
        let one = |t: &String| glob::Pattern::new(t).map_err(|e| usage(format!("`{t}` is not a glob: {e}")));
        list.iter().map(one).collect()
    };
    let filter = TensorFilter { include: compile(&args.include)?, exclude: compile(&args.exclude)? };
    let skip = CheckpointFolder::is_head;
    let mut look = Preflight::new(&from.weights, &to.weights, &filter, skip);
    if let Some(difference) = from.differs_from(&to, None).map_err(fail)? {
        look.problems.push(format!("the {difference} differs"));
    }
    let plan = head_plan(args, &from, &to)?;
    show(args, &look, &plan, output);
    if !look.problems.is_empty() {
        let (from, to) = (args.from.display().to_string(), args.to.display().to_string());
        return Err(usage(MergeError::Mismatch { from, to, problems: look.problems }.to_string()));
    }
    let Some(out) = &args.out else { return Ok(Exit::Ok) };
    if let HeadPlan::Impossible(reason) = &plan {
        return Err(usage(reason.clone()));
    }
    let wrap = |e: MergeError| CliError::new(Exit::Unmeasured, e.to_string());
    let ends = Ends::load(&from.weights, &to.weights, &filter, skip).map_err(wrap)?;
    let mut tensors = ends.at(method, args.alpha).map_err(wrap)?;
    let classifier = match plan {
        HeadPlan::Merge { classes, templates } => {
            let head = |folder: &CheckpointFolder, alpha: f64| -> Result<HeadRows, CliError> {
                match &folder.classifier {
                    Some(_) => {
                        let load = |name: &str| folder.weights.load(name).map_err(|e| fail(e.into()));
                        let bias = folder.weights.contains(Classifier::BIAS);
                        let bias = bias.then(|| load(Classifier::BIAS)).transpose()?;
                        Ok(HeadRows { rows: load(Classifier::WEIGHT)?, bias })
                    }
                    None => zero_shot(folder, &ends.at(method, alpha).map_err(wrap)?, &classes, &templates)
                        .map_err(fail),
                }
            };
            let (start, end) = (head(&from, 0.0)?, head(&to, 1.0)?);
            let merged = start.blend(&end, |a, b| merge_tensors(method, args.alpha, a, b));
            let merged = merged.map_err(|e| fail(ModelError::compute("head")(e)))?;
            tensors.insert(Classifier::WEIGHT.to_owned(), merged.rows);
            tensors.extend(merged.bias.map(|b| (Classifier::BIAS.to_owned(), b)));
            Some(Classifier { classes })
        }
        _ => None,
    };
    from.write_with(out, &tensors, classifier.as_ref(), candle_core::DType::F32)
        .map_err(|e| CliError::new(Exit::Internal, e.to_string()))?;
    output.note(&format!("wrote {}", out.display()));
    Ok(Exit::Ok)
}

impl HeadPlan {
    fn text(&self) -> String {
        match self {
            Self::None => "there is none".to_owned(),
            Self::Dropped => "left out".to_owned(),
            Self::Merge { classes, .. } => format!("combined over {} classes", classes.len()),
            Self::Impossible(reason) => reason.clone(),
        }
    }
}

/// What becomes of the heads.
enum HeadPlan {
    /// There is none.
    None,
    /// They are left out, as asked for.
    Dropped,
    /// Rows are combined, those of an end without a classifier being its zero-shot head.
    Merge { classes: Vec<String>, templates: Vec<String> },
    /// They cannot be combined.
    Impossible(String),
}

fn head_plan(args: &MergeArgs, from: &CheckpointFolder, to: &CheckpointFolder) -> Result<HeadPlan, CliError> {
    let context = from.has_context() || to.has_context();
    if from.classifier.is_none() && to.classifier.is_none() && !context {
        return Ok(HeadPlan::None);
    }
    if args.drop_heads {
        return Ok(HeadPlan::Dropped);
    }
    let or_drop = "or leave heads out (`--drop-heads`)";
    if context {
        let text = format!("learned context is combined as features, which a folder cannot hold; {or_drop}");
        return Ok(HeadPlan::Impossible(text));
    }
    let plan = match (&from.classifier, &to.classifier) {
        (Some(a), Some(b)) if a == b => HeadPlan::Merge { classes: a.classes.clone(), templates: Vec::new() },
        (Some(_), Some(_)) => HeadPlan::Impossible(format!(
            "the classifiers are of other classes; give ones of the same list, {or_drop}"
        )),
        (Some(one), None) | (None, Some(one)) => match &args.templates {
            Some(path) => {
                let lines = read_lines(path).map_err(|e| CliError::new(Exit::Usage, e.to_string()))?;
                HeadPlan::Merge { classes: one.classes.clone(), templates: lines }
            }
            None => HeadPlan::Impossible(format!(
                "only one checkpoint has a classifier; a sweep combines it with the other's zero-shot head: say with \
                 which templates (`--templates FILE`), {or_drop}"
            )),
        },
        (None, None) => HeadPlan::None,
    };
    Ok(plan)
}

fn show(args: &MergeArgs, look: &Preflight, plan: &HeadPlan, output: &Output) {
    let kinds = [
        ("interpolated", Fate::Interpolated),
        ("copied (equal at both ends)", Fate::Shared),
        ("copied (the filter keeps the first)", Fate::Kept),
    ];
    if output.json {
        let list = |f: Fate| look.with(f).collect::<Vec<_>>();
        let value = json!({
            "interpolated": list(Fate::Interpolated), "equal": list(Fate::Shared), "kept": list(Fate::Kept),
            "skipped": look.skipped, "untied": look.untied, "problems": look.problems, "heads": plan.text(),
        });
        output.result(&value.to_string());
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
        title: format!("{} at alpha {}", args.method, args.alpha),
        headers: ["what", "tensors", "names"].map(str::to_owned).to_vec(),
        rows,
        notes: look.untied.iter().map(|t| format!("tied weights: {t}")).collect(),
    };
    output.result(&grid.terminal());
}
