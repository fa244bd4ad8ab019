//! SmolLM3.

use super::Family;
use super::read::{attention_bias, turning_llama, windows};
use crate::base::account::Fields;
use crate::model::lm::config::DecoderConfig;

/// SmolLM3.
pub static SMOLLM3: Family = Family {
    name: "smollm3",
    summary: "SmolLM3, every fourth block without positions",
    reference: "Hugging Face, SmolLM3 (2025); transformers modeling_smollm3.py",
    model_types: &["smollm3"],
    read,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = turning_llama(fields)?;
    attention_bias(fields, &mut config)?;
    config.bias_mlp = fields.or("mlp_bias", false)?;
    config.tied = fields.or("tie_word_embeddings", true)?;
    let every: usize = fields.or("no_rope_layer_interval", 4)?;
    let turns: Option<Vec<u8>> = fields.get("no_rope_layers")?;
    let turns = turns.unwrap_or_else(|| {
        (1..=config.layers).map(|i| u8::from(every == 0 || !i.is_multiple_of(every))).collect()
    });
    if turns.len() != config.layers {
        return Err(format!("`no_rope_layers` has {} entries for {} layers", turns.len(), config.layers));
    }
    config.unturned = (0..config.layers).filter(|&i| turns[i] == 0).collect();
    let window = fields.size("sliding_window")?;
    let used = fields.or("use_sliding_window", false)?;
    config.windows = windows(fields, config.layers, window, |i| used && turns[i] != 0)?;
    Ok(config)
}
