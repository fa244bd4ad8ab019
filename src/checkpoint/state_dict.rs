//! Named tensors on disk: memory-mapped safetensors, or PyTorch's pickles, read without running code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor};

use super::Tensors;
use super::error::CheckpointError;
use super::files::weight_files;
use super::gguf::GgufFile;
use super::lora::{LoraConfig, LowRank};
use super::naming::{AsStored, Naming, Share};
use super::pickle::PickleFile;
use super::weights::{Raw, TensorInfo, Weights, is_finite, missing, slice_of};
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::fs::{open, write_atomic};
use crate::base::guard::guarded;

/// Where bytes come from.
enum Backend {
    Safetensors(MmapedSafetensors),
    Pickles(Vec<PickleFile>),
    Gguf(GgufFile),
}

/// What lies below a partial checkpoint.
pub(super) struct Below {
    pub(super) base: Arc<dyn Weights>,
    /// Low-rank updates of the base's tensors.
    pub(super) updates: BTreeMap<String, LowRank>,
    /// What is added to biases of the base: the stored tensor and its factor.
    pub(super) shifts: BTreeMap<String, (String, f64)>,
}

/// A tensor under the name that models use.
pub(super) struct Entry {
    pub(super) info: TensorInfo,
    pub(super) stored: String,
    pub(super) part: Share,
}

/// Named tensors on disk, read when asked for.
pub struct StateDict {
    /// The folder or file that was opened.
    pub path: PathBuf,
    files: Vec<PathBuf>,
    backend: Backend,
    pub(super) sources: BTreeMap<String, Entry>,
    pub(super) entries: BTreeMap<String, TensorInfo>,
    /// The configuration of a LoRA adapter, if this is one.
    pub(super) adapter: Option<LoraConfig>,
    /// The checkpoint that gives what this one does not have.
    pub(super) below: Option<Below>,
}

impl StateDict {
    /// Opens a weights file, or the one (or the shards) in a folder. Tensors keep their names.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::open_as(path, &AsStored)
    }

    /// As [`StateDict::open`], with tensors under the names that an architecture knows them by.
    pub fn open_as(path: &Path, naming: &dyn Naming) -> Result<Self, CheckpointError> {
        let files = if path.is_dir() { weight_files(path)? } else { vec![path.to_owned()] };
        for file in &files {
            crate::base::fs::open(file)?;
        }
        let first = files.first().cloned().unwrap_or_else(|| path.to_owned());
        // By what is in the file: endings say little (`.bin`, `.ckpt`, `.pth.tar-50`).
        let (backend, stored) = if is_safetensors(&first)? {
            open_safetensors(&files, &first)?
        } else if GgufFile::is_one(&first) {
            let file = GgufFile::open(&first)?;
            let tensors = file.tensors();
            (Backend::Gguf(file), tensors)
        } else {
            open_pickles(&files)?
        };
        let adapter = if path.is_dir() { LoraConfig::open(path)? } else { None };
        Self::assembled((path, files), (backend, &stored), naming, adapter)
    }

    /// A GGUF file whose header has been read, under other names.
    ///
    /// # Errors
    /// If two of its tensors become one.
    pub fn of_gguf(file: GgufFile, naming: &dyn Naming) -> Result<Self, CheckpointError> {
        let (path, tensors) = (file.path().to_owned(), file.tensors());
        Self::assembled((&path, vec![path.clone()]), (Backend::Gguf(file), &tensors), naming, None)
    }

    fn assembled(
        (path, files): (&Path, Vec<PathBuf>),
        (backend, stored): (Backend, &BTreeMap<String, TensorInfo>),
        naming: &dyn Naming,
        adapter: Option<LoraConfig>,
    ) -> Result<Self, CheckpointError> {
        let names: Vec<&str> = stored.keys().map(String::as_str).collect();
        let mut renamed = naming.translate(&names);
        if adapter.is_some() {
            // Its names are resolved against what it adapts.
            for (parts, own) in renamed.iter_mut().zip(AsStored.translate(&names)) {
                if !parts.is_empty() {
                    *parts = own;
                }
            }
        }
        let mut sources: BTreeMap<String, Entry> = BTreeMap::new();
        for ((name, info), parts) in stored.iter().zip(renamed) {
            for (to, part) in parts {
                let info = TensorInfo { shape: part.shape(&info.shape), dtype: info.dtype.clone() };
                let entry = Entry { info, stored: name.clone(), part };
                if let Some(other) = sources.insert(to.clone(), entry) {
                    let what = format!(
                        "holds both `{}` and `{name}`, which are the same tensor (`{to}`)",
                        other.stored
                    );
                    return Err(CheckpointError::Unaccounted { path: path.to_owned(), what });
                }
            }
        }
        let entries = sources.iter().map(|(name, e)| (name.clone(), e.info.clone())).collect();
        Ok(Self { path: path.to_owned(), files, backend, sources, entries, adapter, below: None })
    }

    /// Names, shapes and types in alphabetical order.
    #[must_use]
    pub const fn entries(&self) -> &BTreeMap<String, TensorInfo> {
        &self.entries
    }

    fn source(&self, name: &str) -> Result<&Entry, CheckpointError> {
        self.sources.get(name).ok_or_else(|| missing(self, name))
    }

    pub(super) fn fail(&self, name: &str, source: candle_core::Error) -> CheckpointError {
        CheckpointError::Tensor { path: self.path.clone(), name: name.to_owned(), source }
    }

    /// A tensor as it is stored here or below, as f32.
    pub(super) fn plain(&self, name: &str) -> Result<Tensor, CheckpointError> {
        if let Some(base) = self.elsewhere(name) {
            return base.load(name);
        }
        let source = self.source(name)?;
        let read = || -> candle_core::Result<Tensor> {
            let whole = match (&self.backend, &source.part) {
                // Only its own bytes are read and dequantised.
                (Backend::Gguf(file), Share::Part(part)) => return file.read_part(&source.stored, *part),
                (Backend::Safetensors(mapped), _) => mapped.load(&source.stored, &Device::Cpu)?,
                (Backend::Pickles(files), _) => {
                    let file = files.iter().find(|f| f.tensors.contains_key(&source.stored));
                    let missing = || candle_core::Error::Msg("not in the pickle".to_owned());
                    file.ok_or_else(missing)?.read(&source.stored)?
                }
                (Backend::Gguf(file), _) => file.read(&source.stored)?,
            };
            source.part.of(whole)?.to_dtype(DType::F32)
        };
        read().map_err(|e| self.fail(name, e))
    }

    /// What this checkpoint, or the one at the bottom, calls some tensors.
    fn renamed(&self, tensors: &Tensors) -> Result<Tensors, CheckpointError> {
        if let Some(below) = &self.below {
            return below.base.as_stored(tensors);
        }
        if matches!(self.backend, Backend::Gguf(_)) {
            // Nothing is written as GGUF.
            return Ok(tensors.clone());
        }
        let mut all = Tensors::new();
        let mut thirds: BTreeMap<&str, [Option<Tensor>; 3]> = BTreeMap::new();
        for (name, tensor) in tensors {
            let Some(entry) = self.sources.get(name) else {
                all.insert(name.clone(), tensor.clone());
                continue;
            };
            match entry.part {
                Share::Whole => {
                    all.insert(entry.stored.clone(), tensor.clone());
                }
                Share::Transposed => {
                    let back = tensor.t().and_then(|t| t.contiguous()).map_err(|e| self.fail(name, e))?;
                    all.insert(entry.stored.clone(), back);
                }
                Share::Halves(_) | Share::ByHead(_) | Share::Part(_) | Share::LessOne => {
                    let what = "is in llama.cpp's layout, which is not written".to_owned();
                    return Err(self.fail(name, candle_core::Error::Msg(what)));
                }
                Share::Third(i) => thirds.entry(&entry.stored).or_default()[i] = Some(tensor.clone()),
            }
        }
        for (stored, parts) in thirds {
            let parts: Vec<Tensor> = parts.into_iter().flatten().collect();
            all.insert(stored.to_owned(), Tensor::cat(&parts, 0).map_err(|e| self.fail(stored, e))?);
        }
        Ok(all)
    }
}

impl Weights for StateDict {
    fn names(&self) -> Vec<&str> {
        self.entries.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.entries.get(name).cloned()
    }

    fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// As f32 on the CPU; every value is finite.
    fn load(&self, name: &str) -> Result<Tensor, CheckpointError> {
        let tensor = if self.is_adapted(name) { self.adapted(name)? } else { self.plain(name)? };
        let tensor = tensor.contiguous().map_err(|e| self.fail(name, e))?;
        {
            let lying = tensor.storage_and_layout();
            let values = slice_of(&lying).map_err(|e| self.fail(name, e))?;
            if !is_finite(values) {
                let bad = || values.iter().enumerate().filter(|(_, v)| !v.is_finite());
                return Err(CheckpointError::NonFinite {
                    path: self.path.clone(),
                    name: name.to_owned(),
                    count: bad().count(),
                    first: bad().next().map_or(0, |(i, _)| i),
                });
            }
        }
        Ok(tensor)
    }

    fn as_stored(&self, tensors: &Tensors) -> Result<Tensors, CheckpointError> {
        self.renamed(tensors)
    }

    /// One digest over all weight files.
    fn digest(&self, digests: &FileDigests) -> Result<Digest, CheckpointError> {
        let mut files = self.files.clone();
        files.extend(self.adapter.as_ref().map(|_| self.path.join(super::lora::CONFIG)));
        let mut each: Vec<Digest> = files.iter().map(|f| digests.of_file(f)).collect::<Result<_, _>>()?;
        if let Some(below) = &self.below {
            each.push(below.base.digest(digests)?);
        }
        Ok(Digest::of_value(&each))
    }

    fn label(&self) -> String {
        self.path.display().to_string()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.clone()
    }

    fn raw(&self, name: &str) -> Option<Raw<'_>> {
        if self.is_adapted(name) {
            return None;
        }
        if let Some(base) = self.elsewhere(name) {
            return base.raw(name);
        }
        let (entry, Backend::Safetensors(mapped)) = (self.sources.get(name)?, &self.backend) else {
            return None;
        };
        let view = mapped.get(&entry.stored).ok()?;
        let rows = view.shape().first().copied().unwrap_or(1);
        let row = view.data().len() / rows.max(1);
        let range = match entry.part {
            Share::Transposed | Share::Halves(_) | Share::ByHead(_) | Share::LessOne => return None,
            Share::Whole => 0..view.data().len(),
            Share::Third(_) | Share::Part(_) => {
                let range = entry.part.rows(rows);
                range.start * row..range.end * row
            }
        };
        Some(Raw { info: &entry.info, bytes: &view.data()[range] })
    }
}

type Stored = (Backend, BTreeMap<String, TensorInfo>);

fn open_safetensors(files: &[PathBuf], first: &Path) -> Result<Stored, CheckpointError> {
    #[expect(unsafe_code, reason = "mapped files must not change while they are read; the README says so")]
    let mapped = unsafe { MmapedSafetensors::multi(files) };
    let mapped =
        mapped.map_err(|e| CheckpointError::Damaged { path: first.to_owned(), reason: e.to_string() })?;
    let info = |view: &safetensors::tensor::TensorView<'_>| TensorInfo {
        shape: view.shape().to_vec(),
        dtype: format!("{:?}", view.dtype()),
    };
    let entries = mapped.tensors().iter().map(|(name, view)| (name.clone(), info(view))).collect();
    Ok((Backend::Safetensors(mapped), entries))
}

/// Whether a file begins as safetensors: the length of a JSON header that fits the file, and its brace.
fn is_safetensors(path: &Path) -> Result<bool, CheckpointError> {
    use std::io::Read as _;
    let mut start = [0; 9];
    let mut file = open(path)?;
    let read = file.read(&mut start).unwrap_or(0);
    let length = u64::from_le_bytes(std::array::from_fn(|i| start[i]));
    Ok(read == 9 && start[8] == b'{' && length < 1 << 32
        || path.extension().is_some_and(|e| e == "safetensors"))
}

fn open_pickles(paths: &[PathBuf]) -> Result<Stored, CheckpointError> {
    let mut files = Vec::new();
    let mut entries = BTreeMap::new();
    for path in paths {
        let damaged = |reason: String| CheckpointError::Damaged { path: path.clone(), reason };
        let file = guarded(|| PickleFile::open(path)).and_then(|f| f).map_err(damaged)?;
        for (name, stored) in &file.tensors {
            let info =
                TensorInfo { shape: stored.shape.clone(), dtype: stored.dtype.as_str().to_uppercase() };
            if entries.insert(name.clone(), info).is_some() {
                return Err(damaged(format!("holds `{name}`, which another shard holds too")));
            }
        }
        files.push(file);
    }
    Ok((Backend::Pickles(files), entries))
}

/// Writes tensors as one safetensors file, atomically, in the given type.
pub fn write_safetensors(path: &Path, tensors: &Tensors, dtype: DType) -> Result<(), CheckpointError> {
    let wrap =
        |name: &str, source| CheckpointError::Tensor { path: path.to_owned(), name: name.to_owned(), source };
    let converted: BTreeMap<String, Tensor> = tensors
        .iter()
        .map(|(name, t)| {
            let t = t.detach().to_device(&Device::Cpu).and_then(|t| t.to_dtype(dtype));
            Ok((name.clone(), t.and_then(|t| t.contiguous()).map_err(|e| wrap(name, e))?))
        })
        .collect::<Result<_, CheckpointError>>()?;
    let bytes = safetensors::tensor::serialize(converted.iter(), None);
    let bytes = bytes.map_err(|e| wrap("*", candle_core::Error::wrap(e)))?;
    Ok(write_atomic(path, &bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dict(dir: &Path, values: &[f32]) -> StateDict {
        let tensor = Tensor::from_slice(values, values.len(), &Device::Cpu).unwrap();
        let path = dir.join("model.safetensors");
        write_safetensors(&path, &BTreeMap::from([("w".to_owned(), tensor)]), DType::F32).unwrap();
        StateDict::open(dir).unwrap()
    }

    #[test]
    fn round_trip_and_missing_names() {
        let dir = tempfile::tempdir().unwrap();
        let dict = dict(dir.path(), &[1.0, 2.5]);
        assert_eq!(dict.load("w").unwrap().to_vec1::<f32>().unwrap(), [1.0, 2.5]);
        assert_eq!(dict.entries()["w"].shape, [2]);
        assert!(dict.load("v").unwrap_err().to_string().contains("no tensor `v`"));
    }

    #[test]
    fn non_finite_weights_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let error = dict(dir.path(), &[1.0, f32::NAN, f32::INFINITY]).load("w").unwrap_err();
        assert!(matches!(error, CheckpointError::NonFinite { count: 2, first: 1, .. }), "{error}");
    }

    #[test]
    fn truncated_files_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        drop(dict(dir.path(), &[1.0; 100]));
        let path = dir.path().join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
        let error = StateDict::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("model.safetensors` is not a whole weights file"), "{error}");
    }

    #[test]
    fn shards_are_found_through_the_index() {
        let dir = tempfile::tempdir().unwrap();
        let tensor = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
        for (file, name) in [("a.safetensors", "x"), ("b.safetensors", "y")] {
            let tensors = BTreeMap::from([(name.to_owned(), tensor.clone())]);
            write_safetensors(&dir.path().join(file), &tensors, DType::F16).unwrap();
        }
        let index = r#"{"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}"#;
        std::fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
        let dict = StateDict::open(dir.path()).unwrap();
        assert_eq!(dict.entries().keys().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(dict.entries()["x"].dtype, "F16");
    }
}
