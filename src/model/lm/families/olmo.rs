//! OLMo 1 and 2.

use super::Family;
use super::read::{attention_bias, turning_llama};
use crate::base::account::Fields;
use crate::model::lm::config::{Arrangement, DecoderConfig, HeadNorm, Names, NormKind};

/// OLMo 1.
pub static OLMO: Family = Family {
    name: "olmo",
    summary: "OLMo 1, norms without weights",
    reference: "arXiv:2402.00838; transformers modeling_olmo.py",
    model_types: &["olmo"],
    read: read_olmo,
};

/// OLMo 2.
pub static OLMO2: Family = Family {
    name: "olmo2",
    summary: "OLMo 2, norms on each branch's result and on all queries and keys",
    reference: "arXiv:2501.00656; transformers modeling_olmo2.py",
    model_types: &["olmo2"],
    read: read_olmo2,
};

fn read_common(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = turning_llama(fields)?;
    attention_bias(fields, &mut config)?;
    Ok(config)
}

fn read_olmo(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_common(fields)?;
    config.norm = NormKind::LayerPlain;
    // Fixed in the reference.
    config.eps = 1e-5;
    config.clip_qkv = fields.get("clip_qkv")?;
    Ok(config)
}

fn read_olmo2(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_common(fields)?;
    config.eps = fields.or("rms_norm_eps", 1e-5)?;
    config.arrangement = Arrangement::Results;
    config.norm_heads = HeadNorm::Whole;
    config.names = Names {
        norm_attention_out: "post_attention_layernorm",
        norm_mlp_out: "post_feedforward_layernorm",
        ..config.names
    };
    Ok(config)
}
