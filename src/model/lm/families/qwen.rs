//! Qwen 2, 2.5 and 3.

use super::Family;
use super::read::{activation, llama_like, rotary, windows};
use crate::base::account::Fields;
use crate::model::lm::config::{DecoderConfig, HeadNorm, Positions};

/// Qwen 2 and 2.5.
pub static QWEN2: Family = Family {
    name: "qwen2",
    summary: "Qwen 2 and 2.5",
    reference: "arXiv:2412.15115; transformers modeling_qwen2.py",
    model_types: &["qwen2"],
    read: read_qwen2,
};

/// Qwen 3, dense.
pub static QWEN3: Family = Family {
    name: "qwen3",
    summary: "Qwen 3 (dense), norms on each head's queries and keys",
    reference: "arXiv:2505.09388; transformers modeling_qwen3.py",
    model_types: &["qwen3"],
    read: read_qwen3,
};

fn read_common(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = llama_like(fields)?;
    config.activation = activation(fields, "hidden_act", "silu")?;
    config.positions = Positions::Rotary(rotary(fields, config.head_width, None)?);
    let window = fields.size("sliding_window")?;
    let used = fields.or("use_sliding_window", false)?;
    let first = fields.or("max_window_layers", 28)?;
    config.windows = windows(fields, config.layers, window, |i| used && i >= first)?;
    Ok(config)
}

fn read_qwen2(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_common(fields)?;
    config.bias_qkv = true;
    Ok(config)
}

fn read_qwen3(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_common(fields)?;
    let bias = fields.or("attention_bias", false)?;
    (config.bias_qkv, config.bias_out) = (bias, bias);
    config.norm_heads = HeadNorm::Each;
    Ok(config)
}
