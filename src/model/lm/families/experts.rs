//! Mixtures of experts: Mixtral, OLMoE, Qwen 3 MoE.

use serde_json::{Value, json};

use super::Family;
use super::read::{attention_bias, late_windows, need_size, turning_llama};
use crate::base::account::Fields;
use crate::model::lm::config::{DecoderConfig, ExpertsConfig, HeadNorm};

/// Mixtral.
pub static MIXTRAL: Family = Family {
    name: "mixtral",
    summary: "Mixtral, two of eight experts a token",
    reference: "arXiv:2401.04088; transformers modeling_mixtral.py",
    model_types: &["mixtral"],
    read: read_mixtral,
};

/// OLMoE.
pub static OLMOE: Family = Family {
    name: "olmoe",
    summary: "OLMoE, eight of 64 experts a token",
    reference: "arXiv:2409.02060; transformers modeling_olmoe.py",
    model_types: &["olmoe"],
    read: read_olmoe,
};

/// Qwen 3 with experts.
pub static QWEN3_MOE: Family = Family {
    name: "qwen3-moe",
    summary: "Qwen 3 with experts in every block",
    reference: "arXiv:2505.09388; transformers modeling_qwen3_moe.py",
    model_types: &["qwen3_moe"],
    read: read_qwen3,
};

fn read_common(fields: &Fields) -> Result<DecoderConfig, String> {
    let config = turning_llama(fields)?;
    // How training balances and disturbs the router.
    for key in ["router_aux_loss_coef", "router_jitter_noise", "output_router_logits"] {
        fields.value(key);
    }
    Ok(config)
}

/// Names as all but Mixtral have them.
fn experts(fields: &Fields, count: usize, normed: bool) -> Result<ExpertsConfig, String> {
    Ok(ExpertsConfig {
        count,
        chosen: need_size(fields, "num_experts_per_tok")?,
        normed,
        router: "mlp.gate",
        prefix: "mlp.experts.",
        parts: ["gate_proj", "up_proj", "down_proj"],
    })
}

fn read_mixtral(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_common(fields)?;
    config.eps = fields.or("rms_norm_eps", 1e-5)?;
    config.windows = vec![fields.size("sliding_window")?; config.layers];
    config.experts = Some(ExpertsConfig {
        router: "block_sparse_moe.gate",
        prefix: "block_sparse_moe.experts.",
        parts: ["w1", "w3", "w2"],
        ..experts(fields, need_size(fields, "num_local_experts")?, true)?
    });
    Ok(config)
}

fn read_olmoe(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_common(fields)?;
    config.eps = fields.or("rms_norm_eps", 1e-5)?;
    attention_bias(fields, &mut config)?;
    config.norm_heads = HeadNorm::Whole;
    config.clip_qkv = fields.get("clip_qkv")?;
    let normed = fields.or("norm_topk_prob", false)?;
    config.experts = Some(experts(fields, need_size(fields, "num_experts")?, normed)?);
    Ok(config)
}

fn read_qwen3(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = read_common(fields)?;
    attention_bias(fields, &mut config)?;
    config.norm_heads = HeadNorm::Each;
    // Blocks without experts would have a perceptron of `intermediate_size`.
    fields.only("decoder_sparse_step", &[json!(1)])?;
    fields.only("mlp_only_layers", &[json!([]), Value::Null])?;
    config.hidden = need_size(fields, "moe_intermediate_size")?;
    late_windows(fields, &mut config)?;
    // transformers 5 writes the second name.
    let key = if fields.has("num_experts") { "num_experts" } else { "num_local_experts" };
    let normed = fields.or("norm_topk_prob", false)?;
    config.experts = Some(experts(fields, need_size(fields, key)?, normed)?);
    Ok(config)
}
