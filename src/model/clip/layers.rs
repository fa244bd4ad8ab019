//! The parts that both towers are made of.
//!
//! Weights may be stored in bf16 or f16; on the CPU all arithmetic is f32 (each weight is widened when it is
//! used), so that neither sums nor softmax nor norms accumulate in the low type.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::ops::{sigmoid, softmax, softmax_last_dim};

use super::config::{Activation, TowerConfig};
use super::norm::TwoPassNorm;
use crate::checkpoint::{CheckpointError, Weights, of_tensor};

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
    weights: &'a dyn Weights,
    kernels: Kernels,
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
        Ok(LayerNorm {
            weight: self.get(&format!("{name}.weight"), &[width])?,
            bias: self.get(&format!("{name}.bias"), &[width])?,
            eps,
            kernels: self.kernels,
        })
    }

    pub fn linear(&self, name: &str, from: usize, to: usize) -> Built<Linear> {
        Ok(Linear {
            weight: self.get(&format!("{name}.weight"), &[to, from])?,
            bias: Some(self.get(&format!("{name}.bias"), &[to])?),
        })
    }

    pub fn projection(&self, name: &str, from: usize, to: usize) -> Built<Linear> {
        Ok(Linear { weight: self.get(&format!("{name}.weight"), &[to, from])?, bias: None })
    }

    pub fn blocks(&self, tower: &str, config: &TowerConfig) -> Built<Vec<Block>> {
        let load = |i| Block::load(self, &format!("{tower}.encoder.layers.{i}"), config);
        (0..config.num_hidden_layers).map(load).collect()
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

/// A weight in the type of what it is applied to.
pub fn as_type_of(weight: &Tensor, x: &Tensor) -> Result<Tensor> {
    if weight.dtype() == x.dtype() { Ok(weight.clone()) } else { weight.to_dtype(x.dtype()) }
}

/// `x W^T + b`; the weight is `[out, in]`.
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        // One matrix product over all leading axes together.
        let (rows, width) = (x.elem_count() / x.dim(D::Minus1)?, x.dim(D::Minus1)?);
        let y = x.reshape((rows, width))?.matmul(&as_type_of(&self.weight, x)?.t()?)?;
        let y = match &self.bias {
            Some(bias) => y.broadcast_add(&as_type_of(bias, x)?)?,
            None => y,
        };
        let mut shape = x.dims().to_vec();
        *shape.last_mut().expect("at least one axis") = self.weight.dim(0)?;
        y.reshape(shape)
    }
}

/// Multi-head attention with its output projection.
pub struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
    kernels: Kernels,
}

impl Attention {
    fn load(weights: &Loader<'_>, prefix: &str, config: &TowerConfig) -> Built<Self> {
        let d = config.hidden_size;
        let linear = |part: &str| weights.linear(&format!("{prefix}.{part}"), d, d);
        Ok(Self {
            query: linear("q_proj")?,
            key: linear("k_proj")?,
            value: linear("v_proj")?,
            out: linear("out_proj")?,
            heads: config.num_attention_heads,
            kernels: weights.kernels,
        })
    }

    /// The layout of PyTorch's `MultiheadAttention`: one joint input projection.
    pub fn load_joint(weights: &Loader<'_>, prefix: &str, config: &TowerConfig) -> Built<Self> {
        let d = config.hidden_size;
        let weight = weights.get(&format!("{prefix}.in_proj_weight"), &[3 * d, d])?;
        let bias = weights.get(&format!("{prefix}.in_proj_bias"), &[3 * d])?;
        let cut = |t: &Tensor, i: usize| t.narrow(0, i * d, d).map_err(of_tensor(weights.weights, prefix));
        let third = |i: usize| -> Built<Linear> {
            Ok(Linear { weight: cut(&weight, i)?, bias: Some(cut(&bias, i)?) })
        };
        Ok(Self {
            query: third(0)?,
            key: third(1)?,
            value: third(2)?,
            out: weights.linear(&format!("{prefix}.out_proj"), d, d)?,
            heads: config.num_attention_heads,
            kernels: weights.kernels,
        })
    }

    /// `queries` `[batch, n, width]` attend to `x` `[batch, tokens, width]`; `mask` is added to the scores.
    pub fn forward(&self, queries: &Tensor, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let (batch, rows, width) = queries.dims3()?;
        let head = width / self.heads;
        let split = |t: Tensor| {
            let tokens = t.dim(1)?;
            t.reshape((batch, tokens, self.heads, head))?.transpose(1, 2)?.contiguous()
        };
        let query = split((self.query.forward(queries)? * (head as f64).powf(-0.5))?)?;
        let key = split(self.key.forward(x)?)?;
        let value = split(self.value.forward(x)?)?;
        let scores = query.matmul(&key.t()?)?;
        let scores = match mask {
            Some(mask) => scores.broadcast_add(mask)?,
            None => scores,
        };
        // Softmax in f32, whatever the type of the products.
        let wide = scores.to_dtype(DType::F32)?;
        let weights = match self.kernels {
            Kernels::Differentiable => softmax(&wide, D::Minus1)?,
            Kernels::Inference => softmax_last_dim(&wide)?,
        };
        let weights = weights.to_dtype(value.dtype())?;
        let mixed = weights.matmul(&value)?.transpose(1, 2)?.reshape((batch, rows, width))?;
        self.out.forward(&mixed)
    }
}

/// The two-layer perceptron of a block.
pub struct Mlp {
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl Mlp {
    /// Takes `<prefix>.fc1` and `<prefix>.fc2`.
    pub fn load(weights: &Loader<'_>, prefix: &str, config: &TowerConfig) -> Built<Self> {
        let (d, h) = (config.hidden_size, config.intermediate_size);
        Ok(Self {
            up: weights.linear(&format!("{prefix}.fc1"), d, h)?,
            down: weights.linear(&format!("{prefix}.fc2"), h, d)?,
            activation: config.hidden_act,
        })
    }

    /// `x` is `[…, width]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.up.forward(x)?;
        let hidden = match self.activation {
            Activation::QuickGelu => (&hidden * sigmoid(&(&hidden * 1.702)?)?)?,
            Activation::Gelu => hidden.gelu_erf()?,
            Activation::GeluTanh => hidden.gelu()?,
        };
        self.down.forward(&hidden)
    }
}

/// One pre-norm transformer block.
pub struct Block {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    /// Factors of the two branches.
    scales: Option<(Tensor, Tensor)>,
}

impl Block {
    fn load(weights: &Loader<'_>, prefix: &str, config: &TowerConfig) -> Built<Self> {
        let (d, eps) = (config.hidden_size, config.layer_norm_eps);
        Ok(Self {
            norm1: weights.norm(&format!("{prefix}.layer_norm1"), d, eps)?,
            attention: Attention::load(weights, &format!("{prefix}.self_attn"), config)?,
            norm2: weights.norm(&format!("{prefix}.layer_norm2"), d, eps)?,
            mlp: Mlp::load(weights, &format!("{prefix}.mlp"), config)?,
            scales: if config.layer_scale {
                let scale = |i| weights.get(&format!("{prefix}.layer_scale{i}"), &[d]);
                Some((scale(1)?, scale(2)?))
            } else {
                None
            },
        })
    }

    /// `x` is `[batch, tokens, width]`; `mask` is added to the attention scores.
    pub fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let scaled = |branch: Tensor, scale: Option<&Tensor>| match scale {
            Some(scale) => branch.broadcast_mul(&as_type_of(scale, &branch)?),
            None => Ok(branch),
        };
        let normed = self.norm1.forward(x)?;
        let branch = self.attention.forward(&normed, &normed, mask)?;
        let x = (x + scaled(branch, self.scales.as_ref().map(|s| &s.0))?)?;
        let normed = self.norm2.forward(&x)?;
        x + scaled(self.mlp.forward(&normed)?, self.scales.as_ref().map(|s| &s.1))?
    }
}
