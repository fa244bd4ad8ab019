//! Checkpoints that a merge file puts together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Architecture, ModelError, from_hub, open};
use crate::base::fs;
use crate::base::hub::Hub;
use crate::merge::{Combination, MergeFile, MergeKind};

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
    let weights = of.iter().map(|a| Arc::clone(a.weights())).collect();
    let below = base.as_ref().map(|b| Arc::clone(b.weights()));
    let weights = Combination::new(method, &file.settings, below, weights)
        .map_err(|e| ModelError::Unlike(e.to_string()))?;
    // Configuration and tokenizer are the base's, where there is one.
    match &base {
        Some(base) => base.combined(weights, &of),
        None => of[0].combined(weights, &of[1..]),
    }
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
