//! `config.json` of `transformers`: what its classes `CLIPConfig` and `SiglipConfig` make of the file.

use serde_json::{Value, json};

use super::config::{
    Activation, ClipConfig, Family, ImagePool, TextConfig, TextPool, TowerConfig, VisionConfig,
};
use crate::base::account::{Fields, Harmless};
use crate::base::harmless::TRANSFORMERS;

/// Defaults of a class of `transformers`, for what a file leaves out.
struct Defaults {
    hidden: usize,
    intermediate: usize,
    heads: usize,
    act: Activation,
    eps: f64,
}

const CLIP_TEXT: Defaults =
    Defaults { hidden: 512, intermediate: 2048, heads: 8, act: Activation::QuickGelu, eps: 1e-5 };
const CLIP_VISION: Defaults =
    Defaults { hidden: 768, intermediate: 3072, heads: 12, act: Activation::QuickGelu, eps: 1e-5 };
const SIGLIP: Defaults =
    Defaults { hidden: 768, intermediate: 3072, heads: 12, act: Activation::GeluTanh, eps: 1e-6 };

/// Fields of a tower that the whole model does not read.
const IN_TOWERS: &[Harmless] = &[
    Harmless {
        names: &["projection_dim"],
        reason: "of the tower alone; the whole model reads the outer one",
    },
    Harmless {
        names: &["eos_token_id", "pad_token_id"],
        reason: "read where they matter, otherwise a vocabulary's",
    },
];

/// Reads `config.json`.
pub fn read(value: &Value) -> Result<ClipConfig, String> {
    let fields = Fields::new("", value)?;
    match kind(value).as_str() {
        "clip" => clip(&fields),
        "siglip" => siglip(&fields),
        other => Err(other_kind(other)),
    }
}

/// `model_type`; files of the first releases say it by their class alone.
fn kind(value: &Value) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let class = value.get("architectures").and_then(|a| a.get(0)).and_then(Value::as_str);
    match (text("model_type"), class, text("architecture")) {
        (Some(kind), ..) => kind.to_owned(),
        (None, Some("CLIPModel"), _) => "clip".to_owned(),
        (None, Some("SiglipModel"), _) => "siglip".to_owned(),
        (None, Some(other), _) => other.to_owned(),
        (None, None, Some(timm)) => format!("timm:{timm}"),
        (None, None, None) => {
            let towers = ["text_config", "vision_config", "text_config_dict", "vision_config_dict"];
            if towers.iter().any(|k| value.get(k).is_some()) { "clip" } else { "" }.to_owned()
        }
    }
}

fn other_kind(kind: &str) -> String {
    let known = "whole CLIP and SigLIP models (`clip`, `siglip`) are";
    match kind {
        "" => format!("says no `model_type`; {known} supported"),
        "clip_vision_model" | "siglip_vision_model" | "clip_text_model" | "siglip_text_model" => format!(
            "is one tower alone (`{kind}`); give the whole model, or name the one it belongs to with `base`"
        ),
        "siglip2" => {
            "is SigLIP 2 with variable resolution (NaFlex), which is not supported; the ones of a fixed \
                      resolution are"
                .to_owned()
        }
        _ => match kind.strip_prefix("timm:") {
            Some(model) => format!("is a `timm` model (`{model}`), which is not supported; {known}"),
            None => format!("`model_type` is `{kind}`, which is not supported; {known}"),
        },
    }
}

fn activation(fields: &Fields, default: Activation) -> Result<Activation, String> {
    let Some(name) = fields.get::<String>("hidden_act")? else { return Ok(default) };
    let found = Activation::CHOICES.iter().find(|(n, _)| *n == name);
    let known = Activation::CHOICES.map(|(n, _)| n).join(", ");
    found
        .map(|(_, a)| *a)
        .ok_or_else(|| format!("`hidden_act` is `{name}`, which is not supported ({known} are)"))
}

fn tower(fields: &Fields, d: &Defaults) -> Result<TowerConfig, String> {
    let size = |key: &str, default: usize| fields.size(key).map(|v| v.unwrap_or(default));
    Ok(TowerConfig {
        hidden_size: size("hidden_size", d.hidden)?,
        intermediate_size: size("intermediate_size", d.intermediate)?,
        num_attention_heads: size("num_attention_heads", d.heads)?,
        num_hidden_layers: size("num_hidden_layers", 12)?,
        hidden_act: activation(fields, d.act)?,
        layer_norm_eps: fields.or("layer_norm_eps", d.eps)?,
        layer_scale: false,
    })
}

/// The object of a tower. `<key>_dict`, with the defaults of what it leaves out, wins over `<key>`, as
/// `CLIPConfig` reads files from before `transformers` 4.24.
fn section(fields: &Fields, key: &str) -> Result<Fields, String> {
    let newer = fields.section(key)?;
    let older = fields.section(&format!("{key}_dict"))?;
    match older.or(newer) {
        Some(section) => Ok(section),
        None => Fields::new(key, &json!({})),
    }
}

/// Ends the account of a tower.
fn finish(fields: &Fields) -> Result<(), String> {
    fields.only("pruned_heads", &[json!({})])?;
    fields.only("add_cross_attention", &[json!(false)])?;
    fields.only("num_channels", &[json!(3)])?;
    fields.finish(&[TRANSFORMERS, IN_TOWERS])
}

fn image_and_patch(fields: &Fields, patch: usize) -> Result<(usize, usize), String> {
    Ok((fields.size("image_size")?.unwrap_or(224), fields.size("patch_size")?.unwrap_or(patch)))
}

fn clip(fields: &Fields) -> Result<ClipConfig, String> {
    let (text, vision) = (section(fields, "text_config")?, section(fields, "vision_config")?);
    let eos: u32 = text.or("eos_token_id", 49_407)?;
    let (image_size, patch_size) = image_and_patch(&vision, 32)?;
    let config = ClipConfig {
        family: Family::Clip,
        projection_dim: fields.size("projection_dim")?.unwrap_or(512),
        logit_bias: false,
        logit_scale_init_value: fields.or("logit_scale_init_value", 2.6592)?,
        text_config: TextConfig {
            tower: tower(&text, &CLIP_TEXT)?,
            vocab_size: text.size("vocab_size")?.unwrap_or(49_408),
            max_position_embeddings: text.size("max_position_embeddings")?.unwrap_or(77),
            // 2 stands in the first configurations, where the largest id marks the end.
            pool: if eos == 2 { TextPool::LargestId } else { TextPool::Token(eos) },
            causal: true,
            projection_bias: false,
            pad_token_id: None,
            strip_end: false,
        },
        vision_config: VisionConfig {
            tower: tower(&vision, &CLIP_VISION)?,
            image_size,
            patch_size,
            pool: ImagePool::ClassToken,
            norm_before: true,
            norm_after_pool: false,
        },
    };
    finish(&text)?;
    finish(&vision)?;
    fields.finish(&[TRANSFORMERS])?;
    Ok(config)
}

fn siglip(fields: &Fields) -> Result<ClipConfig, String> {
    let (text, vision) = (section(fields, "text_config")?, section(fields, "vision_config")?);
    vision.only("vision_use_head", &[json!(true)])?;
    let (image_size, patch_size) = image_and_patch(&vision, 16)?;
    let text_tower = tower(&text, &SIGLIP)?;
    let config = ClipConfig {
        family: Family::Siglip,
        projection_dim: text.size("projection_size")?.unwrap_or(text_tower.hidden_size),
        logit_bias: true,
        logit_scale_init_value: 1.0,
        text_config: TextConfig {
            tower: text_tower,
            vocab_size: text.size("vocab_size")?.unwrap_or(32_000),
            max_position_embeddings: text.size("max_position_embeddings")?.unwrap_or(64),
            pool: TextPool::Last,
            causal: false,
            projection_bias: true,
            pad_token_id: text.get("pad_token_id")?,
            strip_end: false,
        },
        vision_config: VisionConfig {
            tower: tower(&vision, &SIGLIP)?,
            image_size,
            patch_size,
            pool: ImagePool::Attention,
            norm_before: false,
            norm_after_pool: false,
        },
    };
    finish(&text)?;
    finish(&vision)?;
    fields.finish(&[TRANSFORMERS])?;
    Ok(config)
}

/// `config.json` of a plain CLIP, as `transformers` writes it; an error for what it cannot say.
pub fn write(config: &ClipConfig) -> Result<Value, String> {
    let (text, vision) = (&config.text_config, &config.vision_config);
    let plain = config.family == Family::Clip
        && text.causal
        && !text.projection_bias
        && !config.logit_bias
        && vision.pool == ImagePool::ClassToken
        && vision.norm_before
        && !vision.norm_after_pool
        && ![&text.tower, &vision.tower].iter().any(|t| t.layer_scale);
    let eos = match text.pool {
        TextPool::LargestId => 2,
        TextPool::Token(id) => id,
        TextPool::First | TextPool::Last => {
            return Err("pools texts in a way that `config.json` cannot say".to_owned());
        }
    };
    if !plain {
        return Err("is no plain CLIP, which alone `config.json` can describe".to_owned());
    }
    let tower = |t: &TowerConfig| {
        json!({
            "hidden_size": t.hidden_size, "intermediate_size": t.intermediate_size,
            "num_attention_heads": t.num_attention_heads, "num_hidden_layers": t.num_hidden_layers,
            "hidden_act": t.hidden_act, "layer_norm_eps": t.layer_norm_eps,
        })
    };
    let with = |mut object: Value, more: &[(&str, Value)]| {
        for (key, value) in more {
            object[*key] = value.clone();
        }
        object
    };
    Ok(json!({
        "model_type": "clip",
        "projection_dim": config.projection_dim,
        "logit_scale_init_value": config.logit_scale_init_value,
        "text_config": with(tower(&text.tower), &[
            ("vocab_size", json!(text.vocab_size)),
            ("max_position_embeddings", json!(text.max_position_embeddings)),
            ("eos_token_id", json!(eos)),
        ]),
        "vision_config": with(tower(&vision.tower), &[
            ("image_size", json!(vision.image_size)),
            ("patch_size", json!(vision.patch_size)),
        ]),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_equals_the_defaults_may_be_missing() {
        // openai/clip-vit-base-patch32 as transformers 4.x saves it: nothing but the kind.
        let config =
            read(&json!({"model_type": "clip", "text_config": {"model_type": "clip_text_model"}})).unwrap();
        let (t, v) = (&config.text_config, &config.vision_config);
        assert_eq!(
            (t.tower.hidden_size, t.tower.intermediate_size, t.tower.num_attention_heads),
            (512, 2048, 8)
        );
        assert_eq!(
            (v.tower.hidden_size, v.patch_size, v.image_size, config.projection_dim),
            (768, 32, 224, 512)
        );
        assert_eq!((t.pool, t.tower.hidden_act), (TextPool::Token(49_407), Activation::QuickGelu));
        assert_eq!(read(&write(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn the_older_sections_win_with_their_defaults() {
        let config = read(&json!({
            "model_type": "clip",
            "text_config": {"hidden_size": 8, "num_hidden_layers": 3}, "text_config_dict": {"hidden_size": 16},
        }));
        let text = config.unwrap().text_config.tower;
        assert_eq!((text.hidden_size, text.num_hidden_layers), (16, 12));
    }

    #[test]
    fn every_key_is_accounted_for() {
        let error = |value: Value| read(&value).unwrap_err();
        let twist = error(json!({"model_type": "clip", "vision_config": {"twist": 1}}));
        assert!(twist.contains("`twist` in `vision_config`"), "{twist}");
        assert!(
            error(json!({"model_type": "clip", "text_config": {"hidden_act": "gelu_new"}}))
                .contains("gelu_new")
        );
        assert!(
            error(json!({"model_type": "clip", "vision_config": {"num_channels": 4}}))
                .contains("num_channels")
        );
        assert!(
            error(json!({"model_type": "clip", "text_config": {"pruned_heads": {"0": [1]}}}))
                .contains("pruned")
        );
        assert!(error(json!({"architecture": "vit_base", "num_classes": 7})).contains("timm"));
        assert!(error(json!({"model_type": "clip_vision_model"})).contains("one tower alone"));
        assert!(error(json!({"model_type": "siglip2"})).contains("NaFlex"));
        assert!(
            error(json!({"model_type": "clip", "projection_dim": 1u64 << 62})).contains("projection_dim")
        );
    }
}
