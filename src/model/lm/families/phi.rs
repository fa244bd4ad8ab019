//! Phi 1, 1.5 and 2.

use serde_json::json;

use super::Family;
use super::read::{activation, llama_like, rotary_share};
use crate::base::account::Fields;
use crate::model::lm::config::{Arrangement, DecoderConfig, Names, NormKind, Place};
use crate::model::lm::positions::Positions;

/// Phi 1, 1.5, 2.
pub static PHI: Family = Family {
    name: "phi2",
    summary: "Phi 1, 1.5 and 2, one norm before both branches",
    reference: "arXiv:2309.05463; transformers modeling_phi.py",
    model_types: &["phi"],
    read,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = llama_like(fields)?;
    config.activation = activation(fields, "hidden_act", "gelu_new")?;
    config.gated = false;
    config.norm = NormKind::Layer;
    config.eps = fields.or("layer_norm_eps", 1e-5)?;
    config.arrangement = Arrangement::ParallelShared;
    (config.bias_qkv, config.bias_out) = (true, true);
    (config.bias_mlp, config.bias_head) = (true, true);
    fields.only("qk_layernorm", &[json!(false)])?;
    config.positions = Positions::Rotary(rotary_share(fields, config.head_width, None, 0.5)?);
    let up = Place::Own("mlp.fc1");
    config.names = Names {
        out: "self_attn.dense",
        gate_up: [up.clone(), up],
        down: "mlp.fc2",
        norm_final: "model.final_layernorm",
        ..config.names
    };
    Ok(config)
}
