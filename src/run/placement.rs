//! Where and in which type the towers compute.

use candle_core::{DType, Device, Tensor};

use super::RunError;
use crate::checkpoint::Tensors;
use crate::model::ModelError;
use crate::plan::Numerics;

/// A device and a type. Weights are merged in f32 on the CPU, then placed; heads, logits and softmax are f32.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The device of the towers and heads.
    pub device: Device,
    /// The type of the towers' weights, and on a GPU of their activations. On the CPU activations and sums are f32.
    pub dtype: DType,
}

/// What `auto`, `cpu`, `cuda` or `cuda:N` means on this machine and in this build, with the type `f32`, `bf16` or `f16`.
pub fn numerics(device: &str, dtype: &str) -> Result<Numerics, RunError> {
    let bad = |reason: String| RunError::Device(reason);
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
    pub fn new(numerics: &Numerics) -> Result<Self, RunError> {
        let wrap = |e: candle_core::Error| RunError::Device(format!("cannot use `{}`: {e}", numerics.device));
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
        Ok(Self { device, dtype })
    }

    /// A weight of a tower, placed. On the CPU in f32 this is the tensor itself.
    fn weight(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        tensor.to_device(&self.device)?.to_dtype(self.dtype)
    }

    /// A tower's input, placed.
    pub fn input(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        let dtype = if self.device.is_cpu() { DType::F32 } else { self.dtype };
        tensor.to_device(&self.device)?.to_dtype(dtype)
    }

    /// The tensors of an image tower, placed.
    pub fn tower(&self, tensors: &Tensors) -> Result<Tensors, RunError> {
        let one = |(name, tensor): (&String, &Tensor)| Ok((name.clone(), self.weight(tensor)?));
        let vision = tensors.iter().filter(|(name, _)| name.starts_with("vis"));
        let placed: candle_core::Result<Tensors> = vision.map(one).collect();
        placed.map_err(|e| ModelError::compute("weights to the device")(e).into())
    }

    /// Bytes of a placed value.
    pub fn bytes(&self) -> usize {
        self.dtype.size_in_bytes()
    }
}
