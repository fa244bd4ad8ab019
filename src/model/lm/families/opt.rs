//! OPT, and Galactica, which is one.

use super::Family;
use super::read::{activation, need_size};
use crate::base::account::Fields;
use crate::model::lm::config::{Arrangement, DecoderConfig, HeadNorm, Names, NormKind, Place, Scales};
use crate::model::lm::positions::Positions;

/// OPT.
pub static OPT: Family = Family {
    name: "opt",
    summary: "OPT and Galactica, learned positions",
    reference: "arXiv:2205.01068, arXiv:2211.09085; transformers modeling_opt.py",
    model_types: &["opt"],
    read,
};

const NAMES: Names = Names {
    embedding: "model.decoder.embed_tokens",
    positions: "model.decoder.embed_positions",
    project: ("model.decoder.project_in", "model.decoder.project_out"),
    layers: "model.decoder.layers.",
    qkv: [Place::Own("self_attn.q_proj"), Place::Own("self_attn.k_proj"), Place::Own("self_attn.v_proj")],
    out: "self_attn.out_proj",
    gate_up: [Place::Own("fc1"), Place::Own("fc1")],
    down: "fc2",
    norm_attention: "self_attn_layer_norm",
    norm_attention_out: "",
    norm_mlp: "final_layer_norm",
    norm_mlp_out: "",
    norm_final: "model.decoder.final_layer_norm",
    head: "lm_head",
    transposed: false,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    let (width, heads) = (need_size(fields, "hidden_size")?, need_size(fields, "num_attention_heads")?);
    let layers = need_size(fields, "num_hidden_layers")?;
    let before = fields.or("do_layer_norm_before", true)?;
    let bias = fields.or("enable_bias", true)?;
    let affine = fields.or("layer_norm_elementwise_affine", true)?;
    let removed = fields.or("_remove_final_layer_norm", false)?;
    Ok(DecoderConfig {
        vocab_size: need_size(fields, "vocab_size")?,
        width,
        embedding_width: fields.size("word_embed_proj_dim")?.unwrap_or(width),
        layers,
        heads,
        kv_heads: heads,
        head_width: width / heads,
        hidden: need_size(fields, "ffn_dim")?,
        activation: activation(fields, "activation_function", "relu")?,
        gated: false,
        norm: if affine { NormKind::Layer } else { NormKind::LayerPlain },
        eps: 1e-5,
        arrangement: if before { Arrangement::Before } else { Arrangement::After },
        norm_heads: HeadNorm::None,
        norm_final: before && !removed,
        bias_qkv: bias,
        bias_out: bias,
        bias_mlp: bias,
        bias_head: false,
        positions: Positions::Learned { offset: 2 },
        local: None,
        unturned: Vec::new(),
        windows: vec![None; layers],
        length: need_size(fields, "max_position_embeddings")?,
        scale: ((width / heads) as f64).powf(-0.5),
        cap_scores: None,
        cap_logits: None,
        clip_qkv: None,
        scales: Scales::default(),
        experts: None,
        tied: fields.or("tie_word_embeddings", true)?,
        names: NAMES,
    })
}
