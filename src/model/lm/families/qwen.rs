//! Qwen 2, 2.5 and 3.

use super::Family;
use super::read::{attention_bias, late_windows, turning_llama};
use crate::base::account::Fields;
use crate::model::lm::config::{DecoderConfig, HeadNorm};

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
    let mut config = turning_llama(fields)?;
    late_windows(fields, &mut config)?;
    Ok(config)
}

fn read_qwen2(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_common(fields)?;
    config.bias_qkv = true;
    Ok(config)
}

fn read_qwen3(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_common(fields)?;
    attention_bias(fields, &mut config)?;
    config.norm_heads = HeadNorm::Each;
    Ok(config)
}
