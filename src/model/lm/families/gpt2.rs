//! GPT-2.

use serde_json::json;

use super::Family;
use super::read::{activation, need_size};
use crate::base::account::Fields;
use crate::model::lm::config::{Arrangement, DecoderConfig, HeadNorm, Names, NormKind, Place, Scales};
use crate::model::lm::positions::Positions;

/// GPT-2.
pub static GPT2: Family = Family {
    name: "gpt2",
    summary: "GPT-2, learned positions, projections stored the other way round",
    reference: "Radford et al. 2019; transformers modeling_gpt2.py",
    model_types: &["gpt2"],
    read,
};

const QKV: Place = Place::Joint("attn.c_attn");

const NAMES: Names = Names {
    embedding: "transformer.wte",
    positions: "transformer.wpe",
    project: ("", ""),
    layers: "transformer.h.",
    qkv: [QKV, QKV, QKV],
    out: "attn.c_proj",
    gate_up: [Place::Own("mlp.c_fc"), Place::Own("mlp.c_fc")],
    down: "mlp.c_proj",
    norm_attention: "ln_1",
    norm_attention_out: "",
    norm_mlp: "ln_2",
    norm_mlp_out: "",
    norm_final: "transformer.ln_f",
    head: "lm_head",
    transposed: true,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    let (width, heads) = (need_size(fields, "n_embd")?, need_size(fields, "n_head")?);
    let layers = need_size(fields, "n_layer")?;
    fields.only("add_cross_attention", &[json!(false)])?;
    fields.only("scale_attn_by_inverse_layer_idx", &[json!(false)])?;
    let scaled = fields.or("scale_attn_weights", true)?;
    // An older name of the number of positions.
    fields.value("n_ctx");
    Ok(DecoderConfig {
        vocab_size: need_size(fields, "vocab_size")?,
        width,
        embedding_width: width,
        layers,
        heads,
        kv_heads: heads,
        head_width: width / heads,
        hidden: fields.size("n_inner")?.unwrap_or(4 * width),
        activation: activation(fields, "activation_function", "gelu_new")?,
        gated: false,
        norm: NormKind::Layer,
        eps: fields.or("layer_norm_epsilon", 1e-5)?,
        arrangement: Arrangement::Before,
        norm_heads: HeadNorm::None,
        norm_final: true,
        bias_qkv: true,
        bias_out: true,
        bias_mlp: true,
        bias_head: false,
        positions: Positions::Learned { offset: 0 },
        local: None,
        unturned: Vec::new(),
        windows: vec![None; layers],
        length: need_size(fields, "n_positions")?,
        scale: if scaled { ((width / heads) as f64).powf(-0.5) } else { 1.0 },
        cap_scores: None,
        cap_logits: None,
        clip_qkv: None,
        scales: Scales::default(),
        experts: None,
        tied: fields.or("tie_word_embeddings", true)?,
        names: NAMES,
    })
}
