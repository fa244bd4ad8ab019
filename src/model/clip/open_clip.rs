//! `open_clip_config.json`: what open_clip 3.3 makes of the file (`CLIPVisionCfg`, `CLIPTextCfg`,
//! `PreprocessCfg`).

use serde_json::{Value, json};

use super::config::{
    Activation, ClipConfig, Family, ImagePool, TextConfig, TextPool, TowerConfig, VisionConfig,
};
use crate::base::account::{Fields, Harmless};
use crate::base::harmless::OPEN_CLIP;
use crate::image::{CropRule, Filter, Preprocessor, ResizeRule};

/// Blocks that open_clip can build and this program cannot.
const CUSTOM_BLOCKS: [&str; 6] =
    ["qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"];

/// Keys that only matter where another one, which is checked, switches them on.
const SWITCHED_OFF: &[Harmless] = &[Harmless {
    names: &["attn_pooler_*", "timm_*", "hf_model_pretrained", "hf_proj_type", "hf_pooler_type"],
    reason: "of attentional pooling, timm and Hugging Face towers, which are refused by name",
}];

/// Reads the file.
pub fn read(value: &Value) -> Result<(ClipConfig, Preprocessor), String> {
    let file = Fields::new("", value)?;
    let model = file.section("model_cfg")?.ok_or("`model_cfg` is missing")?;
    let preprocess = match file.section("preprocess_cfg")? {
        Some(section) => section,
        None => Fields::new("preprocess_cfg", &json!({}))?,
    };
    let config = model_config(&model)?;
    let size = config.vision_config.image_size;
    let preprocessor = preprocessor(&preprocess, size)?;
    file.finish(&[])?;
    Ok((config, preprocessor))
}

fn model_config(model: &Fields) -> Result<ClipConfig, String> {
    let section = |key: &str| model.section(key)?.ok_or_else(|| format!("`model_cfg.{key}` is missing"));
    let (vision, text) = (section("vision_cfg")?, section("text_cfg")?);
    kind(&vision, &text)?;
    if model.has("multimodal_cfg") {
        return Err("is a CoCa (`multimodal_cfg`), which is not supported; plain CLIP models are".to_owned());
    }
    let quick: bool = model.or("quick_gelu", false)?;
    let logit_bias = model.get::<f64>("init_logit_bias")?.is_some();
    let _custom_text: bool = model.or("custom_text", false)?;
    let config = ClipConfig {
        family: Family::Clip,
        projection_dim: model.size("embed_dim")?.ok_or("`model_cfg.embed_dim` is missing")?,
        logit_bias,
        logit_scale_init_value: (1.0f64 / 0.07).ln(),
        text_config: text_config(&text, quick)?,
        vision_config: vision_config(&vision, quick)?,
    };
    text.finish(&[OPEN_CLIP, SWITCHED_OFF])?;
    vision.finish(&[OPEN_CLIP, SWITCHED_OFF])?;
    model.finish(&[OPEN_CLIP])?;
    Ok(config)
}

/// Refuses other kinds of towers before their fields are looked at.
fn kind(vision: &Fields, text: &Fields) -> Result<(), String> {
    let plain = "plain CLIP transformers are supported";
    if let Some(name) = vision.get::<String>("timm_model_name")?.filter(|n| !n.is_empty()) {
        return Err(format!("its image tower is `{name}` of timm; {plain}"));
    }
    if let Some(name) = text.get::<String>("hf_model_name")?.filter(|n| !n.is_empty()) {
        return Err(format!("its text tower is `{name}` of Hugging Face; {plain}"));
    }
    if vision.value("layers").is_some_and(Value::is_array) {
        return Err(format!("its image tower is a ResNet (`layers` is a list, as in RN50); {plain}"));
    }
    Ok(())
}

fn tower(
    fields: &Fields,
    quick: bool,
    layers: usize,
    width: usize,
    heads: Option<usize>,
) -> Result<TowerConfig, String> {
    for key in CUSTOM_BLOCKS {
        fields.only(key, &[json!(false)])?;
    }
    fields.only("block_type", &[json!("default")])?;
    let ratio: f64 = fields.or("mlp_ratio", 4.0)?;
    let hidden_size = fields.size("width")?.unwrap_or(width);
    let heads = match heads {
        Some(default) => fields.size("heads")?.unwrap_or(default),
        None => hidden_size / fields.size("head_width")?.unwrap_or(64),
    };
    let mut hidden_act = if quick { Activation::QuickGelu } else { Activation::Gelu };
    if let Some(act) = fields.section("act_kwargs")? {
        match act.get::<String>("approximate")?.as_deref() {
            Some("tanh") if !quick => hidden_act = Activation::GeluTanh,
            None | Some("none") => {}
            Some(other) => {
                return Err(format!("`act_kwargs.approximate` is `{other}`, which is not supported here"));
            }
        }
        act.finish(&[])?;
    }
    let mut layer_norm_eps = 1e-5;
    if let Some(norm) = fields.section("norm_kwargs")? {
        layer_norm_eps = norm.or("eps", layer_norm_eps)?;
        norm.only("elementwise_affine", &[json!(true)])?;
        norm.only("bias", &[json!(true)])?;
        norm.finish(&[])?;
    }
    let intermediate_size = (hidden_size as f64 * ratio) as usize;
    if intermediate_size == 0 || !ratio.is_finite() {
        return Err(format!("`mlp_ratio` is {ratio}"));
    }
    Ok(TowerConfig {
        hidden_size,
        intermediate_size,
        num_attention_heads: heads,
        num_hidden_layers: fields.size("layers")?.unwrap_or(layers),
        hidden_act,
        layer_norm_eps,
        layer_scale: fields.get::<f64>("ls_init_value")?.is_some(),
    })
}

fn vision_config(fields: &Fields, quick: bool) -> Result<VisionConfig, String> {
    fields.only("attentional_pool", &[json!(false)])?;
    // A fixed sine embedding is stored among the weights like a learned one.
    fields.only("pos_embed_type", &[json!("learnable"), json!("sin_cos_2d")])?;
    let pool = match fields.or("pool_type", "tok".to_owned())?.as_str() {
        "tok" => ImagePool::ClassToken,
        "avg" => ImagePool::Mean,
        other => {
            return Err(format!(
                "`vision_cfg.pool_type` is `{other}`, which is not supported (tok and avg are)"
            ));
        }
    };
    let side = |key: &str, default: usize| match fields.value(key) {
        // [side, side]
        Some(Value::Array(both)) if both.len() == 2 && both[0] == both[1] => {
            let side = both[0].as_u64().filter(|n| (1..=1 << 13).contains(n));
            side.map(|n| n as usize).ok_or_else(|| format!("`vision_cfg.{key}` is {both:?}"))
        }
        Some(Value::Array(both)) => {
            Err(format!("`vision_cfg.{key}` is {both:?}; only squares are supported"))
        }
        _ => Ok(fields.size(key)?.unwrap_or(default)),
    };
    Ok(VisionConfig {
        image_size: side("image_size", 224)?,
        patch_size: side("patch_size", 16)?,
        pool,
        norm_before: !fields.or("no_ln_pre", false)?,
        norm_after_pool: fields.or("final_ln_after_pool", false)?,
        tower: tower(fields, quick, 12, 768, None)?,
    })
}

fn text_config(fields: &Fields, quick: bool) -> Result<TextConfig, String> {
    fields.only("embed_cls", &[json!(false)])?;
    fields.only("proj_type", &[json!("linear")])?;
    // The pooled token is the same whether the norm comes before or after; open_clip does not read it.
    let _norm_after_pool: bool = fields.or("final_ln_after_pool", false)?;
    fields.only("tokenizer_mode", &[json!("")])?;
    let mut strip_end = false;
    if let Some(tokenizer) = fields.section("tokenizer_kwargs")? {
        strip_end = tokenizer.or("strip_sep_token", false)?;
        tokenizer.only("clean", &[json!("whitespace")])?;
        tokenizer.finish(&[])?;
    }
    let eos: u32 = fields.or("eos_id", 2)?;
    let pad: u32 = fields.or("pad_id", 0)?;
    let pool = match fields.or("pool_type", "argmax".to_owned())?.as_str() {
        "argmax" => TextPool::LargestId,
        "eos" => TextPool::Token(eos),
        "first" => TextPool::First,
        "last" => TextPool::Last,
        other => return Err(format!("`text_cfg.pool_type` is `{other}`, which is not supported")),
    };
    let foreign = fields.get::<String>("hf_tokenizer_name")?.is_some();
    Ok(TextConfig {
        tower: tower(fields, quick, 12, 512, Some(8))?,
        vocab_size: fields.size("vocab_size")?.unwrap_or(49_408),
        max_position_embeddings: fields.size("context_length")?.unwrap_or(77),
        pool,
        causal: !fields.or("no_causal_mask", false)?,
        projection_bias: fields.or("proj_bias", false)?,
        // A tokenizer of Hugging Face fills up with its own token.
        pad_token_id: (!foreign).then_some(pad),
        strip_end,
    })
}

/// `image_transform` of open_clip for evaluation, which is torchvision's.
fn preprocessor(p: &Fields, image_size: usize) -> Result<Preprocessor, String> {
    p.only("mode", &[json!("RGB")])?;
    let size = match p.value("size") {
        Some(Value::Array(both)) if both.len() == 2 && both[0] == both[1] => {
            both[0].as_u64().unwrap_or(0) as usize
        }
        Some(Value::Array(both)) => {
            return Err(format!("`preprocess_cfg.size` is {both:?}; only squares are supported"));
        }
        _ => p.size("size")?.unwrap_or(image_size),
    };
    if size != image_size {
        return Err(format!("`preprocess_cfg.size` is {size}, the model reads {image_size}"));
    }
    let plain = Preprocessor::clip(size);
    let filter = match p.get::<String>("interpolation")?.as_deref() {
        None | Some("bicubic" | "random") => Filter::Bicubic,
        Some("bilinear") => Filter::Bilinear,
        Some(other) => return Err(format!("interpolation `{other}` is not supported")),
    };
    let (resize, crop) = match p.get::<String>("resize_mode")?.as_deref() {
        None | Some("shortest") => (ResizeRule::ShortestEdge(size), Some((size, size, CropRule::HalfEven))),
        Some("squash") => (ResizeRule::Exact(size, size), None),
        Some(other) => return Err(format!("resize_mode `{other}` is not supported")),
    };
    let preprocessor = Preprocessor {
        resize: Some((resize, filter)),
        crop,
        mean: p.or("mean", plain.mean)?,
        std: p.or("std", plain.std)?,
        ..plain
    };
    p.finish(&[OPEN_CLIP])?;
    Ok(preprocessor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(vision: &Value, text: &Value) -> String {
        read(&json!({"model_cfg": {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}})).unwrap_err()
    }

    #[test]
    fn other_towers_and_unknown_keys_are_refused_by_name() {
        let none = json!({});
        assert!(error(&json!({"layers": [3, 4, 6, 3], "width": 64}), &none).contains("ResNet"));
        assert!(error(&json!({"timm_model_name": "vit_x"}), &none).contains("`vit_x` of timm"));
        assert!(error(&none, &json!({"hf_model_name": "roberta"})).contains("`roberta` of Hugging Face"));
        assert!(error(&json!({"attentional_pool": true}), &none).contains("attentional_pool"));
        assert!(error(&json!({"twist": 2}), &none).contains("`twist` in `model_cfg.vision_cfg`"));
        assert!(error(&json!({"qk_norm": true}), &none).contains("qk_norm"));
        assert!(error(&none, &json!({"embed_cls": true})).contains("embed_cls"));
        assert!(error(&none, &json!({"norm_kwargs": {"bias": false}})).contains("norm_kwargs.bias"));
    }

    #[test]
    fn what_built_in_configurations_say_is_read() {
        let (config, _) = read(&json!({"model_cfg": {
            "embed_dim": 512,
            "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 16, "no_ln_pre": true,
                "pool_type": "avg", "final_ln_after_pool": true},
            "text_cfg": {"context_length": 32, "vocab_size": 32000, "hf_tokenizer_name": "bert-base-uncased",
                "tokenizer_kwargs": {"strip_sep_token": true}, "width": 512, "heads": 8, "layers": 12,
                "pool_type": "last", "no_causal_mask": true},
        }}))
        .unwrap();
        let (t, v) = (&config.text_config, &config.vision_config);
        assert_eq!((v.pool, v.norm_before, v.norm_after_pool), (ImagePool::Mean, false, true));
        assert_eq!((t.pool, t.causal, t.strip_end, t.pad_token_id), (TextPool::Last, false, true, None));
    }
}
