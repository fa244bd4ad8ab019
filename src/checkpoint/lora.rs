//! LoRA adapters (Hu et al. 2021, arXiv:2106.09685) as the PEFT library stores them.
//!
//! `adapter_config.json` says how the factors scale; `adapter_model.safetensors` (or `.bin`) holds, for each
//! adapted module, `lora_A` `[r, in]` and `lora_B` `[out, r]`. The adapted weight is W + scale * B A with
//! scale = lora_alpha / r, or lora_alpha / sqrt(r) for rank-stabilised adapters.

use std::path::Path;

use fancy_regex::Regex;
use serde_json::{Map, Value, json};

use super::error::CheckpointError;
use crate::base::account::Fields;
use crate::base::fs::read;
use crate::base::harmless::PEFT;

/// Name of the configuration beside the factors.
pub const CONFIG: &str = "adapter_config.json";

/// Initialisations that leave the base as it is: the product starts at zero, or the factors are random.
const KEEP_BASE: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// `adapter_config.json`, key by key.
#[derive(Debug)]
pub struct LoraConfig {
    r: usize,
    lora_alpha: f64,
    use_rslora: bool,
    fan_in_fan_out: bool,
    /// Patterns with their ranks, in order: the first that matches counts.
    rank_pattern: Vec<(Regex, f64)>,
    /// Likewise with their alphas.
    alpha_pattern: Vec<(Regex, f64)>,
    /// Class of the model that was adapted, where it is said.
    base_class: Option<String>,
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
    /// The bias of the named module's second factor (`lora_bias`).
    Bias(&'a str),
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
        let json: Value = serde_json::from_slice(&read(&path)?).map_err(|e| bad(e.to_string()))?;
        Self::read(&json).map(Some).map_err(bad)
    }

    fn read(json: &Value) -> Result<Self, String> {
        let fields = Fields::new("", json)?;
        // The kind first: other adapters have other fields.
        let kind = fields.or("peft_type", "LORA".to_owned())?;
        if kind != "LORA" {
            return Err(format!("`peft_type` is `{kind}`; only LORA adapters are supported"));
        }
        if fields.or("use_dora", false)? {
            return Err("DoRA adapters (`use_dora`) are not supported".to_owned());
        }
        check_initialisation(fields.value("init_lora_weights"))?;
        for key in ["use_qalora", "use_bdlora"] {
            fields.only(key, &[json!(false)])?;
        }
        fields.value("qalora_group_size");
        // Null where they are not used.
        for key in ["layer_replication", "alora_invocation_tokens", "target_parameters"] {
            fields.only(key, &[json!([])])?;
        }
        let _bias: String = fields.or("bias", "none".to_owned())?;
        let _lora_bias: bool = fields.or("lora_bias", false)?;
        let r = fields.size("r")?.unwrap_or(8);
        let lora_alpha: f64 = fields.or("lora_alpha", 8.0)?;
        if !lora_alpha.is_finite() {
            return Err(format!("`lora_alpha` is {lora_alpha}"));
        }
        let base_class =
            fields.section("auto_mapping")?.and_then(|m| m.get("base_model_class").ok().flatten());
        let this = Self {
            r,
            lora_alpha,
            use_rslora: fields.or("use_rslora", false)?,
            fan_in_fan_out: fields.or("fan_in_fan_out", false)?,
            rank_pattern: patterns(&fields, "rank_pattern")?,
            alpha_pattern: patterns(&fields, "alpha_pattern")?,
            base_class,
        };
        if this.rank_pattern.iter().any(|(_, r)| *r < 1.0) {
            return Err("`rank_pattern` holds a rank below 1".to_owned());
        }
        fields.finish(&[PEFT])?;
        Ok(this)
    }

    /// Scale of a module's product. Patterns are regular expressions on the whole name or its end after a dot, the
    /// first that matches counting (`get_pattern_key` of PEFT 0.21).
    pub fn scale(&self, module: &str) -> f64 {
        let find = |patterns: &[(Regex, f64)]| {
            patterns.iter().find(|(p, _)| p.is_match(module).unwrap_or(false)).map(|(_, v)| *v)
        };
        let rank = find(&self.rank_pattern).unwrap_or(self.r as f64);
        let alpha = find(&self.alpha_pattern).unwrap_or(self.lora_alpha);
        if self.use_rslora { alpha / rank.sqrt() } else { alpha / rank }
    }

    /// Whether the adapted layers store their weight `[in, out]`.
    pub const fn transposed(&self) -> bool {
        self.fan_in_fan_out
    }

    /// What an adapter of one tower alone leaves out before its names: `transformers` 5's `CLIPVisionModel` and
    /// `CLIPTextModel` have no `vision_model.` and `text_model.` of their own.
    pub fn tower(&self) -> Option<&'static str> {
        let class = self.base_class.as_deref()?;
        if class.contains("VisionModel") {
            Some("vision_model.")
        } else if class.contains("TextModel") {
            Some("text_model.")
        } else {
            None
        }
    }
}

/// Refuses initialisations that change the base's weights: the adapter alone does not give the model then.
fn check_initialisation(value: Option<&Value>) -> Result<(), String> {
    match value {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(Value::String(name)) if KEEP_BASE.contains(&name.as_str()) => Ok(()),
        Some(other) => Err(format!(
            "`init_lora_weights` is `{other}`, which changes the base's weights (as PiSSA, OLoRA, CorDA, LoftQ and \
             LoRA-GA do) or is not known here; save the adapter with PEFT's \
             `path_initial_model_for_weight_conversion`, or merge it (`merge_and_unload`) and give the whole model"
        )),
    }
}

fn patterns(fields: &Fields, key: &str) -> Result<Vec<(Regex, f64)>, String> {
    let map: Map<String, Value> = fields.or(key, Map::new())?;
    map.iter()
        .map(|(pattern, value)| {
            let regex = Regex::new(&format!(r"^(?:(.*\.)?({pattern})$)"));
            let regex = regex.map_err(|e| format!("`{key}` holds `{pattern}`, which is no pattern: {e}"))?;
            let value = value.as_f64().filter(|v| v.is_finite());
            Ok((regex, value.ok_or_else(|| format!("`{key}` of `{pattern}` is no number"))?))
        })
        .collect()
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
            return match rest.rsplit('.').next() {
                Some("bias") if !is_a && !embedding => Some(Piece::Bias(module)),
                Some("bias") => None,
                _ => Some(Piece::Factor(module, is_a, embedding)),
            };
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

    fn read(value: &Value) -> Result<LoraConfig, String> {
        LoraConfig::read(value)
    }

    #[test]
    fn scales_follow_the_patterns() {
        let config =
            read(&json!({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "rank_pattern": {"k_proj": 2}}))
                .unwrap();
        assert_eq!(
            (config.scale("a.q_proj"), config.scale("a.k_proj"), config.scale("a.xk_proj")),
            (2.0, 4.0, 2.0)
        );
        let stabilised = LoraConfig { use_rslora: true, ..config };
        assert_eq!(stabilised.scale("a.q_proj"), 4.0);
    }

    // peft.utils.other.get_pattern_key of PEFT 0.21.2: re.match(rf"(.*\.)?({key})$", name), the first key that matches.
    #[test]
    fn patterns_are_regular_expressions_in_order() {
        let config = read(&json!({"r": 2, "lora_alpha": 2, "alpha_pattern": {
            r"encoder\.layers\.[01]\.self_attn\.q_proj": 32, "q_proj": 8, "^v_proj": 64, "z": 1,
        }}))
        .unwrap();
        let name = |layer: usize, part: &str| format!("vision_model.encoder.layers.{layer}.self_attn.{part}");
        assert_eq!((config.scale(&name(1, "q_proj")), config.scale(&name(2, "q_proj"))), (16.0, 4.0));
        assert_eq!((config.scale(&name(0, "v_proj")), config.scale("v_proj")), (1.0, 32.0));
    }

    #[test]
    fn what_is_not_followed_is_refused() {
        for (value, part) in [
            (json!({"peft_type": "LOHA", "alpha": 1}), "LOHA"),
            (json!({"r": 2, "use_dora": true}), "use_dora"),
            (json!({"r": 2, "init_lora_weights": "pissa_niter_4"}), "pissa_niter_4"),
            (json!({"r": 2, "init_lora_weights": "olora"}), "olora"),
            (json!({"r": 2, "layer_replication": [[0, 2]]}), "layer_replication"),
            (json!({"r": 2, "twist": 3}), "`twist`"),
            (json!({"r": 0}), "`r`"),
            (json!({"r": 2, "rank_pattern": {"(": 2}}), "no pattern"),
        ] {
            let error = read(&value).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(
            read(&json!({"r": 2, "init_lora_weights": "gaussian", "layer_replication": null, "twist": null}))
                .is_ok()
        );
    }
}
