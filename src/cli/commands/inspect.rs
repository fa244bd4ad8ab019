//! `specbench inspect`.

use std::path::Path;

use crate::base::file_digests::FileDigests;
use crate::base::fs::read_lines;
use crate::cli::answers::InspectAnswer;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::model::{self, Architecture, ModelError};
use crate::report::Grid;

pub fn inspect(
    path: &Path,
    base: Option<&Path>,
    classes: Option<&Path>,
    output: &Output,
) -> Result<Exit, CliError> {
    let fail = |e: ModelError| CliError::new(Exit::Unmeasured, e.to_string());
    let names = classes.map(read_lines).transpose();
    let names = names.map_err(|e| CliError::new(Exit::Usage, e.to_string()))?;
    let opened = match base {
        Some(base) => model::open(base, None).map_err(fail)?.over(path, names.as_deref()),
        None => model::open(path, names.as_deref()),
    };
    let opened = opened.map_err(fail)?;
    let facts = facts(&*opened).map_err(fail)?;
    if output.json {
        let all = facts.iter().map(|(k, v)| ((*k).to_owned(), v.clone()));
        output.json(&InspectAnswer(all.collect()));
    } else {
        let grid = Grid {
            title: path.display().to_string(),
            headers: ["what", "value"].map(str::to_owned).to_vec(),
            rows: facts.into_iter().map(|(k, v)| vec![k.to_owned(), v]).collect(),
            notes: vec![],
        };
        output.result(&grid.terminal(output.width));
    }
    Ok(Exit::Ok)
}

/// What the architecture says, and what holds for any weights. Every tensor is read: what is not finite is found.
fn facts(opened: &dyn Architecture) -> Result<Vec<(&'static str, String)>, ModelError> {
    let weights = opened.weights();
    let (mut values, mut types) = (0, Vec::new());
    for name in weights.names() {
        let Some(info) = weights.info(name) else { continue };
        values += info.shape.iter().product::<usize>();
        types.push(info.dtype.clone());
        if info.is_float() {
            weights.load(name)?;
        }
    }
    types.sort_unstable();
    types.dedup();
    let files: Vec<String> = weights.files().iter().map(|f| f.display().to_string()).collect();
    let tokenizer = opened.tokenizer_digest().ok();
    let mut facts = opened.facts()?;
    let tensors =
        format!("{} ({values} values, stored as {}; all finite)", weights.floats().len(), types.join(", "));
    facts.splice(
        3.min(facts.len())..3.min(facts.len()),
        [("weights", files.join(", ")), ("tensors", tensors)],
    );
    facts.push(("digest", opened.digest(&FileDigests::default())?.to_string()));
    facts.push((
        "tokenizer digest",
        tokenizer.map_or_else(|| "no tokenizer.json".to_owned(), |d| d.to_string()),
    ));
    Ok(facts)
}
