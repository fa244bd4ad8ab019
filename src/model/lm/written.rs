//! Writes a point between two language models as a folder of its own, tensor by tensor: neither model is ever in memory.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::folder::{LanguageFolder, family};
use crate::base::fs::write_atomic;
use crate::checkpoint::{
    CheckpointError, GgufFile, Raw, Streamed, Weights, is_finite, of_tensor, slice_of, write_streamed,
};
use crate::merge::{Fate, PathMethod, Preflight, merge_tensors, merge_weighed};
use crate::model::point::fits;
use crate::model::{Architecture as _, ModelError, PointRequest, WriteError};

/// A point of a path that can be looked at and then written.
pub struct LanguagePoint {
    from: LanguageFolder,
    to: LanguageFolder,
    path: &'static dyn PathMethod,
    alpha: f64,
    /// Fisher information of both ends, where the path weighs by it.
    importance: Option<[Arc<dyn Weights>; 2]>,
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
        no_heads(asked.templates.is_some() || asked.drop_heads).map_err(WriteError::Asked)?;
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
        Ok(Self { from, to, path, alpha: asked.alpha, importance: asked.importance()?, look })
    }

    /// What stands against merging them, if anything does.
    pub fn check(&self) -> Result<(), WriteError> {
        fits(&self.look, &self.from.path, &self.to.path)
    }

    /// Writes the point into `out`, each tensor in the type that `from` stores it in (f32 of a GGUF file).
    pub fn write(&self, out: &Path) -> Result<(), WriteError> {
        self.check()?;
        let shapes = self.from.config.tensors();
        // What lies in a map is taken in parts; what has to be made is made whole.
        let mapped =
            |name: &str| self.from.weights.raw(name).is_some() && self.to.weights.raw(name).is_some();
        let tensors: Vec<Streamed<'_>> = shapes
            .iter()
            .map(|(name, shape)| {
                let all = shape.first().copied().unwrap_or(1);
                let row = shape.iter().skip(1).product::<usize>().max(1);
                let rows =
                    if mapped(name) && !self.path.needs_whole_tensors() { (PART / row).max(1) } else { all };
                Streamed { name, shape: shape.clone(), dtype: stored_type(&*self.from.weights, name), rows }
            })
            .collect();
        let load = |name: &str, rows: Range<usize>| {
            let from = part(&*self.from.weights, name, rows.clone())?;
            match self.look.fates.get(name) {
                Some(Fate::Interpolated) => {
                    let to = part(&*self.to.weights, name, rows.clone())?;
                    let merged = match &self.importance {
                        Some([f, g]) => {
                            let (f, g) = (part(&**f, name, rows.clone())?, part(&**g, name, rows)?);
                            merge_weighed(self.alpha, [&from, &to], [&f, &g])
                        }
                        None => merge_tensors(self.path, self.alpha, &from, &to),
                    };
                    merged.map_err(of_tensor(&*self.from.weights, name))
                }
                // What both ends share is read from one.
                _ => Ok(from),
            }
        };
        for (name, content) in self.from.files()? {
            write_atomic(&out.join(name), &content).map_err(ModelError::from)?;
        }
        let file = out.join("model.safetensors");
        Ok(write_streamed(&file, &tensors, &load).map_err(ModelError::from)?)
    }
}

/// The type in which a tensor is stored; f32 where that is none that can be written.
fn stored_type(weights: &dyn Weights, name: &str) -> DType {
    match weights.info(name).map(|i| i.dtype).as_deref() {
        Some("BF16") => DType::BF16,
        Some("F16") => DType::F16,
        _ => DType::F32,
    }
}

/// Refuses what is asked of heads of classes, which a language model does not have.
pub(super) fn no_heads(asked: bool) -> Result<(), String> {
    let text = "a language model has no head of classes; leave `--templates` and `--drop-heads` out";
    if asked { Err(text.to_owned()) } else { Ok(()) }
}

/// Writes a model as a folder of its own, each tensor made whole when it is its turn and gone when it is written.
pub(super) fn write_whole(
    folder: &LanguageFolder,
    out: &Path,
    dtype: Option<DType>,
) -> Result<(), ModelError> {
    for (name, content) in folder.files()? {
        write_atomic(&out.join(name), &content)?;
    }
    let shapes = folder.config.tensors();
    let tensors: Vec<Streamed<'_>> = shapes
        .iter()
        .map(|(name, shape)| {
            let rows = shape.first().copied().unwrap_or(1);
            let dtype = dtype.unwrap_or_else(|| stored_type(&*folder.weights, name));
            Streamed { name, shape: shape.clone(), dtype, rows }
        })
        .collect();
    let load = |name: &str, _: Range<usize>| folder.weights.load(name);
    Ok(write_streamed(&out.join("model.safetensors"), &tensors, &load)?)
}

/// Values that are merged at a time.
const PART: usize = 1 << 24;

/// Some rows of a tensor in f32, every value finite.
fn part(weights: &dyn Weights, name: &str, rows: Range<usize>) -> Result<Tensor, CheckpointError> {
    let wrap = of_tensor(weights, name);
    let dtype = |raw: &Raw<'_>| match raw.info.dtype.as_str() {
        "BF16" => Some(DType::BF16),
        "F16" => Some(DType::F16),
        "F32" => Some(DType::F32),
        _ => None,
    };
    let raw = weights.raw(name).and_then(|raw| Some((dtype(&raw)?, raw)));
    let Some((dtype, raw)) = raw else {
        return weights.load(name)?.narrow(0, rows.start, rows.len()).map_err(wrap);
    };
    let row = raw.bytes.len() / raw.info.shape.first().copied().unwrap_or(1).max(1);
    let mut shape = raw.info.shape.clone();
    if let Some(first) = shape.first_mut() {
        *first = rows.len();
    }
    let bytes = &raw.bytes[rows.start * row..rows.end * row];
    let values =
        Tensor::from_raw_buffer(bytes, dtype, &shape, &Device::Cpu).and_then(|t| t.to_dtype(DType::F32));
    let values = values.map_err(&wrap)?;
    let finite = is_finite(slice_of(&values.storage_and_layout()).map_err(&wrap)?);
    // The whole tensor says how many are not, and where.
    if finite { Ok(values) } else { weights.load(name) }
}
