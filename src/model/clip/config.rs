//! `config.json` of a CLIP checkpoint.

use serde::{Deserialize, Serialize};

/// The non-linearity of the MLPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The transformer that both towers share in form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    #[serde(default = "quick_gelu")]
    pub hidden_act: Activation,
    /// Added to the variance in layer norms.
    #[serde(default = "epsilon")]
    pub layer_norm_eps: f64,
}

const fn quick_gelu() -> Activation {
    Activation::QuickGelu
}

const fn epsilon() -> f64 {
    1e-5
}

/// The image tower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// The transformer.
    #[serde(flatten)]
    pub tower: TowerConfig,
    /// Input side in pixels.
    pub image_size: usize,
    /// Patch side in pixels; must divide `image_size`.
    pub patch_size: usize,
}

impl VisionConfig {
    /// Patches per image.
    #[must_use]
    pub const fn patches(&self) -> usize {
        let side = self.image_size / self.patch_size;
        side * side
    }
}

/// The text tower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// The transformer.
    #[serde(flatten)]
    pub tower: TowerConfig,
    /// Rows of the token embedding.
    #[serde(default = "clip_vocabulary")]
    pub vocab_size: usize,
    /// Longest text in tokens.
    #[serde(default = "clip_context")]
    pub max_position_embeddings: usize,
    /// The token whose position is pooled. 2 stands for the old OpenAI configuration, where the
    /// largest token id marks the end.
    #[serde(default = "clip_eos")]
    pub eos_token_id: u32,
    /// The token that fills a text up to the longest length (SigLIP, whose attention is not causal).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_token_id: Option<u32>,
}

const fn clip_vocabulary() -> usize {
    49_408
}

const fn clip_context() -> usize {
    77
}

const fn clip_eos() -> u32 {
    49_407
}

/// The whole model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipConfig {
    /// `clip` or `siglip`.
    #[serde(default = "model_type")]
    pub model_type: String,
    /// Width of the joint embedding.
    pub projection_dim: usize,
    /// Initial value of the logit scale (a logarithm), for models made from scratch.
    #[serde(default = "logit_scale")]
    pub logit_scale_init_value: f64,
    /// The text tower.
    pub text_config: TextConfig,
    /// The image tower.
    pub vision_config: VisionConfig,
}

/// `model_type` of SigLIP.
pub const SIGLIP: &str = "siglip";

fn model_type() -> String {
    "clip".to_owned()
}

const fn logit_scale() -> f64 {
    2.6592
}

impl ClipConfig {
    /// Whether this is SigLIP (Zhai et al. 2023, arXiv:2303.15343): no class token, pooling by attention, text
    /// attention in both directions, a bias on the logits.
    #[must_use]
    pub fn is_siglip(&self) -> bool {
        self.model_type == SIGLIP
    }

    /// Checks what the arithmetic relies on.
    pub fn validate(&self) -> Result<(), String> {
        if self.model_type != "clip" && !self.is_siglip() {
            return Err(format!("`model_type` is `{}`; clip and siglip are supported", self.model_type));
        }
        for (name, tower) in [("text", &self.text_config.tower), ("vision", &self.vision_config.tower)] {
            if tower.num_attention_heads == 0 || !tower.hidden_size.is_multiple_of(tower.num_attention_heads)
            {
                return Err(format!(
                    "{name} tower: {} heads do not divide the width {}",
                    tower.num_attention_heads, tower.hidden_size
                ));
            }
        }
        let v = &self.vision_config;
        if v.patch_size == 0 || !v.image_size.is_multiple_of(v.patch_size) {
            return Err(format!("patches of {} do not divide images of {}", v.patch_size, v.image_size));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_activations_are_refused() {
        let json = r#"{"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2,
            "num_hidden_layers": 1, "hidden_act": "gelu_new"}"#;
        let error = serde_json::from_str::<TowerConfig>(json).unwrap_err().to_string();
        assert!(error.contains("gelu_new"), "{error}");
    }
}
