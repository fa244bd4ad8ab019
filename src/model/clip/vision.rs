//! The image tower.

use candle_core::{D, Result, Tensor};

use super::config::{ClipConfig, VisionConfig};
use super::layers::{Block, Kernels, LayerNorm, Linear, Weights};
use crate::checkpoint::Tensors;

/// CLIP's vision transformer with its projection.
///
/// The forward is a sequence of stages (stage 0 the embedding, then one per block, then pooling
/// with projection), so that variants whose first stages are equal can share them.
pub struct VisionTower {
    config: VisionConfig,
    class: Tensor,
    patch: Tensor,
    position: Tensor,
    norm_in: LayerNorm,
    blocks: Vec<Block>,
    norm_out: LayerNorm,
    projection: Linear,
}

impl VisionTower {
    /// Takes the tower's tensors by their Hugging Face names.
    pub fn new(config: &ClipConfig, tensors: &Tensors, kernels: Kernels) -> Result<Self> {
        let weights = Weights::new(tensors, kernels);
        let c = &config.vision_config;
        let (d, p, eps) = (c.tower.hidden_size, c.patch_size, c.tower.layer_norm_eps);
        let embedding = |part: &str| format!("vision_model.embeddings.{part}");
        let patch = weights.get(&embedding("patch_embedding.weight"), &[d, 3, p, p])?;
        Ok(Self {
            class: weights.get(&embedding("class_embedding"), &[d])?,
            patch: patch.reshape((d, 3 * p * p))?,
            position: weights.get(&embedding("position_embedding.weight"), &[c.patches() + 1, d])?,
            // The name has lacked its "e" since the first release.
            norm_in: weights.norm("vision_model.pre_layrnorm", d, eps)?,
            blocks: weights.blocks("vision_model", &c.tower)?,
            norm_out: weights.norm("vision_model.post_layernorm", d, eps)?,
            projection: weights.projection("visual_projection", d, config.projection_dim)?,
            config: c.clone(),
        })
    }

    /// Number of stages: embedding, blocks, pooling.
    #[must_use]
    pub const fn stages(config: &ClipConfig) -> usize {
        config.vision_config.tower.num_hidden_layers + 2
    }

    /// The stage that a tensor of the checkpoint belongs to, if it belongs to this tower.
    #[must_use]
    pub fn stage_of(config: &ClipConfig, name: &str) -> Option<usize> {
        let last = Self::stages(config) - 1;
        if name.starts_with("vision_model.embeddings.") || name.starts_with("vision_model.pre_layrnorm.") {
            return Some(0);
        }
        if let Some(rest) = name.strip_prefix("vision_model.encoder.layers.") {
            return rest.split('.').next()?.parse::<usize>().ok().map(|i| i + 1);
        }
        let pooling =
            name.starts_with("vision_model.post_layernorm.") || name.starts_with("visual_projection.");
        pooling.then_some(last)
    }

    /// Runs the stages `from..to` on the state between them.
    ///
    /// The state is pixels `[batch, 3, side, side]` before stage 0, `[batch, tokens, width]` after
    /// it, and features `[batch, projection_dim]`, not normalised, after the last.
    pub fn run(&self, state: &Tensor, stages: std::ops::Range<usize>) -> Result<Tensor> {
        let last = self.blocks.len() + 1;
        let mut state = state.clone();
        for stage in stages {
            state = match stage {
                0 => self.embed(&state)?,
                s if s == last => self.pool(&state)?,
                s => self.blocks[s - 1].forward(&state, None)?,
            };
        }
        Ok(state)
    }

    /// Pixels `[batch, 3, side, side]` to features `[batch, projection_dim]`, not normalised.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        self.run(pixels, 0..self.blocks.len() + 2)
    }

    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let batch = pixels.dim(0)?;
        let (p, d) = (self.config.patch_size, self.config.tower.hidden_size);
        let side = self.config.image_size / p;
        // The stride equals the kernel: the convolution is one product over unfolded patches.
        let patches = pixels
            .reshape(&[batch, 3, side, p, side, p])?
            .permute([0, 2, 4, 1, 3, 5])?
            .reshape((batch * side * side, 3 * p * p))?
            .matmul(&self.patch.t()?)?
            .reshape((batch, side * side, d))?;
        let class = self.class.reshape((1, 1, d))?.broadcast_as((batch, 1, d))?;
        let tokens = Tensor::cat(&[&class.contiguous()?, &patches], 1)?;
        self.norm_in.forward(&tokens.broadcast_add(&self.position)?)
    }

    fn pool(&self, tokens: &Tensor) -> Result<Tensor> {
        let class = tokens.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
        debug_assert_eq!(class.dim(D::Minus1)?, self.config.tower.hidden_size);
        self.projection.forward(&self.norm_out.forward(&class)?)
    }
}
