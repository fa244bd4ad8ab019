//! Granite 3 (dense).

use super::Family;
use super::read::{activation, llama_like, rotary};
use crate::base::account::Fields;
use crate::model::lm::config::{DecoderConfig, Positions, Scales};

/// Granite 3.
pub static GRANITE: Family = Family {
    name: "granite",
    summary: "Granite 3 (dense), factors on embedding, scores, branches and logits",
    reference: "arXiv:2408.13359; transformers modeling_granite.py",
    model_types: &["granite"],
    read,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = llama_like(fields)?;
    config.activation = activation(fields, "hidden_act", "silu")?;
    config.positions = Positions::Rotary(rotary(fields, config.head_width, None)?);
    let bias = fields.or("attention_bias", false)?;
    (config.bias_qkv, config.bias_out) = (bias, bias);
    config.bias_mlp = fields.or("mlp_bias", false)?;
    config.scale = fields.or("attention_multiplier", 1.0)?;
    config.scales = Scales {
        embedding: fields.get("embedding_multiplier")?,
        branch: fields.get("residual_multiplier")?,
        logits: fields.get("logits_scaling")?,
    };
    Ok(config)
}
