//! Llama and Mistral.

use super::Family;
use super::read::{attention_bias, turning_llama};
use crate::base::account::Fields;
use crate::model::lm::config::DecoderConfig;

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
    let mut config = turning_llama(fields)?;
    attention_bias(fields, &mut config)?;
    config.bias_mlp = fields.or("mlp_bias", false)?;
    Ok(config)
}

fn read_mistral(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = turning_llama(fields)?;
    config.windows = vec![fields.size("sliding_window")?; config.layers];
    Ok(config)
}
