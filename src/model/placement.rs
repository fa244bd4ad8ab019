//! Where and in which type the towers compute.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use candle_core::{DType, Device, Tensor};

use super::ModelError;
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::checkpoint::{CheckpointError, TensorInfo, Weights, of_tensor};

/// How numbers are computed, as far as results depend on it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Numerics {
    /// Type of weights and activations.
    pub dtype: String,
    /// Kind of device.
    pub device: String,
}

impl Default for Numerics {
    fn default() -> Self {
        Self { dtype: "f32".to_owned(), device: "cpu".to_owned() }
    }
}

/// A device and a type. Weights are merged in f32 on the CPU, then placed; heads, logits and softmax are f32.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The device of the towers and heads.
    pub device: Device,
    /// The type of the towers' weights, and on a GPU of their activations. On the CPU activations and sums are f32.
    pub dtype: DType,
    /// How many batches did not fit in the device's memory and were halved; shared by all models of a placement.
    pub halved: Arc<AtomicUsize>,
}

/// What `auto`, `cpu`, `cuda` or `cuda:N` means on this machine and in this build, with the type `f32`, `bf16` or `f16`.
pub fn numerics(device: &str, dtype: &str) -> Result<Numerics, ModelError> {
    let bad = |reason: String| ModelError::Device(reason);
    let device = match device {
        "cpu" => "cpu".to_owned(),
        "auto" if candle_core::utils::cuda_is_available() => "cuda".to_owned(),
        "auto" => "cpu".to_owned(),
        other
            if other == "cuda" || other.strip_prefix("cuda:").is_some_and(|n| n.parse::<usize>().is_ok()) =>
        {
            if !candle_core::utils::cuda_is_available() {
                let text =
                    "is not available in this build; build with `--features cuda`, or use `--device cpu`";
                return Err(bad(format!("device `{other}` {text}")));
            }
            other.to_owned()
        }
        other => return Err(bad(format!("unknown device `{other}`; known: auto, cpu, cuda, cuda:N"))),
    };
    Ok(Numerics { dtype: dtype.to_owned(), device })
}

impl Placement {
    /// Opens the device of a plan.
    pub fn new(numerics: &Numerics) -> Result<Self, ModelError> {
        let wrap =
            |e: candle_core::Error| ModelError::Device(format!("cannot use `{}`: {e}", numerics.device));
        let device = match numerics.device.strip_prefix("cuda") {
            Some(number) => {
                let number = number.strip_prefix(':').and_then(|n| n.parse().ok()).unwrap_or(0);
                Device::new_cuda(number).map_err(wrap)?
            }
            None => Device::Cpu,
        };
        let dtype = match numerics.dtype.as_str() {
            "bf16" => DType::BF16,
            "f16" => DType::F16,
            _ => DType::F32,
        };
        Ok(Self { device, dtype, halved: Arc::default() })
    }

    /// A weight of a tower, placed. On the CPU in f32 this is the tensor itself.
    fn weight(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        tensor.to_device(&self.device)?.to_dtype(self.dtype)
    }

    /// A tower's input, placed.
    pub fn input(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        tensor.to_device(&self.device)?.to_dtype(self.activations())
    }

    /// Type of activations: on the CPU they are f32, whatever the weights are.
    #[must_use]
    pub fn activations(&self) -> DType {
        if self.device.is_cpu() { DType::F32 } else { self.dtype }
    }

    /// Weights that are placed as they are loaded.
    pub const fn of<'a>(&'a self, weights: &'a dyn Weights) -> Placed<'a> {
        Placed { weights, placement: self }
    }

    /// Bytes of a placed value.
    pub fn bytes(&self) -> usize {
        self.dtype.size_in_bytes()
    }
}

/// Weights on the device and in the type of a placement.
pub struct Placed<'a> {
    weights: &'a dyn Weights,
    placement: &'a Placement,
}

impl Weights for Placed<'_> {
    fn names(&self) -> Vec<&str> {
        self.weights.names()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.weights.info(name)
    }

    fn load(&self, name: &str) -> Result<Tensor, CheckpointError> {
        let tensor = self.weights.load(name)?;
        self.placement.weight(&tensor).map_err(of_tensor(self, name))
    }

    fn digest(&self, digests: &FileDigests) -> Result<Digest, CheckpointError> {
        self.weights.digest(digests)
    }

    fn label(&self) -> String {
        self.weights.label()
    }
}
