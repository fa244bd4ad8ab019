//! The text tower: CLIP's causal one and SigLIP's.

use candle_core::{D, DType, Result, Tensor};

use super::config::{ClipConfig, TextConfig, TextPool};
use super::layers::{Block, blocks};
use crate::checkpoint::Weights;
use crate::model::layers::{Built, Kernels, LayerNorm, Linear, Loader};

/// Texts of like length that go through together.
const LIKE_LENGTH: usize = 32;

/// CLIP's causal text transformer with its projection, or SigLIP's, which attends in both directions, reads
/// texts filled up to one length and pools at the last place.
pub struct TextTower {
    config: TextConfig,
    tokens: Tensor,
    position: Tensor,
    blocks: Vec<Block>,
    norm_out: LayerNorm,
    projection: Linear,
}

impl TextTower {
    /// Takes the tower's tensors by their Hugging Face names.
    pub fn new(config: &ClipConfig, weights: &dyn Weights, kernels: Kernels) -> Built<Self> {
        let weights = Loader::new(weights, kernels);
        let c = &config.text_config;
        let d = c.tower.hidden_size;
        let embedding = |part: &str| format!("text_model.embeddings.{part}.weight");
        Ok(Self {
            tokens: weights.get(&embedding("token_embedding"), &[c.vocab_size, d])?,
            position: weights.get(&embedding("position_embedding"), &[c.max_position_embeddings, d])?,
            blocks: blocks(&weights, "text_model", &c.tower)?,
            norm_out: weights.norm("text_model.final_layer_norm", d, c.tower.layer_norm_eps)?,
            projection: match (config.is_siglip(), c.projection_bias) {
                (true, _) => weights.linear("text_model.head", d, config.projection_dim)?,
                (false, true) => weights.linear("text_projection", d, config.projection_dim)?,
                (false, false) => weights.projection("text_projection", d, config.projection_dim)?,
            },
            config: c.clone(),
        })
    }

    /// Whether a tensor of the checkpoint belongs to this tower.
    #[must_use]
    pub fn owns(name: &str) -> bool {
        name.starts_with("text_model.") || name.starts_with("text_projection.")
    }

    /// Token sequences to features `[texts, projection_dim]`, not normalised.
    ///
    /// Sequences may differ in length. What follows the end token has no influence on a causal tower, so
    /// the batch is only as long as its longest text; other towers' texts must be filled up already (the
    /// tokenizer knows with what).
    pub fn forward(&self, texts: &[Vec<u32>]) -> Result<Tensor> {
        self.forward_with(texts, None)
    }

    /// As [`TextTower::forward`]; the places after the first token of each text are filled with learned
    /// context vectors, `[n, width]` or, one set per text, `[texts, n, width]` (CoOp, arXiv:2109.01134). The
    /// texts hold any tokens in those places.
    pub fn forward_with(&self, texts: &[Vec<u32>], context: Option<&Tensor>) -> Result<Tensor> {
        let device = self.tokens.device();
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let length = if self.config.fills_up() { self.config.max_position_embeddings } else { longest };
        if texts.iter().any(|t| t.len() > length || (self.config.fills_up() && t.len() != length)) {
            candle_core::bail!("texts of this tower are {length} tokens long");
        }
        let pad = 0;
        let flat: Vec<u32> = texts
            .iter()
            .flat_map(|t| t.iter().copied().chain(std::iter::repeat_n(pad, length - t.len())))
            .collect();
        let ids = Tensor::from_vec(flat, texts.len() * length, device)?;
        let d = self.config.tower.hidden_size;
        let mut state = self.tokens.index_select(&ids, 0)?.reshape((texts.len(), length, d))?;
        if let Some(context) = context {
            let n = context.dim(D::Minus2)?;
            let context = match context.rank() {
                2 => context.unsqueeze(0)?.broadcast_as((texts.len(), n, d))?.contiguous()?,
                _ => context.clone(),
            };
            let rest = state.narrow(1, 1 + n, length - 1 - n)?;
            state = Tensor::cat(&[&state.narrow(1, 0, 1)?, &context, &rest], 1)?;
        }
        state = state.broadcast_add(&self.position.narrow(0, 0, length)?)?;
        let mask = self.config.causal.then(|| causal_mask(length, state.dtype(), device)).transpose()?;
        for block in &self.blocks {
            state = block.forward(&state, mask.as_ref())?;
        }
        let ends: Vec<u32> = texts
            .iter()
            .enumerate()
            .map(|(row, text)| (row * length + self.end_position(text, length)) as u32)
            .collect();
        let ends = Tensor::from_vec(ends, texts.len(), device)?;
        let pooled = state.reshape((texts.len() * length, d))?.index_select(&ends, 0)?;
        self.projection.forward(&self.norm_out.forward(&pooled)?)
    }

    /// As [`TextTower::forward_with`] with context `[n, width]`, for many texts of different lengths: those of like length go through
    /// together, so that little is computed for places after a text's end.
    pub fn forward_by_length(&self, texts: &[Vec<u32>], context: &Tensor) -> Result<Tensor> {
        let mut order: Vec<u32> = (0..texts.len() as u32).collect();
        order.sort_by_key(|&i| texts[i as usize].len());
        let part = |part: &[u32]| {
            let texts: Vec<Vec<u32>> = part.iter().map(|&i| texts[i as usize].clone()).collect();
            self.forward_with(&texts, Some(context))
        };
        let parts: Vec<Tensor> = order.chunks(LIKE_LENGTH).map(part).collect::<Result<_>>()?;
        let mut places = vec![0u32; order.len()];
        order.iter().enumerate().for_each(|(place, &i)| places[i as usize] = place as u32);
        let places = Tensor::from_vec(places, order.len(), self.tokens.device())?;
        Tensor::cat(&parts, 0)?.index_select(&places, 0)
    }

    /// The token whose state is the text's feature; the first of all where none is found, as `argmax` of
    /// comparisons gives it in the references.
    fn end_position(&self, text: &[u32], length: usize) -> usize {
        let end = match self.config.pool {
            TextPool::First => return 0,
            TextPool::Last => return length - 1,
            TextPool::LargestId => text.iter().max().copied(),
            TextPool::Token(id) => Some(id),
        };
        text.iter().position(|id| Some(*id) == end).unwrap_or(0)
    }
}

fn causal_mask(length: usize, dtype: DType, device: &candle_core::Device) -> Result<Tensor> {
    let values: Vec<f32> =
        (0..length * length).map(|i| if i % length > i / length { f32::NEG_INFINITY } else { 0.0 }).collect();
    Tensor::from_vec(values, (length, length), device)?.to_dtype(dtype)
}
