//! Weights written one tensor at a time: what is larger than memory can be written.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Tensor};
use safetensors::View;
use safetensors::tensor::{Dtype, serialize_to_file};

use super::CheckpointError;
use crate::base::fs::write_atomic_at;

/// Makes some rows (places along the first axis) of a tensor when it is its turn.
type Load<'a> = dyn Fn(&str, Range<usize>) -> Result<Tensor, CheckpointError> + 'a;

/// A tensor that is to be written.
pub struct Streamed<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its extents.
    pub shape: Vec<usize>,
    /// The type that it is stored in: f32, bf16 or f16.
    pub dtype: DType,
    /// Rows that are made at a time.
    pub rows: usize,
}

struct Lazy<'a> {
    tensor: &'a Streamed<'a>,
    load: &'a Load<'a>,
    /// The first failure; the format's writer knows none.
    failed: &'a Mutex<Option<CheckpointError>>,
}

impl Lazy<'_> {
    fn values(&self) -> Result<Vec<u8>, CheckpointError> {
        let Streamed { name, shape, dtype, rows } = self.tensor;
        let wrap =
            |source| CheckpointError::Tensor { path: "the result".into(), name: (*name).to_owned(), source };
        let all = shape.first().copied().unwrap_or(1);
        let mut bytes = Vec::with_capacity(self.data_len());
        for start in (0..all).step_by((*rows).max(1)) {
            let part = (self.load)(name, start..all.min(start + rows.max(&1)))?;
            let part = part.to_dtype(*dtype).and_then(|t| t.contiguous()).map_err(wrap)?;
            bytes.extend_from_slice(&View::data(&part));
        }
        Ok(bytes)
    }
}

impl View for Lazy<'_> {
    fn dtype(&self) -> Dtype {
        match self.tensor.dtype {
            DType::BF16 => Dtype::BF16,
            DType::F16 => Dtype::F16,
            _ => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        // After a failure the file is thrown away; the rest is not computed.
        if failed.is_none() {
            match self.values() {
                Ok(bytes) => return bytes.into(),
                Err(error) => *failed = Some(error),
            }
        }
        vec![0; self.data_len()].into()
    }

    fn data_len(&self) -> usize {
        self.tensor.shape.iter().product::<usize>() * self.tensor.dtype.size_in_bytes()
    }
}

/// Writes tensors as one safetensors file, atomically; each is made by `load`, stored in its type, and let go.
pub fn write_streamed(path: &Path, tensors: &[Streamed<'_>], load: &Load<'_>) -> Result<(), CheckpointError> {
    let failed = Mutex::new(None);
    let views = tensors.iter().map(|tensor| (tensor.name, Lazy { tensor, load, failed: &failed }));
    write_atomic_at(path, |temporary| {
        let done = serialize_to_file(views, None, temporary);
        if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        done.map_err(|e| CheckpointError::Damaged { path: path.to_owned(), reason: e.to_string() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{StateDict, Weights as _};
    use candle_core::Device;

    #[test]
    fn tensors_come_back_and_failures_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let load = |name: &str, rows: Range<usize>| {
            let start = if name == "a" { 0.0f32 } else { 1.0 };
            Tensor::arange(start, start + 4.0, &Device::Cpu)
                .and_then(|t| t.reshape((2, 2))?.narrow(0, rows.start, rows.len()))
                .map_err(|source| CheckpointError::Tensor { path: "x".into(), name: name.to_owned(), source })
        };
        let tensors = [("a", DType::BF16, 1), ("b", DType::F32, 5)].map(|(name, dtype, rows)| Streamed {
            name,
            shape: vec![2, 2],
            dtype,
            rows,
        });
        write_streamed(&path, &tensors, &load).unwrap();
        let back = StateDict::open(dir.path()).unwrap();
        assert_eq!(back.load("b").unwrap().to_vec2::<f32>().unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!((back.entries()["a"].dtype.as_str(), back.entries()["b"].dtype.as_str()), ("BF16", "F32"));
        let other = dir.path().join("other.safetensors");
        let missing = |name: &str, _: Range<usize>| {
            Err(CheckpointError::MissingTensor {
                path: "x".into(),
                name: name.to_owned(),
                hint: String::new(),
            })
        };
        assert!(write_streamed(&other, &tensors, &missing).unwrap_err().to_string().contains("no tensor `"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
