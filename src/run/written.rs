//! Writes a point between two checkpoint folders as a folder of its own: what the sweep evaluates there, to the last bit.

use std::path::Path;
use std::sync::Arc;

use candle_core::DType;

use crate::checkpoint::{Budget, Cached, Weights as _};
use crate::merge::{Ends, MergeError, PathMethod, TensorFilter, merge_tensors};
use crate::model::clip::{CheckpointFolder, Classifier, zero_shot};
use crate::model::{HeadRows, ModelError};

/// What becomes of the heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadPlan {
    /// There is none.
    None,
    /// They are left out, as asked for.
    Dropped,
    /// Rows are combined, those of an end without a classifier being its zero-shot head.
    Merge {
        /// Names of the rows.
        classes: Vec<String>,
        /// Templates of the zero-shot head.
        templates: Vec<String>,
    },
    /// They cannot be combined, and why.
    Impossible(String),
}

impl HeadPlan {
    /// Looks at the heads of two checkpoints. `templates` are those of the zero-shot head, if they are known.
    #[must_use]
    pub fn new(
        from: &CheckpointFolder,
        to: &CheckpointFolder,
        templates: Option<&[String]>,
        drop: bool,
    ) -> Self {
        let context = from.has_context() || to.has_context();
        let or_drop = "or leave heads out (`--drop-heads`)";
        match (&from.classifier, &to.classifier) {
            (None, None) if !context => Self::None,
            _ if drop => Self::Dropped,
            _ if context => Self::Impossible(format!(
                "learned context is combined as features, which a folder cannot hold; {or_drop}"
            )),
            (Some(a), Some(b)) if a == b => Self::Merge { classes: a.classes.clone(), templates: Vec::new() },
            (Some(_), Some(_)) => Self::Impossible(format!(
                "the classifiers are of other classes; give ones of the same list, {or_drop}"
            )),
            (Some(one), None) | (None, Some(one)) => match templates {
                Some(lines) => Self::Merge { classes: one.classes.clone(), templates: lines.to_vec() },
                None => Self::Impossible(format!(
                    "only one checkpoint has a classifier; a sweep combines it with the other's zero-shot head: say \
                     with which templates (`--templates FILE`), {or_drop}"
                )),
            },
            (None, None) => Self::None,
        }
    }

    /// In words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::None => "there is none".to_owned(),
            Self::Dropped => "left out".to_owned(),
            Self::Merge { classes, .. } => format!("combined over {} classes", classes.len()),
            Self::Impossible(reason) => reason.clone(),
        }
    }
}

/// Why a point cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The tensors cannot be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A head cannot be computed, or the folder not be written.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Writes the point at `alpha` into `out`, in the layout of `from` and in f32. Heads follow `heads`, which must be
/// possible.
pub fn write_point(
    (from, to): (&CheckpointFolder, &CheckpointFolder),
    (method, alpha): (&dyn PathMethod, f64),
    filter: &TensorFilter,
    heads: HeadPlan,
    out: &Path,
) -> Result<(), WriteError> {
    // Each tensor is needed once or twice; none is kept.
    let held = |folder: &CheckpointFolder| Cached::new(Arc::clone(&folder.weights), Budget::new(0));
    let ends = Ends::new(held(from), held(to), filter, CheckpointFolder::is_head)?;
    let mut tensors = ends.at(method, alpha).load_all().map_err(ModelError::from)?;
    let mut classifier = None;
    if let HeadPlan::Merge { classes, templates } = heads {
        let head = |folder: &CheckpointFolder, end: f64| -> Result<HeadRows, WriteError> {
            if folder.classifier.is_none() {
                return Ok(zero_shot(folder, &ends.at(method, end), &classes, &templates)?);
            }
            let load = |name: &str| folder.weights.load(name).map_err(ModelError::from);
            let bias = folder.weights.contains(Classifier::BIAS);
            let bias = bias.then(|| load(Classifier::BIAS)).transpose()?;
            Ok(HeadRows { rows: load(Classifier::WEIGHT)?, bias })
        };
        let (start, end) = (head(from, 0.0)?, head(to, 1.0)?);
        let merged = start.blend(&end, |a, b| merge_tensors(method, alpha, a, b));
        let merged = merged.map_err(ModelError::compute("head"))?;
        tensors.insert(Classifier::WEIGHT.to_owned(), merged.rows);
        tensors.extend(merged.bias.map(|b| (Classifier::BIAS.to_owned(), b)));
        classifier = Some(Classifier { classes });
    }
    Ok(from.write_with(out, &tensors, classifier.as_ref(), DType::F32)?)
}
