//! Layouts of checkpoint folders: Hugging Face and open_clip.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::clip::{Activation, ClipConfig, SIGLIP, TextConfig, TowerConfig, VisionConfig};
use super::folder::{ModelError, json_file};
use crate::image::{CropRule, Filter, Preprocessor, ResizeRule};

/// How a checkpoint folder is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `config.json`, `preprocessor_config.json`, `model.safetensors` or `pytorch_model.bin`.
    HuggingFace,
    /// `open_clip_config.json`, `open_clip_model.safetensors` or `open_clip_pytorch_model.bin`.
    OpenClip,
}

impl Layout {
    /// The layout of a folder: open_clip's if its configuration is there and Hugging Face's is not.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let has = |name: &str| folder.join(name).is_file();
        if has("open_clip_config.json") && !has("config.json") { Self::OpenClip } else { Self::HuggingFace }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HuggingFace => "Hugging Face CLIP",
            Self::OpenClip => "open_clip",
        }
    }

    /// The file that holds the hyper-parameters.
    #[must_use]
    pub const fn config_file(self) -> &'static str {
        match self {
            Self::HuggingFace => "config.json",
            Self::OpenClip => "open_clip_config.json",
        }
    }

    /// Hyper-parameters and preprocessing.
    pub(super) fn read(self, folder: &Path) -> Result<(ClipConfig, Preprocessor), ModelError> {
        let path = folder.join(self.config_file());
        match self {
            Self::HuggingFace => {
                let json: Value = json_file(&path)?;
                let bad =
                    |e: serde_json::Error| ModelError::Config { path: path.clone(), reason: e.to_string() };
                let config = if json.get("model_type").and_then(Value::as_str) == Some(SIGLIP) {
                    serde_json::from_value::<SiglipFile>(json).map_err(bad)?.config()
                } else {
                    serde_json::from_value(json).map_err(bad)?
                };
                let path = folder.join("preprocessor_config.json");
                let preprocessor = Preprocessor::from_hf(&json_file::<Value>(&path)?)
                    .map_err(|source| ModelError::Preprocess { path, source })?;
                Ok((config, preprocessor))
            }
            Self::OpenClip => {
                let file: OpenClipFile = json_file(&path)?;
                let bad = |reason| ModelError::Config { path: path.clone(), reason };
                let preprocessor = file.preprocessor().map_err(bad)?;
                let bad = |reason| ModelError::Config { path: path.clone(), reason };
                Ok((file.config().map_err(bad)?, preprocessor))
            }
        }
    }
}

/// `config.json` of SigLIP. Checkpoints leave out what equals `transformers`' defaults (the base model).
#[derive(Deserialize)]
struct SiglipFile {
    #[serde(default)]
    text_config: SiglipTower,
    #[serde(default)]
    vision_config: SiglipTower,
}

/// Either tower of SigLIP; the fields of the other stay unused.
#[derive(Deserialize)]
#[serde(default)]
struct SiglipTower {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    hidden_act: Activation,
    layer_norm_eps: f64,
    vocab_size: usize,
    max_position_embeddings: usize,
    pad_token_id: u32,
    image_size: usize,
    patch_size: usize,
}

impl Default for SiglipTower {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            hidden_act: Activation::GeluTanh,
            layer_norm_eps: 1e-6,
            vocab_size: 32_000,
            max_position_embeddings: 64,
            pad_token_id: 1,
            image_size: 224,
            patch_size: 16,
        }
    }
}

impl SiglipFile {
    fn config(&self) -> ClipConfig {
        let (text, vision) = (&self.text_config, &self.vision_config);
        let tower = |t: &SiglipTower| TowerConfig {
            hidden_size: t.hidden_size,
            intermediate_size: t.intermediate_size,
            num_attention_heads: t.num_attention_heads,
            num_hidden_layers: t.num_hidden_layers,
            hidden_act: t.hidden_act,
            layer_norm_eps: t.layer_norm_eps,
        };
        ClipConfig {
            model_type: SIGLIP.to_owned(),
            projection_dim: vision.hidden_size,
            logit_scale_init_value: 1.0,
            text_config: TextConfig {
                tower: tower(text),
                vocab_size: text.vocab_size,
                max_position_embeddings: text.max_position_embeddings,
                eos_token_id: 0,
                pad_token_id: Some(text.pad_token_id),
            },
            vision_config: VisionConfig {
                tower: tower(vision),
                image_size: vision.image_size,
                patch_size: vision.patch_size,
            },
        }
    }
}

/// `open_clip_config.json`.
#[derive(Deserialize)]
struct OpenClipFile {
    model_cfg: OpenClipModel,
    #[serde(default)]
    preprocess_cfg: OpenClipPreprocess,
}

#[derive(Deserialize)]
struct OpenClipModel {
    embed_dim: usize,
    #[serde(default)]
    quick_gelu: bool,
    vision_cfg: OpenClipVision,
    text_cfg: OpenClipText,
}

#[derive(Deserialize)]
struct OpenClipVision {
    image_size: usize,
    layers: usize,
    width: usize,
    patch_size: usize,
    #[serde(default = "sixty_four")]
    head_width: usize,
    #[serde(default = "four")]
    mlp_ratio: f64,
    /// Towers from `timm` are other models.
    timm_model_name: Option<String>,
}

#[derive(Deserialize)]
struct OpenClipText {
    context_length: usize,
    vocab_size: usize,
    width: usize,
    heads: usize,
    layers: usize,
    #[serde(default = "four")]
    mlp_ratio: f64,
    /// Text towers from the hub are other models.
    hf_model_name: Option<String>,
}

const fn sixty_four() -> usize {
    64
}

const fn four() -> f64 {
    4.0
}

#[derive(Deserialize, Default)]
struct OpenClipPreprocess {
    mean: Option<[f64; 3]>,
    std: Option<[f64; 3]>,
    interpolation: Option<String>,
    resize_mode: Option<String>,
}

impl OpenClipFile {
    fn config(&self) -> Result<ClipConfig, String> {
        let (model, vision, text) = (&self.model_cfg, &self.model_cfg.vision_cfg, &self.model_cfg.text_cfg);
        if let Some(other) = vision.timm_model_name.as_ref().or(text.hf_model_name.as_ref()) {
            return Err(format!("the tower `{other}` is not supported; plain CLIP transformers are"));
        }
        let act = if model.quick_gelu { Activation::QuickGelu } else { Activation::Gelu };
        let tower = |width: usize, layers: usize, heads: usize, ratio: f64| TowerConfig {
            hidden_size: width,
            intermediate_size: (width as f64 * ratio) as usize,
            num_attention_heads: heads,
            num_hidden_layers: layers,
            hidden_act: act,
            layer_norm_eps: 1e-5,
        };
        Ok(ClipConfig {
            model_type: "clip".to_owned(),
            projection_dim: model.embed_dim,
            logit_scale_init_value: (1.0f64 / 0.07).ln(),
            text_config: TextConfig {
                tower: tower(text.width, text.layers, text.heads, text.mlp_ratio),
                vocab_size: text.vocab_size,
                max_position_embeddings: text.context_length,
                // open_clip pools at the largest id.
                eos_token_id: 2,
                pad_token_id: None,
            },
            vision_config: VisionConfig {
                tower: tower(
                    vision.width,
                    vision.layers,
                    vision.width / vision.head_width.max(1),
                    vision.mlp_ratio,
                ),
                image_size: vision.image_size,
                patch_size: vision.patch_size,
            },
        })
    }

    /// `image_transform` of open_clip for evaluation, which is torchvision's.
    fn preprocessor(&self) -> Result<Preprocessor, String> {
        let p = &self.preprocess_cfg;
        let size = self.model_cfg.vision_cfg.image_size;
        let plain = Preprocessor::clip(size);
        let filter = match p.interpolation.as_deref() {
            None | Some("bicubic" | "random") => Filter::Bicubic,
            Some("bilinear") => Filter::Bilinear,
            Some(other) => return Err(format!("interpolation `{other}` is not supported")),
        };
        let (resize, crop) = match p.resize_mode.as_deref() {
            None | Some("shortest") => {
                (ResizeRule::ShortestEdge(size), Some((size, size, CropRule::HalfEven)))
            }
            Some("squash") => (ResizeRule::Exact(size, size), None),
            Some(other) => return Err(format!("resize_mode `{other}` is not supported")),
        };
        Ok(Preprocessor {
            resize: Some((resize, filter)),
            crop,
            mean: p.mean.unwrap_or(plain.mean),
            std: p.std.unwrap_or(plain.std),
            ..plain
        })
    }
}
