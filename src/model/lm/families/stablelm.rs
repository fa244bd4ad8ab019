//! StableLM (3B, 2).

use serde_json::json;

use super::Family;
use super::read::{activation, llama_like, rotary_share};
use crate::base::account::Fields;
use crate::model::lm::config::{Arrangement, DecoderConfig, NormKind};
use crate::model::lm::positions::Positions;

/// StableLM.
pub static STABLELM: Family = Family {
    name: "stablelm",
    summary: "StableLM, a quarter of each head turns",
    reference: "arXiv:2402.17834; transformers modeling_stablelm.py",
    model_types: &["stablelm"],
    read,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = llama_like(fields)?;
    config.activation = activation(fields, "hidden_act", "silu")?;
    config.norm = NormKind::Layer;
    config.eps = fields.or("layer_norm_eps", 1e-5)?;
    config.bias_qkv = fields.or("use_qkv_bias", false)?;
    // Norms with weights of their own for each head.
    fields.only("qk_layernorm", &[json!(false)])?;
    if fields.or("use_parallel_residual", false)? {
        config.arrangement = Arrangement::ParallelShared;
    }
    config.positions = Positions::Rotary(rotary_share(fields, config.head_width, None, 0.25)?);
    Ok(config)
}
