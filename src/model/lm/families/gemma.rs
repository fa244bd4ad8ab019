//! Gemma 1, 2 and 3 (text).

use serde_json::json;

use super::Family;
use super::read::{activation, attention_bias, llama_like, rotary, windows};
use crate::base::account::Fields;
use crate::model::lm::config::{Activation, Arrangement, DecoderConfig, HeadNorm, Names, NormKind};
use crate::model::lm::positions::{Positions, Rotary, Stretch};

/// Gemma 1.
pub static GEMMA: Family = Family {
    name: "gemma",
    summary: "Gemma 1, norms with one added",
    reference: "arXiv:2403.08295; transformers modeling_gemma.py",
    model_types: &["gemma"],
    read: read_gemma,
};

/// Gemma 2.
pub static GEMMA2: Family = Family {
    name: "gemma2",
    summary: "Gemma 2, caps on scores and logits, every other layer with a window",
    reference: "arXiv:2408.00118; transformers modeling_gemma2.py",
    model_types: &["gemma2"],
    read: read_gemma2,
};

/// Gemma 3, text alone.
pub static GEMMA3: Family = Family {
    name: "gemma3",
    summary: "Gemma 3 (text), five layers with a window to one without",
    reference: "arXiv:2503.19786; transformers modeling_gemma3.py",
    model_types: &["gemma3_text"],
    read: read_gemma3,
};

fn read_shared(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = llama_like(fields)?;
    config.norm = NormKind::RmsPlusOne;
    config.tied = fields.or("tie_word_embeddings", true)?;
    config.scales.embedding = Some((config.width as f64).sqrt());
    attention_bias(fields, &mut config)?;
    Ok(config)
}

fn read_gemma(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_shared(fields)?;
    let said: Option<String> = fields.get("hidden_activation")?;
    let key = if said.is_some() { "hidden_activation" } else { "hidden_act" };
    config.activation = activation(fields, key, "gelu_pytorch_tanh")?;
    if said.is_none() && config.activation == Activation::Gelu {
        return Err(
            "`hidden_act` is `gelu`, which transformers 4 takes for `gelu_pytorch_tanh` and 5 as it stands; \
                    say which is meant with `hidden_activation`"
                .to_owned(),
        );
    }
    fields.value("hidden_act");
    config.positions = Positions::Rotary(rotary(fields, config.head_width, None)?);
    Ok(config)
}

fn read_common(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_shared(fields)?;
    config.activation = activation(fields, "hidden_activation", "gelu_pytorch_tanh")?;
    // A relic that the model does not follow (transformers: `hidden_activation` counts).
    fields.value("hidden_act");
    config.arrangement = Arrangement::Both;
    config.scale = fields.or("query_pre_attn_scalar", 256.0f64)?.powf(-0.5);
    config.cap_scores = fields.get("attn_logit_softcapping")?;
    config.cap_logits = fields.get("final_logit_softcapping")?;
    config.names = Names {
        norm_attention_out: "post_attention_layernorm",
        norm_mlp: "pre_feedforward_layernorm",
        norm_mlp_out: "post_feedforward_layernorm",
        ..config.names
    };
    Ok(config)
}

fn read_gemma2(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_common(fields)?;
    fields.only("cache_implementation", &[json!("hybrid")])?;
    config.positions = Positions::Rotary(rotary(fields, config.head_width, None)?);
    config.windows = windows(fields, config.layers, fields.size("sliding_window")?, |i| i % 2 == 0)?;
    Ok(config)
}

fn read_gemma3(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_common(fields)?;
    fields.only("cache_implementation", &[json!("hybrid")])?;
    config.norm_heads = HeadNorm::Each;
    let turns = |layers| rotary(fields, config.head_width, Some(layers));
    let (positions, local) = if fields.has("rope_parameters") {
        (turns("full_attention")?, turns("sliding_attention")?)
    } else {
        let theta: f64 = fields.need("rope_local_base_freq")?;
        let local = Rotary { theta, dims: config.head_width, stretch: Stretch::None, scale: 1.0 };
        (turns("full_attention")?, local)
    };
    let every: usize = match fields.get("_sliding_window_pattern")? {
        Some(every) => every,
        None => fields.or("sliding_window_pattern", 6)?,
    };
    let rule = |i: usize| every > 0 && !(i + 1).is_multiple_of(every);
    config.windows = windows(fields, config.layers, fields.size("sliding_window")?, rule)?;
    (config.positions, config.local) = (Positions::Rotary(positions), Some(local));
    Ok(config)
}
