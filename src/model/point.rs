//! What is asked of a written point between two checkpoints, whatever they are.

use std::path::Path;
use std::sync::Arc;

use super::ModelError;
use crate::checkpoint::Weights;
use crate::merge::{Beside, MergeError, PATHS, PathMethod, Preflight, TensorFilter};

/// Why a point cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What was asked for cannot be.
    #[error("{0}")]
    Asked(String),
    /// The tensors cannot be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A head cannot be computed, or the folder not be written.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// What is asked for.
pub struct PointRequest<'a> {
    /// Name of a registered path.
    pub path: &'a str,
    /// The pretrained end's folder.
    pub from: &'a Path,
    /// The fine-tuned end's folder.
    pub to: &'a Path,
    /// Weight of the fine-tuned end.
    pub alpha: f64,
    /// Globs of the tensors that take part; all if empty.
    pub include: &'a [String],
    /// Globs of the tensors that do not.
    pub exclude: &'a [String],
    /// File with the templates of the zero-shot head.
    pub templates: Option<&'a Path>,
    /// Whether heads are left out.
    pub drop_heads: bool,
}

impl PointRequest<'_> {
    /// The path, if there is one of that name and alpha is on it.
    pub fn method(&self) -> Result<&'static dyn PathMethod, WriteError> {
        let path = PATHS.get(self.path).ok_or_else(|| {
            let (message, help) = PATHS.unknown(self.path);
            WriteError::Asked(format!("{message}; {help}"))
        })?;
        let (range, alpha) = (path.alphas(), self.alpha);
        if !range.contains(&alpha) {
            let text = format!("alpha {alpha} is outside {} to {}", range.start(), range.end());
            return Err(WriteError::Asked(text));
        }
        if path.of_outputs() {
            let text = format!("`{}` combines outputs: there are no weights to write", path.name());
            return Err(WriteError::Asked(text));
        }
        Ok(path)
    }

    /// Fisher information of both ends, where the path weighs by it.
    pub(super) fn importance(&self) -> Result<Option<[Arc<dyn Weights>; 2]>, WriteError> {
        if !self.method()?.weighs() {
            return Ok(None);
        }
        Ok(Some([Beside::Fisher.open(self.from)?, Beside::Fisher.open(self.to)?]))
    }

    /// Which tensors take part.
    pub fn filter(&self) -> Result<TensorFilter, WriteError> {
        Ok(TensorFilter {
            include: globs(self.include)?,
            exclude: globs(self.exclude)?,
            ..TensorFilter::default()
        })
    }
}

/// What stands against merging two checkpoints that were looked at, if anything does.
pub(super) fn fits(look: &Preflight, from: &Path, to: &Path) -> Result<(), WriteError> {
    if look.problems.is_empty() {
        return Ok(());
    }
    let (from, to) = (from.display().to_string(), to.display().to_string());
    Err(MergeError::Mismatch { from, to, problems: look.problems.clone() }.into())
}

fn globs(list: &[String]) -> Result<Vec<glob::Pattern>, WriteError> {
    let one = |text: &String| {
        glob::Pattern::new(text).map_err(|e| WriteError::Asked(format!("`{text}` is not a glob: {e}")))
    };
    list.iter().map(one).collect()
}
