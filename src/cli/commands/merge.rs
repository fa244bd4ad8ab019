//! `specbench merge`.

use serde_json::json;

use crate::base::fs::read_lines;
use crate::cli::args::MergeArgs;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::merge::{Fate, MergeError, PATHS, Preflight, TensorFilter};
use crate::model::ModelError;
use crate::model::clip::CheckpointFolder;
use crate::report::Grid;
use crate::run::{HeadPlan, write_point};

pub fn merge(args: &MergeArgs, output: &Output) -> Result<Exit, CliError> {
    let usage = |text: String| CliError::new(Exit::Usage, text);
    let method = PATHS.get(&args.method).ok_or_else(|| {
        let (message, help) = PATHS.unknown(&args.method);
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
    let mut look = Preflight::new(&*from.weights, &*to.weights, &filter, skip);
    if let Some(difference) = from.differs_on(&to, None).map_err(fail)? {
        look.problems.push(format!("the {difference} differs"));
    }
    let templates = args.templates.as_ref().map(|p| read_lines(p)).transpose();
    let templates = templates.map_err(|e| usage(e.to_string()))?;
    let heads = HeadPlan::new(&from, &to, templates.as_deref(), args.drop_heads);
    show(args, &look, &heads, output);
    if !look.problems.is_empty() {
        let (from, to) = (args.from.display().to_string(), args.to.display().to_string());
        return Err(usage(MergeError::Mismatch { from, to, problems: look.problems }.to_string()));
    }
    let Some(out) = &args.out else { return Ok(Exit::Ok) };
    if let HeadPlan::Impossible(reason) = &heads {
        return Err(usage(reason.clone()));
    }
    write_point((&from, &to), (method, args.alpha), &filter, heads, out)
        .map_err(|e| CliError::new(Exit::Unmeasured, e.to_string()))?;
    output.note(&format!("wrote {}", out.display()));
    Ok(Exit::Ok)
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
