//! Llama and Mistral.

use super::Family;
use super::read::{activation, llama_like, rotary};
use crate::base::account::Fields;
use crate::model::lm::config::{DecoderConfig, Positions};

/// Llama 1 to 3.3, SmolLM, TinyLlama and others of its shape.
pub static LLAMA: Family = Family {
    name: "llama",
    summary: "Llama and what has its shape (SmolLM, TinyLlama)",
    reference: "arXiv:2407.21783; transformers modeling_llama.py",
    model_types: &["llama"],
    read: read_llama,
};

/// Mistral 7B.
pub static MISTRAL: Family = Family {
    name: "mistral",
    summary: "Mistral, with its sliding window",
    reference: "arXiv:2310.06825; transformers modeling_mistral.py",
    model_types: &["mistral"],
    read: read_mistral,
};

fn read_llama(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = llama_like(fields)?;
    config.activation = activation(fields, "hidden_act", "silu")?;
    config.positions = Positions::Rotary(rotary(fields, config.head_width, None)?);
    let bias = fields.or("attention_bias", false)?;
    (config.bias_qkv, config.bias_out) = (bias, bias);
    config.bias_mlp = fields.or("mlp_bias", false)?;
    Ok(config)
}

fn read_mistral(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = llama_like(fields)?;
    config.activation = activation(fields, "hidden_act", "silu")?;
    config.positions = Positions::Rotary(rotary(fields, config.head_width, None)?);
    config.windows = vec![fields.size("sliding_window")?; config.layers];
    Ok(config)
}
