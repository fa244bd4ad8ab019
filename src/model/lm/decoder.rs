//! The decoder: one forward for all families, by configuration.

use std::ops::Range;

use candle_core::{DType, Result, Tensor};

use super::attention::{Attention, Past, Scene};
use super::config::{Arrangement, DecoderConfig, NormKind};
use super::perceptron::Perceptron;
use super::positions::Positions;
use crate::checkpoint::{Weights, of_tensor};
use crate::model::layers::{Built, Kernels, LayerNorm, Linear, Loader, RmsNorm};
use crate::model::spare;

enum Norm {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

impl Norm {
    fn load(weights: &Loader<'_>, config: &DecoderConfig, name: &str) -> Built<Self> {
        let (width, eps, kernels) = (config.width, config.eps, weights.kernels);
        let wrap = |e| of_tensor(weights.weights, name)(e);
        let get = |end: &str| weights.get(&format!("{name}.{end}"), &[width]);
        Ok(match config.norm {
            NormKind::Layer => Self::Layer(LayerNorm::new(get("weight")?, get("bias")?, eps, kernels)),
            NormKind::LayerPlain => {
                // Any stored tensor says the device and type.
                let like = weights.weights.load(&format!("{}.weight", config.names.embedding))?;
                let ones = Tensor::ones(width, like.dtype(), like.device()).map_err(wrap)?;
                let zeros = ones.zeros_like().map_err(wrap)?;
                Self::Layer(LayerNorm::new(ones, zeros, eps, kernels))
            }
            NormKind::Rms => Self::Rms(RmsNorm::new(get("weight")?, eps, kernels)),
            NormKind::RmsPlusOne => {
                Self::Rms(RmsNorm::new((get("weight")? + 1.0).map_err(wrap)?, eps, kernels))
            }
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Layer(norm) => norm.forward(x),
            Self::Rms(norm) => norm.forward(x),
        }
    }
}

struct Block {
    /// Before attention, on its result, before the perceptron, on its result; as the arrangement has them.
    norms: [Option<Norm>; 4],
    attention: Attention,
    mlp: Perceptron,
}

impl Block {
    fn load(weights: &Loader<'_>, config: &DecoderConfig, layer: usize) -> Built<Self> {
        let [a, b, c, d] = config
            .block_norms()
            .map(|part| part.map(|part| Norm::load(weights, config, &config.block(layer, part))).transpose());
        Ok(Self {
            norms: [a?, b?, c?, d?],
            attention: Attention::load(weights, config, layer)?,
            mlp: Perceptron::load(weights, config, layer)?,
        })
    }

    fn forward(
        &self,
        config: &DecoderConfig,
        x: &Tensor,
        scene: &Scene,
        past: Option<&mut [Past]>,
    ) -> Result<Tensor> {
        let normed = |norm: &Option<Norm>, x: &Tensor| match norm {
            Some(norm) => norm.forward(x),
            None => Ok(x.clone()),
        };
        let added = |x: &Tensor, branch: Tensor| match config.scales.branch {
            Some(scale) => x + (branch * scale)?,
            None => x + branch,
        };
        let [before_attention, on_attention, before_mlp, on_mlp] = &self.norms;
        match config.arrangement {
            Arrangement::Before | Arrangement::Both | Arrangement::Results => {
                let branch = self.attention.forward(config, &normed(before_attention, x)?, scene, past)?;
                let x = added(x, normed(on_attention, &branch)?)?;
                spare::by_rows(&x, |x| {
                    let branch = self.mlp.forward(&normed(before_mlp, x)?)?;
                    added(x, normed(on_mlp, &branch)?)
                })
            }
            Arrangement::After => {
                let branch = self.attention.forward(config, x, scene, past)?;
                let x = normed(before_attention, &added(x, branch)?)?;
                spare::by_rows(&x, |x| normed(before_mlp, &added(x, self.mlp.forward(x)?)?))
            }
            Arrangement::Parallel | Arrangement::ParallelShared => {
                let shared = normed(before_attention, x)?;
                let attended = self.attention.forward(config, &shared, scene, past)?;
                let own = if before_mlp.is_some() { normed(before_mlp, x)? } else { shared };
                added(&added(x, attended)?, spare::by_rows(&own, |own| self.mlp.forward(own))?)
            }
        }
    }
}

/// A decoder with its weights.
pub struct Decoder {
    /// Shapes and hyper-parameters.
    pub config: DecoderConfig,
    embedding: Tensor,
    positions: Option<Tensor>,
    project: Option<(Linear, Linear)>,
    blocks: Vec<Block>,
    norm: Option<Norm>,
    head: Linear,
}

impl Decoder {
    /// Takes the tensors of `config`.
    pub fn new(config: &DecoderConfig, weights: &dyn Weights, kernels: Kernels) -> Built<Self> {
        let weights = Loader::new(weights, kernels);
        let (n, c) = (&config.names, config);
        let embedding =
            weights.get(&format!("{}.weight", n.embedding), &[c.vocab_size, c.embedding_width])?;
        let positions = match c.positions {
            Positions::Learned { offset } => {
                Some(weights.get(&format!("{}.weight", n.positions), &[c.length + offset, c.width])?)
            }
            Positions::Rotary(_) => None,
        };
        let project = if c.embedding_width == c.width {
            None
        } else {
            let (within, out) = n.project;
            Some((
                weights.projection(within, c.embedding_width, c.width)?,
                weights.projection(out, c.width, c.embedding_width)?,
            ))
        };
        let head = if c.tied {
            embedding.clone()
        } else {
            weights.get(&format!("{}.weight", n.head), &[c.vocab_size, c.embedding_width])?
        };
        let bias =
            c.bias_head.then(|| weights.get(&format!("{}.bias", n.head), &[c.vocab_size])).transpose()?;
        Ok(Self {
            embedding,
            positions,
            project,
            blocks: (0..c.layers).map(|i| Block::load(&weights, c, i)).collect::<Built<_>>()?,
            norm: c.norm_final.then(|| Norm::load(&weights, c, n.norm_final)).transpose()?,
            head: Linear::new(head, bias),
            config: config.clone(),
        })
    }

    /// Number of stages: the embedding, each block, then norm and vocabulary.
    #[must_use]
    pub const fn stages(config: &DecoderConfig) -> usize {
        config.layers + 2
    }

    /// The stage that a tensor belongs to.
    #[must_use]
    pub fn stage_of(config: &DecoderConfig, tensor: &str) -> Option<usize> {
        let n = &config.names;
        if let Some(rest) = tensor.strip_prefix(n.layers) {
            return rest.split('.').next()?.parse().ok().map(|layer: usize| layer + 1);
        }
        let is = |name: &str| {
            !name.is_empty() && tensor.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
        };
        if is(n.embedding) || is(n.positions) || is(n.project.0) {
            return Some(0);
        }
        (is(n.norm_final) || is(n.head) || is(n.project.1)).then_some(config.layers + 1)
    }

    /// Embeds the rows of a scene: `[rows, width]`.
    pub fn embed(&self, scene: &Scene, dtype: DType) -> Result<Tensor> {
        let index = |all: Vec<u32>| {
            let n = all.len();
            Tensor::from_vec(all, n, self.embedding.device())
        };
        let mut x = self.embedding.index_select(&index(scene.forest.tokens.clone())?, 0)?.to_dtype(dtype)?;
        if let Some(scale) = self.config.scales.embedding {
            x = (x * scale)?;
        }
        if let Some((within, _)) = &self.project {
            x = within.forward(&x)?;
        }
        if let (Some(positions), Positions::Learned { offset }) = (&self.positions, &self.config.positions) {
            let rows = scene.forest.positions.iter().map(|p| p + *offset as u32).collect();
            let rows = positions.index_select(&index(rows)?, 0)?;
            x = (x + rows.to_dtype(dtype)?)?;
        }
        Ok(x)
    }

    /// Runs some blocks.
    pub fn blocks(
        &self,
        x: &Tensor,
        scene: &Scene,
        blocks: Range<usize>,
        mut past: Option<&mut [Vec<Past>]>,
    ) -> Result<Tensor> {
        let mut x = x.clone();
        for i in blocks {
            let past = past.as_mut().map(|p| p[i].as_mut_slice());
            x = self.blocks[i].forward(&self.config, &x, scene, past)?;
        }
        Ok(x)
    }

    /// Logits `[rows, vocabulary]` in f32 of some rows of the last block's output.
    pub fn logits(&self, x: &Tensor) -> Result<Tensor> {
        self.logits_of(&self.outputs(x)?, &(0..self.config.vocab_size))
    }

    /// What the vocabulary is multiplied with, `[rows, embedding width]`, of rows of the last block's output.
    pub fn outputs(&self, x: &Tensor) -> Result<Tensor> {
        let x = match &self.norm {
            Some(norm) => norm.forward(x)?,
            None => x.clone(),
        };
        match &self.project {
            Some((_, out)) => out.forward(&x),
            None => Ok(x),
        }
    }

    /// Logits of some tokens in f32, `[rows, tokens]`, from [`Self::outputs`].
    pub fn logits_of(&self, outputs: &Tensor, tokens: &Range<usize>) -> Result<Tensor> {
        let mut logits = self.head.part(tokens)?.forward(outputs)?.to_dtype(DType::F32)?;
        if let Some(divisor) = self.config.scales.logits {
            logits = (logits / divisor)?;
        }
        match self.config.cap_logits {
            Some(cap) => (logits / cap)?.tanh()? * cap,
            None => Ok(logits),
        }
    }
}
