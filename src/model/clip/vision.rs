//! The image tower: CLIP's and SigLIP's.

use candle_core::{Result, Tensor};

use super::block_prompts::BlockPrompts;
use super::config::{ClipConfig, ImagePool, VisionConfig};
use super::image_adapter::ImageAdapter;
use super::image_projector::ImageProjector;
use super::layers::{Attention, Block, Mlp, blocks};
use crate::checkpoint::{Weights, of_tensor};
use crate::model::layers::{Built, Kernels, LayerNorm, Linear, Loader, as_type_of, product};

/// CLIP's vision transformer with its projection, or SigLIP's with its attention pooling.
///
/// The forward is a sequence of stages (stage 0 the embedding, then one per block, then pooling
/// with projection), so that variants whose first stages are equal can share them.
pub struct VisionTower {
    config: VisionConfig,
    patch: Tensor,
    patch_bias: Option<Tensor>,
    position: Tensor,
    /// CLIP: the class token.
    class: Option<Tensor>,
    /// The norm that follows the embedding.
    norm_in: Option<LayerNorm>,
    blocks: Vec<Block>,
    norm_out: LayerNorm,
    pooling: Pooling,
    adapter: Option<ImageAdapter>,
    /// Tokens that enter behind the image's own.
    prompts: Option<BlockPrompts>,
    projector: Option<ImageProjector>,
}

/// From the last tokens to one feature vector.
enum Pooling {
    /// CLIP: the class token or the mean of the others, projected.
    Projected(Linear),
    /// SigLIP: a learned query attends to all tokens.
    Attention { probe: Tensor, attention: Box<Attention>, norm: LayerNorm, mlp: Mlp },
}

impl VisionTower {
    /// Takes the tower's tensors by their Hugging Face names.
    pub fn new(config: &ClipConfig, weights: &dyn Weights, kernels: Kernels) -> Built<Self> {
        let source = weights;
        let weights = Loader::new(source, kernels);
        let c = &config.vision_config;
        let (d, p, eps) = (c.tower.hidden_size, c.patch_size, c.tower.layer_norm_eps);
        let embedding = |part: &str| format!("vision_model.embeddings.{part}");
        let patch = weights.get(&embedding("patch_embedding.weight"), &[d, 3, p, p])?;
        let (class, pooling) = if c.pool == ImagePool::Attention {
            let head = |part: &str| format!("vision_model.head.{part}");
            let pooling = Pooling::Attention {
                probe: weights.get(&head("probe"), &[1, 1, d])?,
                attention: Box::new(Attention::load_joint(&weights, &head("attention"), &c.tower)?),
                norm: weights.norm(&head("layernorm"), d, eps)?,
                mlp: Mlp::load(&weights, &head("mlp"), &c.tower)?,
            };
            (None, pooling)
        } else {
            let token = weights.get(&embedding("class_embedding"), &[d])?;
            let projection = weights.projection("visual_projection", d, config.projection_dim)?;
            (Some(token), Pooling::Projected(projection))
        };
        let norm_in = if c.norm_before {
            // The name has lacked its "e" since the first release.
            Some(weights.norm("vision_model.pre_layrnorm", d, eps)?)
        } else {
            None
        };
        let tokens = c.patches() + usize::from(class.is_some());
        Ok(Self {
            patch: patch
                .reshape((d, 3 * p * p))
                .map_err(of_tensor(source, &embedding("patch_embedding.weight")))?,
            patch_bias: match class {
                Some(_) => None,
                None => Some(weights.get(&embedding("patch_embedding.bias"), &[d])?),
            },
            position: weights.get(&embedding("position_embedding.weight"), &[tokens, d])?,
            class,
            norm_in,
            blocks: blocks(&weights, "vision_model", &c.tower)?,
            norm_out: weights.norm("vision_model.post_layernorm", d, eps)?,
            pooling,
            adapter: ImageAdapter::of(source)?,
            prompts: BlockPrompts::load(&weights, "vision_model.embeddings", d)?,
            projector: ImageProjector::of(source)?,
            config: c.clone(),
        })
    }

    /// The tower alone.
    #[must_use]
    pub fn without_adapter(self) -> Self {
        Self { adapter: None, ..self }
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
        let pooling = [
            "vision_model.post_layernorm.",
            "vision_model.head.",
            "visual_projection.",
            "image_adapter.",
            "image_projector.",
        ];
        pooling.iter().any(|p| name.starts_with(p)).then_some(last)
    }

    /// Runs the stages `from..to` on the state between them.
    ///
    /// The state is pixels `[batch, 3, side, side]` before stage 0, `[batch, tokens, width]` after
    /// it, and features `[batch, projection_dim]`, not normalised, after the last.
    pub fn run(&self, state: &Tensor, stages: std::ops::Range<usize>) -> Result<Tensor> {
        let last = self.last();
        let mut state = state.clone();
        for stage in stages {
            state = match stage {
                0 => self.embed(&state)?,
                s if s == last => self.features(&state)?,
                s => self.blocks[s - 1].forward(&state, None)?,
            };
        }
        Ok(state)
    }

    /// Number of the last stage.
    pub(super) const fn last(&self) -> usize {
        self.blocks.len() + 1
    }

    /// Pixels `[batch, 3, side, side]` to features `[batch, projection_dim]`, not normalised.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        self.run(pixels, 0..self.blocks.len() + 2)
    }

    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let batch = pixels.dim(0)?;
        let (p, d) = (self.config.patch_size, self.config.tower.hidden_size);
        let side = self.config.image_size / p;
        // The stride equals the kernel: the convolution is one product over unfolded patches. What does not fill
        // a patch is not read.
        let (rows, columns) = (pixels.dim(2)?, pixels.dim(3)?);
        let pixels = if (rows, columns) == (side * p, side * p) {
            pixels.clone()
        } else {
            pixels.narrow(2, 0, side * p)?.narrow(3, 0, side * p)?.contiguous()?
        };
        let unfolded = pixels
            .reshape(&[batch, 3, side, p, side, p])?
            .permute([0, 2, 4, 1, 3, 5])?
            .reshape((batch * side * side, 3 * p * p))?;
        let patches = product(&unfolded, &as_type_of(&self.patch, &pixels)?.t()?)?;
        let patches = patches.reshape((batch, side * side, d))?;
        let patches = match &self.patch_bias {
            Some(bias) => patches.broadcast_add(&as_type_of(bias, &pixels)?)?,
            None => patches,
        };
        let tokens = match &self.class {
            Some(class) => {
                let class = as_type_of(class, &pixels)?.reshape((1, 1, d))?.broadcast_as((batch, 1, d))?;
                Tensor::cat(&[&class.contiguous()?, &patches], 1)?
            }
            None => patches,
        };
        let tokens = tokens.broadcast_add(&as_type_of(&self.position, &pixels)?)?;
        let tokens = self.prompts.as_ref().map_or(Ok(tokens.clone()), |p| p.behind(&tokens))?;
        match &self.norm_in {
            Some(norm) => norm.forward(&tokens),
            None => Ok(tokens),
        }
    }

    /// What comes after the blocks. Products of one row are summed in another order than those of several, so no image is alone.
    fn features(&self, tokens: &Tensor) -> Result<Tensor> {
        if tokens.dim(0)? == 1 {
            return self.features(&Tensor::cat(&[tokens, tokens], 0)?)?.narrow(0, 0, 1);
        }
        let mut features = self.pool(tokens)?;
        if let Some(adapter) = &self.adapter {
            features = adapter.forward(&features)?;
        }
        self.projector.as_ref().map_or(Ok(features.clone()), |p| p.forward(&features))
    }

    fn pool(&self, tokens: &Tensor) -> Result<Tensor> {
        match &self.pooling {
            Pooling::Projected(projection) => {
                let pool = |x: &Tensor| match self.config.pool {
                    ImagePool::Mean => x.narrow(1, 1, x.dim(1)? - 1)?.mean(1),
                    _ => x.narrow(1, 0, 1)?.squeeze(1)?.contiguous(),
                };
                // The norm of the class token alone is the same before and after.
                if self.config.pool == ImagePool::Mean && !self.config.norm_after_pool {
                    return projection.forward(&pool(&self.norm_out.forward(tokens)?)?);
                }
                projection.forward(&self.norm_out.forward(&pool(tokens)?)?)
            }
            Pooling::Attention { probe, attention, norm, mlp } => {
                let tokens = self.norm_out.forward(tokens)?;
                let (batch, _, d) = tokens.dims3()?;
                let query = as_type_of(probe, &tokens)?.broadcast_as((batch, 1, d))?.contiguous()?;
                let mixed = attention.forward(&query, &tokens, None)?;
                let pooled = (&mixed + mlp.forward(&norm.forward(&mixed)?)?)?;
                pooled.squeeze(1)
            }
        }
    }
}
