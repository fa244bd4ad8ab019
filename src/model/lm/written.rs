//! Writes a point between two language models as a folder of its own, tensor by tensor: neither model is ever in memory.

use std::path::Path;
use std::sync::Arc;

use candle_core::DType;

use super::folder::{LanguageFolder, family};
use crate::base::fs::write_atomic;
use crate::checkpoint::{Budget, Cached, GgufFile, Weights as _, write_streamed};
use crate::merge::{Ends, Fate, PathMethod, Preflight, TensorFilter};
use crate::model::point::fits;
use crate::model::{Architecture as _, ModelError, PointRequest, WriteError};

/// A point of a path that can be looked at and then written.
pub struct LanguagePoint {
    from: LanguageFolder,
    to: LanguageFolder,
    path: &'static dyn PathMethod,
    alpha: f64,
    filter: TensorFilter,
    /// What would happen to each tensor.
    pub look: Preflight,
}

impl LanguagePoint {
    /// Whether a folder or file is a language model.
    #[must_use]
    pub fn is_for(path: &Path) -> bool {
        GgufFile::meant_by(path).is_some() || family(path).is_some()
    }

    /// Opens both ends and looks at them; nothing is computed. `to` may be an adapter of `from`.
    pub fn new(asked: &PointRequest<'_>) -> Result<Self, WriteError> {
        let (path, filter) = (asked.method()?, asked.filter()?);
        let from = LanguageFolder::open_any(asked.from)?;
        let to = if Self::is_for(asked.to) {
            LanguageFolder::open_any(asked.to)?
        } else {
            LanguageFolder::open_over(asked.to, &from)?
        };
        let mut look = Preflight::new(&*from.weights, &*to.weights, &filter, |_| false);
        if let Some(difference) = from.differs_from(&to, &[])? {
            look.problems.push(format!("the {difference} differs"));
        }
        Ok(Self { from, to, path, alpha: asked.alpha, filter, look })
    }

    /// What stands against merging them, if anything does.
    pub fn check(&self) -> Result<(), WriteError> {
        fits(&self.look, &self.from.path, &self.to.path)
    }

    /// Writes the point into `out`, each tensor in the type that `from` stores it in (f32 of a GGUF file).
    pub fn write(&self, out: &Path) -> Result<(), WriteError> {
        self.check()?;
        let held = |folder: &LanguageFolder| Cached::new(Arc::clone(&folder.weights), Budget::new(0));
        let ends = Ends::new(held(&self.from), held(&self.to), &self.filter, |_| false)?;
        let point = ends.at(self.path, self.alpha);
        let dtype = |name: &str| match self.from.weights.info(name).map(|i| i.dtype).as_deref() {
            Some("BF16") => DType::BF16,
            Some("F16") => DType::F16,
            _ => DType::F32,
        };
        let shapes = self.from.config.tensors();
        let tensors: Vec<_> =
            shapes.iter().map(|(name, s)| (name.as_str(), s.clone(), dtype(name))).collect();
        // What both ends share is read from one, not kept for a sweep.
        let load = |name: &str| match ends.fates().get(name) {
            Some(Fate::Interpolated) => point.load(name),
            _ => self.from.weights.load(name),
        };
        for (name, content) in self.from.files()? {
            write_atomic(&out.join(name), &content).map_err(ModelError::from)?;
        }
        let file = out.join("model.safetensors");
        Ok(write_streamed(&file, &tensors, &load).map_err(ModelError::from)?)
    }
}
