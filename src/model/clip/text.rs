//! The text tower: CLIP's causal one and SigLIP's.

use std::ops::Range;

use candle_core::{D, Result, Tensor};

use super::config::{ClipConfig, TextConfig, TextPool};
use super::layers::{Block, blocks};
use super::shared_prefix::{SharedPrefix, alike, common_places};
use crate::checkpoint::{InputAxis, Weights};
use crate::model::layers::{Built, Kernels, LayerNorm, Linear, Loader};

/// CLIP's causal text transformer with its projection, or SigLIP's, which attends in both directions, reads
/// texts filled up to one length and pools at the last place.
pub struct TextTower {
    config: TextConfig,
    tokens: Tensor,
    position: Tensor,
    blocks: Vec<Block>,
    norm_out: LayerNorm,
    projection: Linear,
    /// Whether somebody hears of what its layers are given.
    is_observed: bool,
}

impl TextTower {
    /// Takes the tower's tensors by their Hugging Face names.
    pub fn new(config: &ClipConfig, weights: &dyn Weights, kernels: Kernels) -> Built<Self> {
        let weights = Loader::new(weights, kernels);
        let c = &config.text_config;
        let d = c.tower.hidden_size;
        let embedding = |part: &str| format!("text_model.embeddings.{part}.weight");
        let first = "text_model.encoder.layers.0.mlp.fc1.weight";
        Ok(Self {
            is_observed: weights.weights.observer(first, InputAxis::Last).is_some(),
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
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let length = if self.config.fills_up() { self.config.max_position_embeddings } else { longest };
        if texts.iter().any(|t| t.len() > length || (self.config.fills_up() && t.len() != length)) {
            candle_core::bail!("texts of this tower are {length} tokens long");
        }
        if context.is_none() && self.blocks.iter().any(Block::has_prompts) {
            candle_core::bail!(
                "the blocks of this tower hold prompts, which take the places of learned context"
            );
        }
        let places = self.shared_places(texts, context)?;
        let mask = self.config.causal.then(|| causal_mask(length, &self.tokens)).transpose()?;
        let mut state;
        if let (1.., Some(mask)) = (places, &mask) {
            let first = self.embedded(&texts[..1], 0..places, context)?;
            state = SharedPrefix::join(&first, &self.embedded(texts, places..length, None)?)?;
            let shared = SharedPrefix::new(places, mask)?;
            for block in &self.blocks {
                state = block.forward_shared(&state, &shared)?;
            }
        } else {
            state = self.embedded(texts, 0..length, context)?;
            for block in &self.blocks {
                state = block.forward(&state, mask.as_ref())?;
            }
        }
        let row = |(i, text): (usize, &Vec<u32>)| match self.end_position(text, length) {
            end if end < places => end as u32,
            end => (i * (length - places) + end) as u32,
        };
        let ends: Vec<u32> = texts.iter().enumerate().map(row).collect();
        let ends = Tensor::from_vec(ends, texts.len(), self.tokens.device())?;
        let pooled = state.reshape(((), state.dim(2)?))?.index_select(&ends, 0)?;
        self.projection.forward(&self.norm_out.forward(&pooled)?)
    }

    /// Features `[texts, projection_dim]` of many texts, batch by batch. Those that begin alike go through together, so that what they
    /// share is computed once. Context is as for [`TextTower::forward_with`]; `made` hears of each so many texts.
    pub fn forward_all(
        &self,
        texts: &[Vec<u32>],
        context: Option<&Tensor>,
        made: &mut dyn FnMut(usize),
    ) -> Result<Tensor> {
        let order = alike(texts);
        let parts = order.iter().map(|batch| {
            let texts: Vec<Vec<u32>> = batch.iter().map(|&i| texts[i].clone()).collect();
            let own = match context {
                Some(context) if context.rank() == 3 => {
                    let index = batch.iter().map(|&i| i as u32).collect::<Vec<_>>();
                    Some(context.index_select(&Tensor::new(index, context.device())?, 0)?)
                }
                _ => context.cloned(),
            };
            let features = self.forward_with(&texts, own.as_ref());
            made(texts.len());
            features
        });
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let mut places = vec![0u32; texts.len()];
        order.iter().flatten().enumerate().for_each(|(place, &i)| places[i] = place as u32);
        let places = Tensor::from_vec(places, texts.len(), self.tokens.device())?;
        Tensor::cat(&parts, 0)?.index_select(&places, 0)
    }

    /// Leading places that texts have in common and that are computed once for all; 0 where that cannot be, or is not worth while.
    fn shared_places(&self, texts: &[Vec<u32>], context: Option<&Tensor>) -> Result<usize> {
        let own_context = context.is_some_and(|c| c.rank() == 3);
        if !self.config.causal || self.is_observed || own_context {
            return Ok(0);
        }
        let learned = context.map_or(Ok(0), |c| c.dim(0))?;
        Ok(Some(common_places(texts)).filter(|p| *p >= 2.max(1 + learned)).unwrap_or(0))
    }

    /// Some places of texts that are filled up, embedded: `[texts, places, width]`.
    fn embedded(&self, texts: &[Vec<u32>], places: Range<usize>, context: Option<&Tensor>) -> Result<Tensor> {
        let (n, d, pad) = (places.len(), self.config.tower.hidden_size, 0);
        let token = |text: &Vec<u32>, place: usize| text.get(place).copied().unwrap_or(pad);
        let ids: Vec<u32> = texts.iter().flat_map(|t| places.clone().map(|place| token(t, place))).collect();
        let ids = Tensor::from_vec(ids, texts.len() * n, self.tokens.device())?;
        let mut state = self.tokens.index_select(&ids, 0)?.reshape((texts.len(), n, d))?;
        if let Some(context) = context {
            let learned = context.dim(D::Minus2)?;
            let context = match context.rank() {
                2 => context.unsqueeze(0)?.broadcast_as((texts.len(), learned, d))?.contiguous()?,
                _ => context.clone(),
            };
            let mut parts = vec![state.narrow(1, 0, 1)?, context];
            if n > 1 + learned {
                parts.push(state.narrow(1, 1 + learned, n - 1 - learned)?);
            }
            state = Tensor::cat(&parts, 1)?;
        }
        state.broadcast_add(&self.position.narrow(0, places.start, n)?)
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

/// Zero where a place sees another, minus infinity elsewhere, `[length, length]`, as `like` is stored.
fn causal_mask(length: usize, like: &Tensor) -> Result<Tensor> {
    let values: Vec<f32> =
        (0..length * length).map(|i| if i % length > i / length { f32::NEG_INFINITY } else { 0.0 }).collect();
    Tensor::from_vec(values, (length, length), like.device())?.to_dtype(like.dtype())
}
