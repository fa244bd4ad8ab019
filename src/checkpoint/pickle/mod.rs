//! PyTorch's files: state dicts, checkpoints of training scripts, whole pickled modules, in the zip format and the
//! one before it (torch < 1.6). Read as data; no code is run and nothing is imported.

mod machine;
mod weights;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use self::machine::{Id, Pickled, Value};
pub use self::weights::find;
use crate::base::fs::open;

/// A tensor of a pickle: where its values are and how they are laid out.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Number of its storage in [`PickleFile`].
    storage: String,
    /// Type.
    pub dtype: DType,
    /// First value within the storage.
    offset: usize,
    /// Extents.
    pub shape: Vec<usize>,
    /// Steps in values.
    stride: Vec<usize>,
}

/// Largest `data.pkl` that is read.
const LARGEST_PICKLE: u64 = 64 << 20;

/// `torch.save`'s magic number before 1.6, little end first.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// An open file.
pub struct PickleFile {
    path: PathBuf,
    /// Where each storage lies: first byte and number of bytes.
    storages: BTreeMap<String, (u64, u64)>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, Stored>,
}

impl PickleFile {
    /// Opens a file and finds its tensors. Errors say what the file is, without its name.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = open(path).map_err(|e| e.source.to_string())?;
        let mut start = [0; 64];
        let read = (&file).read(&mut start).map_err(|e| e.to_string())?;
        if start[..read].starts_with(b"PK") {
            Self::open_zip(path, file)
        } else if start[..read].windows(10).any(|w| w == LEGACY_MAGIC) {
            Self::open_legacy(path, &file)
        } else {
            Err("neither the zip file nor the pickle that `torch.save` writes".to_owned())
        }
    }

    fn open_zip(path: &Path, file: File) -> Result<Self, String> {
        let text = |e: zip::result::ZipError| e.to_string();
        let mut archive = zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(text)?;
        let mut storages = BTreeMap::new();
        let mut pickle = None;
        for index in 0..archive.len() {
            let entry = archive.by_index_raw(index).map_err(text)?;
            let name = entry.name().map_err(text)?.into_owned();
            let inner = name.split_once('/').map_or(name.as_str(), |(_, inner)| inner);
            if inner == "data.pkl" {
                pickle = Some(index);
                continue;
            }
            let Some(place) = entry.data_start() else { continue };
            if entry.compression() == zip::CompressionMethod::Stored {
                // TorchScript archives keep their constants apart.
                storages.insert(inner.to_owned(), (place, entry.size()));
            } else if inner.starts_with("data/") {
                return Err(format!("its storage `{inner}` is compressed, which `torch.save` never does"));
            }
        }
        let index = pickle.ok_or("a zip file without `data.pkl`")?;
        let entry = archive.by_index(index).map_err(text)?;
        let mut bytes = Vec::new();
        entry.take(LARGEST_PICKLE + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        if bytes.len() as u64 > LARGEST_PICKLE {
            return Err(format!("its `data.pkl` is larger than {} MiB", LARGEST_PICKLE >> 20));
        }
        let (root, values, _) = Pickled::read(&bytes).map_err(|e| format!("its pickle {e}"))?;
        let tensors = find(&values, root)?;
        Self { path: path.to_owned(), storages, tensors }.checked()
    }

    /// The format before torch 1.6: five pickles (magic, protocol, machine, object, keys), then the storages.
    fn open_legacy(path: &Path, mut file: &File) -> Result<Self, String> {
        let length = file.metadata().map_err(|e| e.to_string())?.len();
        let mut bytes = Vec::new();
        // The pickles stand at the start; weights follow.
        file.seek(SeekFrom::Start(0)).map_err(|e| e.to_string())?;
        file.take(LARGEST_PICKLE).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        let mut at = 0;
        let mut next = || -> Result<(Id, Pickled), String> {
            let (root, values, used) = Pickled::read(&bytes[at..]).map_err(|e| format!("its pickle {e}"))?;
            at += used;
            Ok((root, values))
        };
        for _ in 0..3 {
            next()?;
        }
        let (root, values) = next()?;
        let (keys, names) = next()?;
        let mut place = at as u64;
        let tensors = find(&values, root)?;
        let mut widths = BTreeMap::new();
        for value in values.all() {
            let Value::Persistent(key) = value else { continue };
            let key = values.items(*key).filter(|k| k.len() >= 3).ok_or("a storage that is not described")?;
            let dtype = dtype_of(&values.callee(key[1]))?;
            widths.insert(format!("data/{}", values.text(key[2]).unwrap_or_default()), dtype.size_in_bytes());
        }
        let mut storages = BTreeMap::new();
        for &key in names.items(keys).ok_or("its list of storages is none")? {
            let name = names.text(key).ok_or("a storage's key is no text")?;
            let mut count = [0; 8];
            read_at(file, &mut count, place)?;
            let name = format!("data/{name}");
            let &width = widths.get(&name).ok_or("a storage that no tensor uses")?;
            let size = u64::from_le_bytes(count).checked_mul(width as u64).filter(|&s| s <= length);
            let size = size.ok_or("a storage is longer than the file")?;
            storages.insert(name, (place + 8, size));
            place += 8 + size;
        }
        Self { path: path.to_owned(), storages, tensors }.checked()
    }

    /// Checks that every tensor lies within its storage and every storage within the file.
    fn checked(self) -> Result<Self, String> {
        let length = std::fs::metadata(&self.path).map_err(|e| e.to_string())?.len();
        for (name, tensor) in &self.tensors {
            let (place, size) = self
                .storages
                .get(&tensor.storage)
                .ok_or_else(|| format!("`{name}` lies in a storage that is not there"))?;
            let values = tensor.shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e));
            let last = tensor.last().filter(|_| tensor.shape.len() == tensor.stride.len());
            let bytes = last.and_then(|l| (l as u64).checked_mul(tensor.dtype.size_in_bytes() as u64));
            let fits = place.checked_add(*size).is_some_and(|end| end <= length)
                && bytes.is_some_and(|b| b <= *size);
            // A stride of 0 repeats a value: no weight does, and it would take memory without end.
            if !fits || values.is_none_or(|v| v as u64 > size.max(&1) * 2) {
                return Err(format!("`{name}` does not lie within its storage"));
            }
        }
        Ok(self)
    }

    /// Reads a tensor in its stored type.
    pub fn read(&self, name: &str) -> Result<Tensor, candle_core::Error> {
        let missing = || candle_core::Error::Msg("not in the file".to_owned());
        let stored = self.tensors.get(name).ok_or_else(missing)?;
        let (place, _) = self.storages.get(&stored.storage).ok_or_else(missing)?;
        let width = stored.dtype.size_in_bytes();
        let span = stored.last().unwrap_or(0).saturating_sub(stored.offset) * width;
        let mut bytes = vec![0; span];
        let file = open(&self.path).map_err(|e| candle_core::Error::Msg(e.to_string()))?;
        let start = place + (stored.offset * width) as u64;
        read_at(&file, &mut bytes, start).map_err(candle_core::Error::Msg)?;
        let bytes = if stored.is_contiguous() { bytes } else { stored.gather(&bytes, width) };
        Tensor::from_raw_buffer(&bytes, stored.dtype, &stored.shape, &Device::Cpu)
    }
}

fn read_at(mut file: &File, bytes: &mut [u8], place: u64) -> Result<(), String> {
    let read = file.seek(SeekFrom::Start(place)).and_then(|_| file.read_exact(bytes));
    read.map_err(|e| format!("ends within its weights: {e}"))
}

impl Stored {
    /// One past the last value within the storage; `None` if it cannot be counted.
    fn last(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(self.offset);
        }
        let mut last = self.offset;
        for (&extent, &step) in self.shape.iter().zip(&self.stride) {
            last = last.checked_add((extent - 1).checked_mul(step)?)?;
        }
        last.checked_add(1)
    }

    fn is_contiguous(&self) -> bool {
        let mut step = 1;
        self.shape.iter().zip(&self.stride).rev().all(|(&extent, &stride)| {
            let fits = extent <= 1 || stride == step;
            step *= extent;
            fits
        })
    }

    /// Values in order of the axes (channels-last, transposed views).
    fn gather(&self, bytes: &[u8], width: usize) -> Vec<u8> {
        let count: usize = self.shape.iter().product();
        let mut out = Vec::with_capacity(count * width);
        let mut index = vec![0usize; self.shape.len()];
        for _ in 0..count {
            let at: usize = index.iter().zip(&self.stride).map(|(i, s)| i * s).sum();
            out.extend_from_slice(&bytes[at * width..(at + 1) * width]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        out
    }
}

/// The tensor that a call makes, looking through parameters and subclasses.
fn tensor(all: &Pickled, mut id: Id) -> Result<Option<Stored>, String> {
    // Parameters of parameters are not written by anybody; a bound keeps a crafted file from looping.
    for _ in 0..4 {
        let Value::Call { callee, args, .. } = all.get(id) else { return Ok(None) };
        let args = all.items(*args).unwrap_or_default();
        match all.callee(*callee).as_str() {
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => {
                return stored(all, args, None).map(Some);
            }
            "torch._utils._rebuild_tensor_v3" => return stored(all, args, args.get(6).copied()).map(Some),
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                id = *args.first().ok_or("a parameter without a tensor")?;
            }
            "torch._tensor._rebuild_from_type_v2" => {
                let inner = args.get(2).and_then(|&a| all.items(a)).ok_or("a tensor without arguments")?;
                let function = args.first().map_or_else(String::new, |&f| all.callee(f));
                if !function.starts_with("torch._utils._rebuild_tensor") {
                    return Err(format!("a tensor made by `{function}`, which is not known here"));
                }
                return stored(all, inner, None).map(Some);
            }
            other if other.starts_with("torch._utils._rebuild") => {
                return Err(format!("a tensor made by `{other}`, which is not known here"));
            }
            _ => return Ok(None),
        }
    }
    Err("a parameter within a parameter within a parameter".to_owned())
}

fn stored(all: &Pickled, args: &[Id], dtype: Option<Id>) -> Result<Stored, String> {
    let [storage, offset, shape, stride, ..] = *args else {
        return Err("a tensor with too few arguments".to_owned());
    };
    let Value::Persistent(key) = all.get(storage) else {
        return Err("a tensor without a storage".to_owned());
    };
    let key = all.items(*key).filter(|k| k.len() >= 3).ok_or("a storage that is not described")?;
    let dtype = dtype_of(&all.callee(dtype.unwrap_or(key[1])))?;
    let extents = |id: Id| -> Result<Vec<usize>, String> {
        let items = all.items(id).ok_or("a tensor whose shape is none")?;
        items.iter().map(|&i| all.index(i).ok_or_else(|| "a tensor whose shape is none".to_owned())).collect()
    };
    let (shape, stride) = (extents(shape)?, extents(stride)?);
    if shape.len() != stride.len() || shape.len() > 8 {
        return Err("a tensor whose shape is none".to_owned());
    }
    let name = all.text(key[2]).ok_or("a storage whose key is no text")?;
    let offset = all.index(offset).ok_or("a tensor with a bad offset")?;
    Ok(Stored { storage: format!("data/{name}"), dtype, offset, shape, stride })
}

/// The type that a storage's class, or a `torch.dtype`, names.
fn dtype_of(class: &str) -> Result<DType, String> {
    Ok(match class.rsplit('.').next().unwrap_or_default() {
        "FloatStorage" | "float32" => DType::F32,
        "DoubleStorage" | "float64" => DType::F64,
        "HalfStorage" | "float16" => DType::F16,
        "BFloat16Storage" | "bfloat16" => DType::BF16,
        "LongStorage" | "int64" => DType::I64,
        "IntStorage" | "int32" => DType::I32,
        "ShortStorage" | "int16" => DType::I16,
        "ByteStorage" | "BoolStorage" | "CharStorage" | "uint8" | "int8" | "bool" => DType::U8,
        other => return Err(format!("a tensor of type `{other}`, which is not known here")),
    })
}
