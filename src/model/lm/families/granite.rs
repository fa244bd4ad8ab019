//! Granite 3 (dense).

use super::Family;
use super::read::{attention_bias, turning_llama};
use crate::base::account::Fields;
use crate::model::lm::config::{DecoderConfig, Scales};

/// Granite 3.
pub static GRANITE: Family = Family {
    name: "granite",
    summary: "Granite 3 (dense), factors on embedding, scores, branches and logits",
    reference: "arXiv:2408.13359; transformers modeling_granite.py",
    model_types: &["granite"],
    read,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = turning_llama(fields)?;
    attention_bias(fields, &mut config)?;
    config.bias_mlp = fields.or("mlp_bias", false)?;
    config.scale = fields.or("attention_multiplier", 1.0)?;
    config.scales = Scales {
        embedding: fields.get("embedding_multiplier")?,
        branch: fields.get("residual_multiplier")?,
        logits: fields.get("logits_scaling")?,
    };
    Ok(config)
}
