//! What a CLIP or SigLIP is made of, whatever file said it.

use std::collections::BTreeMap;

use serde::Serialize;

/// The non-linearity of the MLPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Activation {
    /// `x * sigmoid(1.702 x)`: OpenAI's checkpoints.
    #[serde(rename = "quick_gelu")]
    QuickGelu,
    /// The exact, erf-based GELU: LAION's checkpoints.
    #[serde(rename = "gelu")]
    Gelu,
    /// The tanh approximation of the GELU: SigLIP.
    #[serde(rename = "gelu_pytorch_tanh")]
    GeluTanh,
}

impl Activation {
    /// Names in `config.json`.
    pub const CHOICES: [(&str, Self); 3] =
        [("quick_gelu", Self::QuickGelu), ("gelu", Self::Gelu), ("gelu_pytorch_tanh", Self::GeluTanh)];
}

/// The transformer that both towers share in form.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TowerConfig {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Attention heads; must divide `hidden_size`.
    pub num_attention_heads: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Non-linearity.
    pub hidden_act: Activation,
    /// Added to the variance in layer norms.
    pub layer_norm_eps: f64,
    /// Whether the two branches of a block are scaled, dimension by dimension (open_clip's `ls_init_value`).
    pub layer_scale: bool,
}

/// How an image's tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImagePool {
    /// The class token.
    ClassToken,
    /// The mean of the patches, the class token left out (open_clip's `avg`).
    Mean,
    /// A learned query attends to all tokens (SigLIP).
    Attention,
}

/// The image tower.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VisionConfig {
    /// The transformer.
    #[serde(flatten)]
    pub tower: TowerConfig,
    /// Input side in pixels.
    pub image_size: usize,
    /// Patch side in pixels. What does not fill a patch at the right and at the bottom is not read, as in a
    /// convolution without padding.
    pub patch_size: usize,
    /// Pooling.
    pub pool: ImagePool,
    /// Whether a norm follows the embedding.
    pub norm_before: bool,
    /// Whether the last norm follows the pooling instead of going before it.
    pub norm_after_pool: bool,
}

impl VisionConfig {
    /// Patches per image.
    #[must_use]
    pub const fn patches(&self) -> usize {
        let side = self.image_size / self.patch_size;
        side * side
    }
}

/// Which token of a text is its feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextPool {
    /// The first of the largest id (OpenAI, open_clip, `eos_token_id = 2` in `transformers`).
    LargestId,
    /// The first with this id; the first of all where there is none.
    Token(u32),
    /// The first.
    First,
    /// The last of the text filled up to its longest length.
    Last,
}

/// The text tower.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextConfig {
    /// The transformer.
    #[serde(flatten)]
    pub tower: TowerConfig,
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Longest text in tokens.
    pub max_position_embeddings: usize,
    /// Pooling.
    pub pool: TextPool,
    /// Whether a token sees only those before it.
    pub causal: bool,
    /// Whether the projection has a bias.
    pub projection_bias: bool,
    /// The token that fills a text up to the longest length, where the file says it.
    pub pad_token_id: Option<u32>,
    /// Whether the end token is replaced by the one that fills up (open_clip's `strip_sep_token`).
    pub strip_end: bool,
}

impl TextConfig {
    /// Whether what follows a text changes its feature, so that texts are filled up to one length.
    #[must_use]
    pub fn fills_up(&self) -> bool {
        !self.causal || self.pool == TextPool::Last
    }
}

/// Kind of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// CLIP (Radford et al. 2021, arXiv:2103.00020).
    Clip,
    /// SigLIP (Zhai et al. 2023, arXiv:2303.15343): no class token, pooling by attention, text attention in both
    /// directions, a bias on the logits.
    Siglip,
}

impl Family {
    /// `model_type` in `config.json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::Siglip => "siglip",
        }
    }
}

/// The whole model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClipConfig {
    /// Kind of model.
    pub family: Family,
    /// Width of the joint embedding.
    pub projection_dim: usize,
    /// Whether a bias is added to the logits.
    pub logit_bias: bool,
    /// Initial value of the logit scale (a logarithm), for models made from scratch; changes no prediction.
    #[serde(skip)]
    pub logit_scale_init_value: f64,
    /// The text tower.
    pub text_config: TextConfig,
    /// The image tower.
    pub vision_config: VisionConfig,
}

/// Largest width and number of blocks: a configuration beyond them is damaged.
const LARGEST_WIDTH: usize = 1 << 16;
const MOST_BLOCKS: usize = 1 << 10;

impl ClipConfig {
    /// Whether this is SigLIP.
    #[must_use]
    pub fn is_siglip(&self) -> bool {
        self.family == Family::Siglip
    }

    /// Checks what the arithmetic relies on.
    pub fn validate(&self) -> Result<(), String> {
        for (name, tower) in [("text", &self.text_config.tower), ("vision", &self.vision_config.tower)] {
            let heads = tower.num_attention_heads;
            if heads == 0 || !tower.hidden_size.is_multiple_of(heads) {
                return Err(format!(
                    "{name} tower: {heads} heads do not divide the width {}",
                    tower.hidden_size
                ));
            }
            if tower.hidden_size.max(tower.intermediate_size) > LARGEST_WIDTH
                || tower.num_hidden_layers > MOST_BLOCKS
            {
                return Err(format!("{name} tower: {tower:?} is larger than any model"));
            }
            if !(tower.layer_norm_eps > 0.0 && tower.layer_norm_eps < 1.0) {
                return Err(format!("{name} tower: layer norms with eps {}", tower.layer_norm_eps));
            }
        }
        let v = &self.vision_config;
        if v.patch_size == 0 || v.patch_size > v.image_size || v.image_size > 1 << 13 {
            return Err(format!("images of {} pixels hold no patches of {}", v.image_size, v.patch_size));
        }
        if self.is_siglip() && self.projection_dim != v.tower.hidden_size {
            let width = v.tower.hidden_size;
            return Err(format!("texts become vectors of {}, images of {width}", self.projection_dim));
        }
        if self.projection_dim > LARGEST_WIDTH || self.text_config.max_position_embeddings > 1 << 16 {
            return Err("is larger than any model".to_owned());
        }
        Ok(())
    }

    /// Every tensor of the model by its Hugging Face name, with its shape.
    #[must_use]
    pub fn tensors(&self) -> BTreeMap<String, Vec<usize>> {
        let mut all = BTreeMap::new();
        let mut add = |name: String, shape: &[usize]| {
            all.insert(name, shape.to_vec());
        };
        let (v, t) = (&self.vision_config, &self.text_config);
        let (vd, td, out) = (v.tower.hidden_size, t.tower.hidden_size, self.projection_dim);
        let siglip = self.is_siglip();
        let embedding = |part: &str| format!("vision_model.embeddings.{part}");
        add(embedding("patch_embedding.weight"), &[vd, 3, v.patch_size, v.patch_size]);
        add(embedding("position_embedding.weight"), &[v.patches() + usize::from(!siglip), vd]);
        if siglip {
            add(embedding("patch_embedding.bias"), &[vd]);
            add("vision_model.head.probe".to_owned(), &[1, 1, vd]);
            add("vision_model.head.attention.in_proj_weight".to_owned(), &[3 * vd, vd]);
            add("vision_model.head.attention.in_proj_bias".to_owned(), &[3 * vd]);
            linear(&mut add, "vision_model.head.attention.out_proj", vd, vd);
            norm(&mut add, "vision_model.head.layernorm", vd);
            linear(&mut add, "vision_model.head.mlp.fc1", vd, v.tower.intermediate_size);
            linear(&mut add, "vision_model.head.mlp.fc2", v.tower.intermediate_size, vd);
            linear(&mut add, "text_model.head", td, out);
        } else {
            add(embedding("class_embedding"), &[vd]);
            add("visual_projection.weight".to_owned(), &[out, vd]);
            add("text_projection.weight".to_owned(), &[out, td]);
            if t.projection_bias {
                add("text_projection.bias".to_owned(), &[out]);
            }
        }
        if v.norm_before {
            norm(&mut add, "vision_model.pre_layrnorm", vd);
        }
        norm(&mut add, "vision_model.post_layernorm", vd);
        add("text_model.embeddings.token_embedding.weight".to_owned(), &[t.vocab_size, td]);
        add("text_model.embeddings.position_embedding.weight".to_owned(), &[t.max_position_embeddings, td]);
        norm(&mut add, "text_model.final_layer_norm", td);
        for (tower, c) in [("vision_model", &v.tower), ("text_model", &t.tower)] {
            for layer in 0..c.num_hidden_layers {
                block(&mut add, &format!("{tower}.encoder.layers.{layer}"), c);
            }
        }
        add("logit_scale".to_owned(), &[]);
        if self.logit_bias {
            add("logit_bias".to_owned(), &[]);
        }
        all
    }
}

fn linear(add: &mut impl FnMut(String, &[usize]), name: &str, from: usize, to: usize) {
    add(format!("{name}.weight"), &[to, from]);
    add(format!("{name}.bias"), &[to]);
}

fn norm(add: &mut impl FnMut(String, &[usize]), name: &str, width: usize) {
    add(format!("{name}.weight"), &[width]);
    add(format!("{name}.bias"), &[width]);
}

fn block(add: &mut impl FnMut(String, &[usize]), at: &str, c: &TowerConfig) {
    let (d, h) = (c.hidden_size, c.intermediate_size);
    for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
        linear(add, &format!("{at}.self_attn.{part}"), d, d);
    }
    linear(add, &format!("{at}.mlp.fc1"), d, h);
    linear(add, &format!("{at}.mlp.fc2"), h, d);
    norm(add, &format!("{at}.layer_norm1"), d);
    norm(add, &format!("{at}.layer_norm2"), d);
    if c.layer_scale {
        add(format!("{at}.layer_scale1"), &[d]);
        add(format!("{at}.layer_scale2"), &[d]);
    }
}
