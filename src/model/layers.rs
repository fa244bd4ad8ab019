//! The parts that models are made of.
//!
//! Weights may be stored in bf16 or f16; on the CPU all arithmetic is f32 (each weight is widened when it is
//! used), so that neither sums nor softmax nor norms accumulate in the low type.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{D, DType, Result, Tensor};
use candle_nn::ops::{softmax, softmax_last_dim};

use super::exponential::masked_softmax;
use super::frozen::frozen_product;
use super::norm::{RootMeanSquare, TwoPassNorm};
use super::spare;
use crate::checkpoint::{CheckpointError, InputAxis, Observer, Weights};

/// What is put together from weights by name.
pub type Built<T> = std::result::Result<T, CheckpointError>;

/// Which implementations of the operators are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Plain operators with gradients: training, and the reference in tests.
    Differentiable,
    /// candle's fused operators without gradients.
    Inference,
}

/// Looks tensors up by name and checks their shapes.
#[derive(Clone, Copy)]
pub struct Loader<'a> {
    pub weights: &'a dyn Weights,
    pub kernels: Kernels,
}

impl<'a> Loader<'a> {
    pub const fn new(weights: &'a dyn Weights, kernels: Kernels) -> Self {
        Self { weights, kernels }
    }

    pub fn get(&self, name: &str, shape: &[usize]) -> Built<Tensor> {
        let tensor = self.weights.load(name)?;
        if tensor.dims() != shape {
            let found = tensor.dims();
            let what = format!("holds `{name}` of shape {found:?}, its configuration says {shape:?}");
            return Err(CheckpointError::Unaccounted { path: self.weights.label().into(), what });
        }
        Ok(tensor)
    }

    pub fn norm(&self, name: &str, width: usize, eps: f64) -> Built<LayerNorm> {
        let weight = self.get(&format!("{name}.weight"), &[width])?;
        Ok(LayerNorm::new(weight, self.get(&format!("{name}.bias"), &[width])?, eps, self.kernels))
    }

    pub fn linear(&self, name: &str, from: usize, to: usize) -> Built<Linear> {
        let bias = self.get(&format!("{name}.bias"), &[to])?;
        Ok(Linear { bias: Some(bias), ..self.projection(name, from, to)? })
    }

    pub fn projection(&self, name: &str, from: usize, to: usize) -> Built<Linear> {
        let weight = format!("{name}.weight");
        let observer = self.weights.observer(&weight, InputAxis::Last);
        Ok(Linear::new(self.get(&weight, &[to, from])?, None).observed(observer))
    }
}

/// Layer normalisation over the last axis.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
    kernels: Kernels,
}

impl LayerNorm {
    pub const fn new(weight: Tensor, bias: Tensor, eps: f64, kernels: Kernels) -> Self {
        Self { weight, bias, eps, kernels }
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (as_type_of(&self.weight, x)?, as_type_of(&self.bias, x)?);
        match self.kernels {
            Kernels::Differentiable => candle_nn::ops::layer_norm_slow(x, &weight, &bias, self.eps as f32),
            Kernels::Inference if x.device().is_cpu() => {
                x.contiguous()?.apply_op3_no_bwd(&weight, &bias, &TwoPassNorm { eps: self.eps as f32 })
            }
            Kernels::Inference => candle_nn::ops::layer_norm_slow(x, &weight, &bias, self.eps as f32),
        }
    }
}

/// Division by the root of the mean square over the last axis, computed in f32.
pub struct RmsNorm {
    weight: Tensor,
    eps: f64,
    kernels: Kernels,
}

impl RmsNorm {
    pub const fn new(weight: Tensor, eps: f64, kernels: Kernels) -> Self {
        Self { weight, eps, kernels }
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let weight = as_type_of(&self.weight, x)?;
        match self.kernels {
            Kernels::Differentiable => candle_nn::ops::rms_norm_slow(x, &weight, self.eps as f32),
            Kernels::Inference if x.device().is_cpu() => {
                x.contiguous()?.apply_op2_no_bwd(&weight, &RootMeanSquare { eps: self.eps as f32 })
            }
            Kernels::Inference => candle_nn::ops::rms_norm(&x.contiguous()?, &weight, self.eps as f32),
        }
    }
}

/// A weight in the type of what it is applied to.
pub fn as_type_of(weight: &Tensor, x: &Tensor) -> Result<Tensor> {
    if weight.dtype() == x.dtype() { Ok(weight.clone()) } else { weight.to_dtype(x.dtype()) }
}

/// Products of at most so many values take another path in `gemm`.
const SMALL: usize = 256;

/// Whether a product is summed in another order by candle's `gemm` than one of more rows, or of one.
const fn is_small(rows: usize, columns: usize) -> bool {
    rows > 1 && rows * columns <= SMALL
}

/// `x w` for `x` `[rows, inputs]` and `w` `[inputs, columns]`. Each row's result is the same however many rows there are: small
/// products have rows of zeros below, and one row, which is summed in another order than one of several, is not alone.
pub fn product(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (rows, columns) = (x.dim(0)?, w.dim(1)?);
    if rows == 1 {
        return product(&Tensor::cat(&[x, x], 0)?, w)?.narrow(0, 0, 1);
    }
    if is_small(rows, columns) {
        return x.pad_with_zeros(0, 0, SMALL / columns + 1 - rows)?.matmul(w)?.narrow(0, 0, rows);
    }
    x.matmul(w)
}

/// Multiplications that are worth cutting a product for.
const WORTH: usize = 1 << 22;

/// `x w`, in parts of its rows where threads have nothing else to do.
fn in_spare_parts(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let ((rows, inputs), columns) = (x.dims2()?, w.dim(1)?);
    // Small products are summed in another order.
    if rows * inputs * columns < WORTH || columns < 16 {
        return x.matmul(w);
    }
    spare::by_rows(x, |part| part.matmul(w))
}

/// `x W^T + b`; the weight is `[out, in]`.
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    observer: Option<Arc<dyn Observer>>,
}

impl Linear {
    pub const fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias, observer: None }
    }

    /// The same, heard by somebody.
    pub fn observed(self, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { observer, ..self }
    }

    /// Some of its outputs.
    pub fn part(&self, outputs: &Range<usize>) -> Result<Self> {
        let cut = |t: &Tensor| t.narrow(0, outputs.start, outputs.len());
        let (weight, bias) = (cut(&self.weight)?, self.bias.as_ref().map(cut).transpose()?);
        Ok(Self { weight, bias, observer: None })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        // One matrix product over all leading axes together.
        let (rows, width) = (x.elem_count() / x.dim(D::Minus1)?, x.dim(D::Minus1)?);
        let weight = as_type_of(&self.weight, x)?.t()?;
        let flat = x.reshape((rows, width))?;
        let columns = weight.dim(1)?;
        if let Some(observer) = &self.observer {
            observer.see(&flat.detach().to_dtype(DType::F32)?)?;
        }
        let y = if is_small(rows, columns) {
            product(&flat, &weight)?
        } else if flat.track_op() && !weight.track_op() && flat.device().is_cpu() {
            frozen_product(&flat, &weight.t()?, flat.detach().matmul(&weight)?)?
        } else {
            in_spare_parts(&flat, &weight)?
        };
        let y = match &self.bias {
            Some(bias) => y.broadcast_add(&as_type_of(bias, x)?)?,
            None => y,
        };
        let mut shape = x.dims().to_vec();
        *shape.last_mut().expect("at least one axis") = self.weight.dim(0)?;
        y.reshape(shape)
    }
}

/// Softmax over the last axis of scores `[…, rows, columns]`, in f32 whatever their type; a mask `[rows, columns]` is added
/// first.
pub fn softmax_f32(scores: &Tensor, mask: Option<&Tensor>, kernels: Kernels) -> Result<Tensor> {
    let wide = scores.to_dtype(DType::F32)?;
    let mask = mask.map(|m| m.to_dtype(DType::F32)).transpose()?;
    if kernels == Kernels::Inference && wide.device().is_cpu() {
        return masked_softmax(&wide, mask.as_ref());
    }
    let masked = match mask {
        Some(mask) => wide.broadcast_add(&mask)?,
        None => wide,
    };
    match kernels {
        Kernels::Differentiable => softmax(&masked, D::Minus1),
        Kernels::Inference => softmax_last_dim(&masked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spare::Busy;
    use candle_core::Device;

    #[test]
    fn parts_of_a_product_are_the_product() {
        let values = |n: usize| (0..n).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<_>>();
        for (rows, inputs, columns) in [(333, 257, 511), (64, 1024, 301), (1000, 96, 64)] {
            let x = Tensor::from_vec(values(rows * inputs), (rows, inputs), &Device::Cpu).unwrap();
            let w = Tensor::from_vec(values(columns * inputs), (columns, inputs), &Device::Cpu).unwrap();
            let linear = Linear::new(w, None);
            let flat = || linear.forward(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let whole = flat();
            for threads in [2, 3, 8] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let parts = pool.install(|| {
                    let _busy = Busy::new();
                    flat()
                });
                assert!(whole == parts, "{rows} x {inputs} x {columns} on {threads}");
            }
        }
    }
}
