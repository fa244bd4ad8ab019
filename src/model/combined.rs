//! Checkpoints that a merge file puts together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Architecture, ModelError, from_hub, open};
use crate::base::fs;
use crate::base::hub::Hub;
use crate::checkpoint::Weights;
use crate::merge::{Combination, Combine, CombineSettings, Ingredients, MergeFile, MergeKind};

/// Opens the checkpoint that a merge file describes; nothing is computed before a tensor is wanted.
///
/// # Errors
/// If the file describes a point of a path (which is a sweep's matter), or one of its models cannot be had.
pub fn open_merge(file: &MergeFile, hub: &Hub) -> Result<Arc<dyn Architecture>, ModelError> {
    let MergeKind::Combination(method) = file.kind else {
        let text = format!(
            "`{}` describes a point between two checkpoints; a `[[sweep]]` evaluates it",
            file.path.display()
        );
        return Err(ModelError::Unlike(text));
    };
    let open_one = |name: &String| open(&located(file, name, hub)?, None);
    let base = file.base.as_ref().map(open_one).transpose()?;
    let of: Vec<Arc<dyn Architecture>> = file.of.iter().map(open_one).collect::<Result<_, _>>()?;
    let weights = combination(method, &file.settings, base.as_ref(), &of, Vec::new())?;
    // Configuration and tokenizer are the base's, where there is one that has all that they have.
    match &base {
        Some(base) if of[0].heads_beyond(&**base).is_empty() => base.combined(weights, &of, None),
        base => of[0].combined(weights, &of[1..], base.as_ref()),
    }
}

/// A checkpoint combined from others, by differences to `base` if there is one; `beside` is what the method reads beside each.
///
/// # Errors
/// If they do not fit together or the settings mean nothing.
pub fn combine(
    method: &'static dyn Combine,
    settings: &CombineSettings,
    base: Option<&Arc<dyn Architecture>>,
    of: &[Arc<dyn Architecture>],
    beside: Vec<Arc<dyn Weights>>,
) -> Result<Arc<dyn Architecture>, ModelError> {
    of[0].combined(combination(method, settings, base, of, beside)?, &of[1..], base)
}

fn combination(
    method: &'static dyn Combine,
    settings: &CombineSettings,
    base: Option<&Arc<dyn Architecture>>,
    of: &[Arc<dyn Architecture>],
    beside: Vec<Arc<dyn Weights>>,
) -> Result<Combination, ModelError> {
    let weights = of.iter().map(|a| Arc::clone(a.weights())).collect();
    let differs = base.zip(of.first()).filter(|_| method.needs_base());
    let apart = differs.map_or_else(Vec::new, |(base, first)| first.heads_beyond(&**base));
    let base = base.map(|b| Arc::clone(b.weights()));
    Combination::reading(method, settings, Ingredients { base, of: weights, beside, apart })
        .map_err(|e| ModelError::Unlike(e.to_string()))
}

/// Where a model of a merge file lies: beside the file, in the working folder, or in the hub.
///
/// # Errors
/// If it is nowhere.
pub fn located(file: &MergeFile, name: &str, hub: &Hub) -> Result<PathBuf, ModelError> {
    let path = fs::located(file.path.parent().unwrap_or(Path::new("")), Path::new(name));
    if path.exists() {
        return Ok(path);
    }
    let missing = |reason: String| {
        ModelError::Unlike(format!(
            "`{}` names `{name}`, which is neither beside it nor in the working folder, and as a model of the hub: \
             {reason}",
            file.path.display()
        ))
    };
    let prefixed = if name.starts_with("hf:") { name.to_owned() } else { format!("hf:{name}") };
    from_hub(hub, &prefixed).map_err(|e| missing(e.to_string()))
}
