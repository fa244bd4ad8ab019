//! Anything that has tensors by name: the waist between where numbers come from (a file, an overlay, a point of a
//! curve, a combination of many, tensors in memory) and who computes with them.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{DType, Device, Layout, Shape, Storage, Tensor};
use candle_nn::{Init, VarBuilder};
use rayon::prelude::*;

use super::{CheckpointError, Tensors};
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;

/// Shape and type of a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Stored type, as safetensors spells it.
    pub dtype: String,
}

impl TensorInfo {
    /// Whether arithmetic on the tensor makes sense (it is not an integer buffer).
    #[must_use]
    pub fn is_float(&self) -> bool {
        self.dtype.starts_with('F') || self.dtype.starts_with("BF")
    }
}

/// A tensor's bytes as they are stored.
#[derive(Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Shape and type.
    pub info: &'a TensorInfo,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Along which axis of a weight its layer's inputs lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputAxis {
    /// `[out, in]`, as PyTorch's `Linear`.
    Last,
    /// `[in, out]`, as GPT-2's `Conv1D`.
    First,
}

impl InputAxis {
    /// The name of a weight's products of inputs, from which the axis can be told.
    #[must_use]
    pub fn gram_name(self, weight: &str) -> String {
        match self {
            Self::Last => weight.to_owned(),
            Self::First => format!("{weight}@inputs-first"),
        }
    }
}

/// Hears of what a linear layer is given.
pub trait Observer: Send + Sync {
    /// Rows `[rows, inputs]`, f32.
    fn see(&self, rows: &Tensor) -> candle_core::Result<()>;
}

/// Tensors by name, each made when it is wanted.
pub trait Weights: Send + Sync {
    /// The names, sorted.
    fn names(&self) -> Vec<&str>;

    /// Shape and type of a tensor; nothing is loaded. `None` if there is none of that name.
    fn info(&self, name: &str) -> Option<TensorInfo>;

    /// One tensor: f32 on the CPU and finite, unless a wrapper places it elsewhere.
    fn load(&self, name: &str) -> Result<Tensor, CheckpointError>;

    /// Identifies the content of all tensors.
    fn digest(&self, digests: &FileDigests) -> Result<Digest, CheckpointError>;

    /// What messages call them.
    fn label(&self) -> String;

    /// The files behind them, if they are files.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The bytes that a tensor is read from as they are, if there are such bytes: equal ones need no loading.
    fn raw(&self, _name: &str) -> Option<Raw<'_>> {
        None
    }

    /// Tensors by the names and in the shapes in which these weights are stored, so that what is written reads back in the
    /// same layout. Tensors that are not among them keep their names.
    fn as_stored(&self, tensors: &Tensors) -> Result<Tensors, CheckpointError> {
        Ok(tensors.clone())
    }

    /// Who wants to hear of the inputs of the linear layer with this weight, if anybody does.
    fn observer(&self, _weight: &str, _inputs: InputAxis) -> Option<Arc<dyn Observer>> {
        None
    }

    /// Whether there is a tensor of that name.
    fn contains(&self, name: &str) -> bool {
        self.info(name).is_some()
    }

    /// Whether both hold the same values under this name.
    fn same(&self, other: &dyn Weights, name: &str) -> bool {
        if let (Some(a), Some(b)) = (self.raw(name), other.raw(name)) {
            // What lies over the same file is not read twice to be found equal.
            return std::ptr::eq(a.bytes, b.bytes) && a.info == b.info || a == b;
        }
        self.info(name) == other.info(name)
            && matches!((values(self, name), values(other, name)), (Ok(x), Ok(y)) if x == y)
    }

    /// Whether two tensors of these weights hold the same values.
    fn same_within(&self, a: &str, b: &str) -> bool {
        if let (Some(a), Some(b)) = (self.raw(a), self.raw(b)) {
            return a == b;
        }
        self.info(a) == self.info(b) && matches!((values(self, a), values(self, b)), (Ok(x), Ok(y)) if x == y)
    }

    /// Names of the floating-point tensors: those that arithmetic makes sense on.
    fn floats(&self) -> Vec<&str> {
        let mut names = self.names();
        names.retain(|n| self.info(n).is_some_and(|i| i.is_float()));
        names
    }

    /// All floating-point tensors in memory.
    fn load_all(&self) -> Result<Tensors, CheckpointError> {
        self.floats().into_iter().map(|name| Ok((name.to_owned(), self.load(name)?))).collect()
    }
}

/// Tensors in memory, such as those of a model under training.
impl Weights for Tensors {
    fn names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        let tensor = self.get(name)?;
        Some(TensorInfo {
            shape: tensor.dims().to_vec(),
            dtype: tensor.dtype().as_str().to_ascii_uppercase(),
        })
    }

    fn load(&self, name: &str) -> Result<Tensor, CheckpointError> {
        self.get(name).cloned().ok_or_else(|| missing(self, name))
    }

    fn digest(&self, _: &FileDigests) -> Result<Digest, CheckpointError> {
        let each = self.iter().map(|(name, tensor)| {
            let values = values(self, name)?;
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            Ok((name, tensor.dims(), Digest::of_bytes(&bytes)))
        });
        Ok(Digest::of_value(&each.collect::<Result<Vec<_>, CheckpointError>>()?))
    }

    fn label(&self) -> String {
        "tensors in memory".to_owned()
    }
}

/// The number that is stored under a name, as a tensor of one value, if one is.
pub fn stored_number(weights: &dyn Weights, name: &str) -> Result<Option<f64>, CheckpointError> {
    if !weights.contains(name) {
        return Ok(None);
    }
    let number = |t: Tensor| t.flatten_all()?.to_dtype(DType::F64)?.get(0)?.to_scalar::<f64>();
    number(weights.load(name)?).map(Some).map_err(of_tensor(weights, name))
}

/// The error of a name that is not there, with the nearest one.
pub fn missing(weights: &(impl Weights + ?Sized), name: &str) -> CheckpointError {
    let near = crate::base::registry::nearest(name, weights.names());
    CheckpointError::MissingTensor {
        path: PathBuf::from(weights.label()),
        name: name.to_owned(),
        hint: near.map(|n| format!("; the nearest is `{n}`")).unwrap_or_default(),
    }
}

/// What candle says of a tensor, as an error that names it and where it comes from.
pub fn of_tensor<W: Weights + ?Sized>(
    weights: &W,
    name: &str,
) -> impl Fn(candle_core::Error) -> CheckpointError {
    move |source| CheckpointError::Tensor { path: weights.label().into(), name: name.to_owned(), source }
}

/// The values of a tensor, row by row.
pub fn values<W: Weights + ?Sized>(weights: &W, name: &str) -> Result<Vec<f32>, CheckpointError> {
    let flat = weights.load(name)?.flatten_all();
    flat.and_then(|t| t.to_vec1::<f32>()).map_err(of_tensor(weights, name))
}

/// The values of a contiguous f32 tensor on the CPU, where they lie.
///
/// # Errors
/// If it is none.
pub fn slice_of<'a>(
    (storage, layout): &'a (impl Deref<Target = Storage>, &Layout),
) -> candle_core::Result<&'a [f32]> {
    match (&**storage, layout.contiguous_offsets()) {
        (Storage::Cpu(values), Some((from, to))) => Ok(&values.as_slice::<f32>()?[from..to]),
        _ => candle_core::bail!("weights are read as contiguous f32 on the CPU"),
    }
}

/// Whether no value is infinite or none.
pub fn is_finite(values: &[f32]) -> bool {
    // Without an early end, so that many are looked at at once.
    let all = |part: &[f32]| part.iter().fold(true, |all, v| all & v.is_finite());
    values.par_chunks(1 << 16).all(all)
}

/// The values of a tensor that lies in a mapped file as f32; nothing is copied. `None` if it does not, or if one is not
/// finite: loading it says which.
pub fn mapped<'a>(weights: &'a dyn Weights, name: &str) -> Option<&'a [f32]> {
    let raw = weights.raw(name).filter(|r| r.info.dtype == "F32")?;
    bytemuck::try_cast_slice(raw.bytes).ok().filter(|values| is_finite(values))
}

/// A builder of `candle-nn`'s and `candle-transformers`' models from any weights, nothing written.
#[must_use]
pub fn var_builder<'a>(weights: &'a dyn Weights, dtype: DType, device: &Device) -> VarBuilder<'a> {
    VarBuilder::from_backend(Box::new(Source(weights)), dtype, device.clone())
}

struct Source<'a>(&'a dyn Weights);

impl candle_nn::var_builder::SimpleBackend for Source<'_> {
    fn get(&self, s: Shape, name: &str, _: Init, dtype: DType, dev: &Device) -> candle_core::Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, dev)?;
        if *tensor.shape() != s {
            candle_core::bail!("tensor `{name}` has shape {:?}, the model needs {s:?}", tensor.shape());
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, dev: &Device) -> candle_core::Result<Tensor> {
        self.0.load(name).map_err(candle_core::Error::wrap)?.to_device(dev)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}
