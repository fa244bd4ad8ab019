//! LoRA adapters (Hu et al. 2021, arXiv:2106.09685) as the PEFT library stores them.
//!
//! `adapter_config.json` says how the factors scale; `adapter_model.safetensors` (or `.bin`) holds, for each
//! adapted module, `lora_A` `[r, in]` and `lora_B` `[out, r]`. The adapted weight is W + scale * B A with
//! scale = lora_alpha / r, or lora_alpha / sqrt(r) for rank-stabilised adapters.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::state_dict::CheckpointError;
use crate::base::fs::read;

/// Name of the configuration beside the factors.
pub const CONFIG: &str = "adapter_config.json";

/// `adapter_config.json`, as far as it matters here.
#[derive(Deserialize)]
pub struct LoraConfig {
    #[serde(default)]
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    rank_pattern: BTreeMap<String, usize>,
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f64>,
}

/// The factors of one adapted tensor, by their stored names.
#[derive(Clone, Debug, PartialEq)]
pub struct LowRank {
    /// `[r, in]`.
    pub a: String,
    /// `[out, r]`.
    pub b: String,
    /// Multiplies the product.
    pub scale: f64,
    /// Whether the adapted weight is stored `[in, out]` (embeddings, GPT-2's layers).
    pub transposed: bool,
}

/// What a stored tensor of an adapter is.
#[derive(Debug, PartialEq)]
pub enum Piece<'a> {
    /// A factor of the named module: A if true, B if false; of an embedding if the second is true.
    Factor(&'a str, bool, bool),
    /// A whole tensor that replaces the base's (`modules_to_save`, trained biases).
    Whole(String),
}

impl LoraConfig {
    /// Reads the configuration of a folder, if it has one.
    pub fn open(folder: &Path) -> Result<Option<Self>, CheckpointError> {
        let path = folder.join(CONFIG);
        if !path.is_file() {
            return Ok(None);
        }
        let bad = |reason: String| CheckpointError::Adapter { path: path.clone(), reason };
        let this: Self = serde_json::from_slice(&read(&path)?).map_err(|e| bad(e.to_string()))?;
        if !this.peft_type.is_empty() && this.peft_type != "LORA" {
            return Err(bad(format!("`peft_type` is `{}`, only LORA is supported", this.peft_type)));
        }
        if this.use_dora {
            return Err(bad("DoRA adapters (`use_dora`) are not supported".to_owned()));
        }
        if this.r == 0 {
            return Err(bad("`r` is 0".to_owned()));
        }
        Ok(Some(this))
    }

    /// Scale of a module's product.
    pub fn scale(&self, module: &str) -> f64 {
        let matches = |key: &String| module == key || module.ends_with(&format!(".{key}"));
        let rank = self.rank_pattern.iter().find(|(k, _)| matches(k)).map_or(self.r, |(_, &r)| r) as f64;
        let alpha = self.alpha_pattern.iter().find(|(k, _)| matches(k)).map_or(self.lora_alpha, |(_, &a)| a);
        if self.use_rslora { alpha / rank.sqrt() } else { alpha / rank }
    }

    /// Whether the adapted layers store their weight `[in, out]`.
    pub const fn transposed(&self) -> bool {
        self.fan_in_fan_out
    }
}

/// Takes a stored name apart; `None` for what is not understood.
pub fn piece(stored: &str) -> Option<Piece<'_>> {
    let name = stored.strip_prefix("base_model.model.").unwrap_or(stored);
    for (mark, is_a, embedding) in [
        (".lora_A", true, false),
        (".lora_B", false, false),
        (".lora_embedding_A", true, true),
        (".lora_embedding_B", false, true),
    ] {
        if let Some((module, rest)) = name.split_once(mark)
            && (rest.is_empty() || rest.starts_with('.'))
        {
            return Some(Piece::Factor(module, is_a, embedding));
        }
    }
    if name.contains(".lora_") {
        return None;
    }
    let whole = name.replace(".modules_to_save.default.", ".").replace(".modules_to_save.", ".");
    Some(Piece::Whole(whole.replace(".base_layer.", ".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name = "base_model.model.vision_model.encoder.layers.0.self_attn.q_proj.lora_A.weight";
        let module = "vision_model.encoder.layers.0.self_attn.q_proj";
        assert_eq!(piece(name), Some(Piece::Factor(module, true, false)));
        assert_eq!(piece("m.x.lora_B.default.weight"), Some(Piece::Factor("m.x", false, false)));
        assert_eq!(piece("m.x.lora_embedding_A"), Some(Piece::Factor("m.x", true, true)));
        assert_eq!(piece("m.x.lora_magnitude_vector"), None);
        let saved = piece("base_model.model.visual_projection.modules_to_save.weight");
        assert_eq!(saved, Some(Piece::Whole("visual_projection.weight".to_owned())));
    }

    #[test]
    fn scales_follow_the_patterns() {
        let json = r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "rank_pattern": {"k_proj": 2}}"#;
        let config: LoraConfig = serde_json::from_str(json).unwrap();
        assert_eq!((config.scale("a.q_proj"), config.scale("a.k_proj")), (2.0, 4.0));
        let stabilised = LoraConfig { use_rslora: true, ..config };
        assert_eq!(stabilised.scale("a.q_proj"), 4.0);
    }
}
