//! GGUF files: metadata as JSON values, tensors dequantised when they are asked for.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{Content, TensorInfo as StoredInfo, Value as Stored};
use candle_core::{Device, Shape, Tensor};
use serde_json::{Map, Value};

use super::error::CheckpointError;
use super::weights::TensorInfo;
use crate::base::fs::open;
use crate::base::guard::guarded;

/// An open file.
pub struct GgufFile {
    path: PathBuf,
    content: Content,
}

impl GgufFile {
    /// Whether a file begins as GGUF.
    #[must_use]
    pub fn is_one(path: &Path) -> bool {
        let mut start = [0; 4];
        open(path).is_ok_and(|mut f| f.read_exact(&mut start).is_ok()) && start == *b"GGUF"
    }

    /// The file that a path means: itself, or the only one of a folder without `config.json`.
    #[must_use]
    pub fn meant_by(path: &Path) -> Option<PathBuf> {
        if path.is_file() {
            return Self::is_one(path).then(|| path.to_owned());
        }
        if path.join("config.json").is_file() {
            return None;
        }
        let all = std::fs::read_dir(path).ok()?.filter_map(Result::ok).map(|e| e.path());
        let mut found: Vec<PathBuf> = all.filter(|p| p.is_file() && Self::is_one(p)).collect();
        (found.len() == 1).then(|| found.remove(0))
    }

    /// Reads the header.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let mut file = BufReader::new(open(path)?);
        let damaged = |reason: String| CheckpointError::Damaged { path: path.to_owned(), reason };
        let content = guarded(|| Content::read(&mut file)).map_err(damaged)?;
        let content = content.map_err(|e| damaged(e.to_string()))?;
        Ok(Self { path: path.to_owned(), content })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The metadata.
    #[must_use]
    pub fn metadata(&self) -> Map<String, Value> {
        self.content.metadata.iter().map(|(key, value)| (key.clone(), plain(value))).collect()
    }

    /// Shapes by name. What is quantised is read as f32, so that is its type.
    #[must_use]
    pub fn tensors(&self) -> BTreeMap<String, TensorInfo> {
        let info = |shape: &[usize]| TensorInfo { shape: shape.to_vec(), dtype: "F32".to_owned() };
        self.content.tensor_infos.iter().map(|(name, i)| (name.clone(), info(i.shape.dims()))).collect()
    }

    /// One tensor in f32.
    pub fn read(&self, name: &str) -> candle_core::Result<Tensor> {
        let mut file = open(&self.path).map_err(candle_core::Error::wrap)?;
        let read = || self.content.tensor(&mut file, name, &Device::Cpu)?.dequantize(&Device::Cpu);
        guarded(read).map_err(candle_core::Error::Msg)?
    }

    /// One of the parts along the first axis of a tensor, in f32, without that axis; nothing else is read.
    pub fn read_part(&self, name: &str, part: usize) -> candle_core::Result<Tensor> {
        let fail = |what: &str| candle_core::Error::Msg(what.to_owned());
        let read = || {
            let whole = self.content.tensor_infos.get(name).ok_or_else(|| fail("not in the file"))?;
            let (parts, shape) = whole.shape.dims().split_first().ok_or_else(|| fail("has no parts"))?;
            let (kind, values) = (whole.ggml_dtype, shape.iter().product::<usize>());
            if part >= *parts || !values.is_multiple_of(kind.block_size()) {
                return Err(fail("has no such part"));
            }
            let bytes = values / kind.block_size() * kind.type_size();
            let offset = whole.offset.saturating_add((part * bytes) as u64);
            let own = StoredInfo { shape: Shape::from(shape), offset, ggml_dtype: kind };
            let mut file = open(&self.path).map_err(candle_core::Error::wrap)?;
            own.read(&mut file, self.content.tensor_data_offset, &Device::Cpu)?.dequantize(&Device::Cpu)
        };
        guarded(read).map_err(candle_core::Error::Msg)?
    }
}

fn plain(value: &Stored) -> Value {
    match value {
        Stored::U8(v) => (*v).into(),
        Stored::I8(v) => (*v).into(),
        Stored::U16(v) => (*v).into(),
        Stored::I16(v) => (*v).into(),
        Stored::U32(v) => (*v).into(),
        Stored::I32(v) => (*v).into(),
        Stored::U64(v) => (*v).into(),
        Stored::I64(v) => (*v).into(),
        // The shortest decimal that is this f32: 1e-6 was 1e-6 before it was stored.
        Stored::F32(v) => v.to_string().parse::<f64>().unwrap_or(f64::from(*v)).into(),
        Stored::F64(v) => (*v).into(),
        Stored::Bool(v) => (*v).into(),
        Stored::String(v) => v.as_str().into(),
        Stored::Array(all) => all.iter().map(plain).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf").join(name)
    }

    /// Values by gguf-py; `tests/golden/make_gguf.py` made the blocks.
    #[test]
    fn blocks_of_every_type_have_the_values_of_the_reference() {
        let file = GgufFile::open(&golden("blocks.gguf")).unwrap();
        let expected: BTreeMap<String, Vec<f32>> =
            serde_json::from_slice(&std::fs::read(golden("blocks.json")).unwrap()).unwrap();
        assert_eq!(expected.len(), 12);
        for (name, expected) in expected {
            let found = file.read(&name).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(found.len(), expected.len(), "{name}");
            let most = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
            assert!(worst <= 1e-6 * most, "{name}: {worst} of {most}");
        }
    }

    #[test]
    fn damaged_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let whole = std::fs::read(golden("qwen2.gguf")).unwrap();
        let path = dir.path().join("model.gguf");
        for length in [4, 5, 20, 100, 900] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = GgufFile::open(&path).err().unwrap().to_string();
            assert!(error.contains("model.gguf"), "{error}");
        }
        // A header that is whole, and a tensor that is not.
        std::fs::write(&path, &whole[..whole.len() - 64]).unwrap();
        let file = GgufFile::open(&path).unwrap();
        assert!(file.tensors().keys().any(|name| file.read(name).is_err()));
    }
}
