//! GPT-NeoX and Pythia.

use super::Family;
use super::read::{activation, need_size, rotary};
use crate::base::account::Fields;
use crate::model::lm::config::{Arrangement, DecoderConfig, HeadNorm, Names, NormKind, Place, Scales};
use crate::model::lm::positions::{Positions, Rotary, Stretch};

/// GPT-NeoX.
pub static GPT_NEOX: Family = Family {
    name: "gpt-neox",
    summary: "GPT-NeoX and Pythia, both branches in parallel",
    reference: "arXiv:2204.06745, arXiv:2304.01373; transformers modeling_gpt_neox.py",
    model_types: &["gpt_neox"],
    read,
};

const QKV: Place = Place::ByHead("attention.query_key_value");

const NAMES: Names = Names {
    embedding: "gpt_neox.embed_in",
    positions: "",
    project: ("", ""),
    layers: "gpt_neox.layers.",
    qkv: [QKV, QKV, QKV],
    out: "attention.dense",
    gate_up: [Place::Own("mlp.dense_h_to_4h"), Place::Own("mlp.dense_h_to_4h")],
    down: "mlp.dense_4h_to_h",
    norm_attention: "input_layernorm",
    norm_attention_out: "",
    norm_mlp: "post_attention_layernorm",
    norm_mlp_out: "",
    norm_final: "gpt_neox.final_layer_norm",
    head: "embed_out",
    transposed: false,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    let (width, heads) = (need_size(fields, "hidden_size")?, need_size(fields, "num_attention_heads")?);
    let layers = need_size(fields, "num_hidden_layers")?;
    let head_width = width / heads;
    let positions = if fields.has("rope_parameters") {
        rotary(fields, head_width, None)?
    } else {
        let theta: f64 = match fields.get("rotary_emb_base")? {
            Some(theta) => theta,
            None => fields.need("rope_theta")?,
        };
        let share: f64 = fields.or("rotary_pct", 0.25)?;
        Rotary { theta, dims: (head_width as f64 * share) as usize, stretch: Stretch::None, scale: 1.0 }
    };
    let parallel = fields.or("use_parallel_residual", true)?;
    let bias = fields.or("attention_bias", true)?;
    Ok(DecoderConfig {
        vocab_size: need_size(fields, "vocab_size")?,
        width,
        embedding_width: width,
        layers,
        heads,
        kv_heads: heads,
        head_width,
        hidden: need_size(fields, "intermediate_size")?,
        activation: activation(fields, "hidden_act", "gelu")?,
        gated: false,
        norm: NormKind::Layer,
        eps: fields.or("layer_norm_eps", 1e-5)?,
        arrangement: if parallel { Arrangement::Parallel } else { Arrangement::Before },
        norm_heads: HeadNorm::None,
        norm_final: true,
        bias_qkv: bias,
        bias_out: bias,
        bias_mlp: true,
        bias_head: false,
        positions: Positions::Rotary(positions),
        local: None,
        unturned: Vec::new(),
        windows: vec![None; layers],
        length: need_size(fields, "max_position_embeddings")?,
        scale: (head_width as f64).powf(-0.5),
        cap_scores: None,
        cap_logits: None,
        clip_qkv: None,
        scales: Scales::default(),
        experts: None,
        tied: fields.or("tie_word_embeddings", false)?,
        names: NAMES,
    })
}
