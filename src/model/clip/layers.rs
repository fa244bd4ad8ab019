//! The parts that both towers are made of.

use candle_core::{Result, Tensor};
use candle_nn::ops::sigmoid;

use super::block_prompts::BlockPrompts;
use super::config::{Activation, TowerConfig};
use super::multimodal_adapter::BlockAdapter;
use super::shared_prefix::SharedPrefix;
use crate::checkpoint::of_tensor;
use crate::model::layers::{Built, Kernels, LayerNorm, Linear, Loader, as_type_of, softmax_f32};

/// The blocks of a tower.
pub fn blocks(weights: &Loader<'_>, tower: &str, config: &TowerConfig) -> Built<Vec<Block>> {
    let load = |i| Block::load(weights, &format!("{tower}.encoder.layers.{i}"), config);
    (0..config.num_hidden_layers).map(load).collect()
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
        let third = |i: usize| -> Built<Linear> { Ok(Linear::new(cut(&weight, i)?, Some(cut(&bias, i)?))) };
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
        let query = (self.query.forward(queries)? * self.factor(queries)?)?;
        let (key, value) = (self.key.forward(x)?, self.value.forward(x)?);
        self.out.forward(&self.mix([&query, &key, &value], mask)?)
    }

    /// `x` `[1, rows, width]` attends to itself: the places that texts share, then every text's own.
    fn forward_shared(&self, x: &Tensor, shared: &SharedPrefix) -> Result<Tensor> {
        let query = (self.query.forward(x)? * self.factor(x)?)?;
        let (first, rest): (Vec<Tensor>, Vec<Tensor>) = [query, self.key.forward(x)?, self.value.forward(x)?]
            .iter()
            .map(|t| shared.split(t))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        let whole = |i: usize| {
            let (texts, _, width) = rest[i].dims3()?;
            Tensor::cat(&[&first[i].broadcast_as((texts, shared.places(), width))?, &rest[i]], 1)
        };
        let before = self.mix([&first[0], &first[1], &first[2]], Some(&shared.mask))?;
        let after = self.mix([&rest[0], &whole(1)?, &whole(2)?], Some(&shared.mask_after))?;
        self.out.forward(&SharedPrefix::join(&before, &after)?)
    }

    /// What queries are multiplied by.
    fn factor(&self, x: &Tensor) -> Result<f64> {
        Ok(((x.dim(2)? / self.heads) as f64).powf(-0.5))
    }

    /// Values `[batch, n, width]` mixed for scaled queries; keys and values are `[batch, tokens, width]`.
    fn mix(&self, [query, key, value]: [&Tensor; 3], mask: Option<&Tensor>) -> Result<Tensor> {
        let (batch, rows, width) = query.dims3()?;
        let split = |t: &Tensor| {
            t.reshape((batch, t.dim(1)?, self.heads, width / self.heads))?.transpose(1, 2)?.contiguous()
        };
        let (query, key, value) = (split(query)?, split(key)?, split(value)?);
        let scores = query.matmul(&key.t()?)?;
        let weights = softmax_f32(&scores, mask, self.kernels)?;
        let weights = weights.to_dtype(value.dtype())?;
        weights.matmul(&value)?.transpose(1, 2)?.reshape((batch, rows, width))
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
    adapter: Option<BlockAdapter>,
    prompts: Option<BlockPrompts>,
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
            adapter: BlockAdapter::load(weights, prefix, d)?,
            prompts: BlockPrompts::load(weights, prefix, d)?,
        })
    }

    /// Whether it puts prompts in the place of what it is given.
    pub const fn has_prompts(&self) -> bool {
        self.prompts.is_some()
    }

    /// `x` is `[batch, tokens, width]`; `mask` is added to the attention scores.
    pub fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        self.around(x, |normed| self.attention.forward(normed, normed, mask))
    }

    /// `x` is `[1, rows, width]`: the places that texts share, then every text's own.
    pub fn forward_shared(&self, x: &Tensor, shared: &SharedPrefix) -> Result<Tensor> {
        self.around(x, |normed| self.attention.forward_shared(normed, shared))
    }

    fn around(&self, x: &Tensor, attend: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let scaled = |branch: Tensor, scale: Option<&Tensor>| match scale {
            Some(scale) => branch.broadcast_mul(&as_type_of(scale, &branch)?),
            None => Ok(branch),
        };
        let prompted = self.prompts.as_ref().map(|p| p.instead(x)).transpose()?;
        let x = prompted.as_ref().unwrap_or(x);
        let normed = self.norm1.forward(x)?;
        let branch = attend(&normed)?;
        let added = self.adapter.as_ref().map(|a| a.forward(&normed)).transpose()?;
        let x = (x + scaled(branch, self.scales.as_ref().map(|s| &s.0))?)?;
        let normed = self.norm2.forward(&x)?;
        let x = (x + scaled(self.mlp.forward(&normed)?, self.scales.as_ref().map(|s| &s.1))?)?;
        added.map_or(Ok(x.clone()), |added| x + added)
    }
}
