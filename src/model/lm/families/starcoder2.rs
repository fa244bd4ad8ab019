//! StarCoder 2.

use super::Family;
use super::read::{activation, llama_like, rotary};
use crate::base::account::Fields;
use crate::model::lm::config::{DecoderConfig, Names, NormKind, Place};
use crate::model::lm::positions::Positions;

/// StarCoder 2.
pub static STARCODER2: Family = Family {
    name: "starcoder2",
    summary: "StarCoder 2, biases everywhere, a sliding window",
    reference: "arXiv:2402.19173; transformers modeling_starcoder2.py",
    model_types: &["starcoder2"],
    read,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = llama_like(fields)?;
    config.activation = activation(fields, "hidden_act", "gelu_pytorch_tanh")?;
    config.gated = false;
    config.norm = NormKind::Layer;
    config.eps = fields.or("norm_epsilon", 1e-5)?;
    let bias = fields.or("use_bias", true)?;
    (config.bias_qkv, config.bias_out, config.bias_mlp) = (bias, bias, bias);
    config.tied = fields.or("tie_word_embeddings", true)?;
    config.windows = vec![fields.size("sliding_window")?; config.layers];
    config.positions = Positions::Rotary(rotary(fields, config.head_width, None)?);
    let up = Place::Own("mlp.c_fc");
    config.names = Names { gate_up: [up.clone(), up], down: "mlp.c_proj", ..config.names };
    Ok(config)
}
