//! `specbench merge`.

use serde_json::json;

use crate::cli::args::MergeArgs;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::merge::{Fate, MergeError, Preflight};
use crate::model::clip::{HeadPlan, PointPlan};
use crate::model::lm::LanguagePoint;
use crate::model::{PointRequest, WriteError};
use crate::report::Grid;

pub fn merge(args: &MergeArgs, output: &Output) -> Result<Exit, CliError> {
    let asked = PointRequest {
        path: &args.method,
        from: &args.from,
        to: &args.to,
        alpha: args.alpha,
        include: &args.include,
        exclude: &args.exclude,
        templates: args.templates.as_deref(),
        drop_heads: args.drop_heads,
    };
    if LanguagePoint::is_for(&args.from) {
        let plan = LanguagePoint::new(&asked)?;
        show(args, &plan.look, &HeadPlan::None, output);
        plan.check()?;
        if let Some(out) = &args.out {
            plan.write(out)?;
        }
    } else {
        let plan = PointPlan::new(&asked)?;
        show(args, &plan.look, &plan.heads, output);
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
            WriteError::Asked(_) | WriteError::Merge(MergeError::Mismatch { .. }) => Exit::Usage,
            WriteError::Merge(_) | WriteError::Model(_) => Exit::Unmeasured,
        };
        Self::new(exit, error.to_string())
    }
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
