//! Phi 3 and 3.5 (mini, medium), Phi 4 mini: joint projections.

use serde_json::{Value, json};

use super::Family;
use super::read::{activation, llama_like, rotary};
use crate::base::account::Fields;
use crate::model::lm::config::{DecoderConfig, Names, Place};
use crate::model::lm::positions::Positions;

/// Phi 3.
pub static PHI3: Family = Family {
    name: "phi3",
    summary: "Phi 3, Phi 4 mini, joint projections; texts as long as the first training's",
    reference: "arXiv:2404.14219; transformers modeling_phi3.py",
    model_types: &["phi3"],
    read,
};

const QKV: Place = Place::Joint("self_attn.qkv_proj");
const GATE_UP: Place = Place::Joint("mlp.gate_up_proj");

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = llama_like(fields)?;
    config.activation = activation(fields, "hidden_act", "silu")?;
    config.eps = fields.or("rms_norm_eps", 1e-5)?;
    for key in ["attention_bias", "mlp_bias", "lm_head_bias"] {
        fields.only(key, &[json!(false), Value::Null])?;
    }
    // Of the code that came with Phi 4 mini; these values change nothing.
    fields.only("full_attn_mod", &[json!(1)])?;
    fields.only("interpolate_factor", &[json!(1)])?;
    // The length before stretching, which also stands there where nothing is stretched.
    fields.value("original_max_position_embeddings");
    config.positions = Positions::Rotary(rotary(fields, config.head_width, None)?);
    config.windows = vec![fields.size("sliding_window")?; config.layers];
    config.names = Names { qkv: [QKV, QKV, QKV], gate_up: [GATE_UP, GATE_UP], ..config.names };
    Ok(config)
}
