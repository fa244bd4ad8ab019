//! Writes a point between two checkpoint folders as a folder of its own: what the sweep evaluates there, to the last bit.

use std::path::Path;
use std::sync::Arc;

use candle_core::DType;

use super::classifier::Classifier;
use super::folder::CheckpointFolder;
use super::zero_shot::zero_shot;
use crate::base::fs::read_lines;
use crate::checkpoint::{Budget, Cached, Weights};
use crate::merge::{Ends, PathMethod, Preflight, TensorFilter, merge_tensors};
use crate::model::point::fits;
use crate::model::{HeadRows, ModelError, PointRequest, WriteError};

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

/// Why templates are refused.
pub(super) const NOT_NEEDED: &str =
    "no zero-shot head is made here, so no templates are needed; leave `--templates` out";

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
        if templates.is_some() && (drop || from.classifier.is_some() == to.classifier.is_some()) {
            return Self::Impossible(NOT_NEEDED.to_owned());
        }
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

/// A point of a path that can be looked at and then written.
pub struct PointPlan {
    from: CheckpointFolder,
    to: CheckpointFolder,
    path: &'static dyn PathMethod,
    alpha: f64,
    filter: TensorFilter,
    /// Fisher information of both ends, where the path weighs by it.
    importance: Option<[Arc<dyn Weights>; 2]>,
    /// What would happen to each tensor.
    pub look: Preflight,
    /// What would become of the heads.
    pub heads: HeadPlan,
}

impl PointPlan {
    /// Opens both ends and looks at them; nothing is computed.
    pub fn new(asked: &PointRequest<'_>) -> Result<Self, WriteError> {
        let path = asked.method()?;
        let (from, to) = (CheckpointFolder::open(asked.from)?, CheckpointFolder::open(asked.to)?);
        let filter = asked.filter()?;
        let mut look = Preflight::new(&*from.weights, &*to.weights, &filter, CheckpointFolder::is_head);
        if let Some(difference) = from.differs_on(&to, None)? {
            look.problems.push(format!("the {difference} differs"));
        }
        let templates = asked.templates.map(read_lines).transpose();
        let templates = templates.map_err(|e| WriteError::Asked(e.to_string()))?;
        let heads = HeadPlan::new(&from, &to, templates.as_deref(), asked.drop_heads);
        let importance = asked.importance()?;
        Ok(Self { from, to, path, alpha: asked.alpha, filter, importance, look, heads })
    }

    /// What stands against merging them, if anything does.
    pub fn check(&self) -> Result<(), WriteError> {
        fits(&self.look, &self.from.path, &self.to.path)
    }

    /// Writes the point into `out`, in the layout of `from` and in f32.
    pub fn write(&self, out: &Path) -> Result<(), WriteError> {
        self.check()?;
        // Each tensor is needed once or twice; none is kept.
        let held = |folder: &CheckpointFolder| Cached::new(Arc::clone(&folder.weights), Budget::new(0));
        let ends = Ends::new(held(&self.from), held(&self.to), &self.filter, CheckpointFolder::is_head)?;
        let ends = match &self.importance {
            Some(importance) => ends.weighed(importance.clone())?,
            None => ends,
        };
        let mut tensors = ends.at(self.path, self.alpha).load_all().map_err(ModelError::from)?;
        let mut classifier = None;
        match &self.heads {
            HeadPlan::Impossible(reason) => return Err(WriteError::Asked(reason.clone())),
            HeadPlan::None | HeadPlan::Dropped => {}
            HeadPlan::Merge { classes, templates } => {
                let merged = self.head(&ends, classes, templates)?;
                let Some(rows) = merged.shared() else {
                    let text =
                        "a head that depends on the image cannot be written as one; a suite can sweep it";
                    return Err(WriteError::Asked(text.to_owned()));
                };
                tensors.insert(Classifier::WEIGHT.to_owned(), rows.clone());
                tensors.extend(merged.bias.map(|b| (Classifier::BIAS.to_owned(), b)));
                classifier = Some(Classifier { classes: classes.clone() });
            }
        }
        Ok(self.from.write_with(out, &tensors, classifier.as_ref(), DType::F32)?)
    }

    /// The heads of both ends, combined row by row.
    fn head(&self, ends: &Ends, classes: &[String], templates: &[String]) -> Result<HeadRows, WriteError> {
        let head = |folder: &CheckpointFolder, end: f64| -> Result<HeadRows, WriteError> {
            if folder.classifier.is_none() {
                return Ok(zero_shot(folder, &ends.at(self.path, end), classes, templates, &mut |_| {})?);
            }
            let all: Vec<u32> = (0..classes.len() as u32).collect();
            Ok(Classifier::head(&*folder.weights, &all)?)
        };
        let (start, end) = (head(&self.from, 0.0)?, head(&self.to, 1.0)?);
        let (path, alpha) = (self.path, self.alpha);
        let merged = start.blend(&end, move |a, b| merge_tensors(path, alpha, a, b));
        Ok(merged.map_err(ModelError::compute("head"))?)
    }
}
