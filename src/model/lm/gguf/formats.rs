//! The architectures that are read, by llama.cpp's names. To add one, write the function that reads its keys and list it.
//! What llama.cpp does not store, it fixes for an architecture (`llama-model.cpp`); so do these.

use serde_json::json;

use super::reading::{Reading, size};
use super::rope::{rope, turning};

/// How an architecture is stored.
pub struct Format {
    /// `general.architecture`.
    pub name: &'static str,
    /// Whether queries and keys are stored as pairs side by side.
    pub pairs: bool,
    /// Whether norms are stored with one added.
    pub one_more: bool,
    /// Adds its own entries, and says which `model_type` it is.
    pub read: fn(&mut Reading<'_>) -> Result<&'static str, String>,
}

const fn plain(name: &'static str, read: fn(&mut Reading<'_>) -> Result<&'static str, String>) -> Format {
    Format { name, pairs: false, one_more: false, read }
}

const fn paired(name: &'static str, read: fn(&mut Reading<'_>) -> Result<&'static str, String>) -> Format {
    Format { pairs: true, ..plain(name, read) }
}

const fn raised(name: &'static str, read: fn(&mut Reading<'_>) -> Result<&'static str, String>) -> Format {
    Format { one_more: true, ..plain(name, read) }
}

/// All of them. OPT has no name there, and StarCoder 2's window is not stored.
pub const FORMATS: [Format; 17] = [
    raised("gemma", gemma),
    raised("gemma2", gemma2),
    raised("gemma3", gemma3),
    plain("gpt2", gpt2),
    plain("gptneox", gpt_neox),
    paired("granite", granite),
    paired("llama", llama),
    paired("olmo", olmo),
    plain("olmo2", olmo2),
    plain("olmoe", olmoe),
    plain("phi2", phi2),
    plain("phi3", phi3),
    plain("qwen2", qwen2),
    plain("qwen3", qwen3),
    plain("qwen3moe", qwen3_moe),
    paired("smollm3", smollm3),
    plain("stablelm", stablelm),
];

type Kind = Result<&'static str, String>;

/// Norms by root mean square and rotary positions, which most have.
fn usual(r: &mut Reading<'_>) -> Result<(), String> {
    r.rms()?;
    turning(r)
}

fn llama(r: &mut Reading<'_>) -> Kind {
    usual(r)?;
    let is_windowed = r.windowed()?;
    if r.keys.or("expert_count", 0)? > 0 {
        r.experts("num_local_experts", true)?;
        return Ok("mixtral");
    }
    r.keys.only("expert_used_count", &[json!(0)])?;
    if is_windowed {
        // Its configuration knows no biases; tensors of that name are then unknown.
        return Ok("mistral");
    }
    r.both_biased();
    Ok("llama")
}

fn granite(r: &mut Reading<'_>) -> Kind {
    usual(r)?;
    r.both_biased();
    let scale: f64 = r.keys.need("attention.scale")?;
    r.put("attention_multiplier", json!(scale));
    r.number("embedding_scale", "embedding_multiplier")?;
    r.number("residual_scale", "residual_multiplier")?;
    r.number("logit_scale", "logits_scaling")?;
    Ok("granite")
}

fn smollm3(r: &mut Reading<'_>) -> Kind {
    usual(r)?;
    r.both_biased();
    // Not stored.
    r.put("no_rope_layer_interval", json!(4));
    Ok("smollm3")
}

fn qwen2(r: &mut Reading<'_>) -> Kind {
    usual(r)?;
    // Its window is never used there.
    r.put("use_sliding_window", json!(false));
    Ok("qwen2")
}

fn qwen3(r: &mut Reading<'_>) -> Kind {
    qwen2(r)?;
    r.biased("attn_q", "attention_bias");
    Ok("qwen3")
}

fn qwen3_moe(r: &mut Reading<'_>) -> Kind {
    qwen3(r)?;
    r.experts("num_experts", true)?;
    r.put("norm_topk_prob", json!(true));
    let width =
        r.keys.size("expert_feed_forward_length")?.ok_or("`expert_feed_forward_length` is missing")?;
    r.put("moe_intermediate_size", json!(width));
    Ok("qwen3_moe")
}

fn gemma(r: &mut Reading<'_>) -> Kind {
    usual(r)?;
    Ok("gemma")
}

fn gemma2(r: &mut Reading<'_>) -> Kind {
    usual(r)?;
    later_gemma(r, (Some(50.0), Some(30.0)), 46)?;
    Ok("gemma2")
}

fn gemma3(r: &mut Reading<'_>) -> Kind {
    r.rms()?;
    let rope = rope(r)?;
    // `rope.freq_base_swa` of newer files; llama.cpp's value for all others.
    let local: f64 = r.keys.or("rope.freq_base_swa", 10_000.0)?;
    let local = json!({"rope_type": "default", "rope_theta": local});
    r.put("rope_parameters", json!({"full_attention": rope, "sliding_attention": local}));
    r.keys.only("attention.sliding_window_pattern", &[json!(6)])?;
    later_gemma(r, (None, None), 62)?;
    Ok("gemma3_text")
}

/// Caps of scores and of logits, which have defaults, and a scale, which is not stored: the largest model of each
/// generation, with so many blocks, scales by the width per head (llama.cpp, `f_attention_scale`).
fn later_gemma(
    r: &mut Reading<'_>,
    (scores, logits): (Option<f64>, Option<f64>),
    largest: u64,
) -> Result<(), String> {
    for (key, default) in [("attn_logit_softcapping", scores), ("final_logit_softcapping", logits)] {
        let cap: Option<f64> = r.keys.get(key)?;
        r.put(key, json!(cap.or(default)));
    }
    let scalar = if size(&r.json, "num_hidden_layers") == largest {
        size(&r.json, "hidden_size") / size(&r.json, "num_attention_heads")
    } else {
        size(&r.json, "head_dim")
    };
    r.put("query_pre_attn_scalar", json!(scalar));
    r.windowed()?;
    Ok(())
}

fn phi2(r: &mut Reading<'_>) -> Kind {
    r.layer_norm("layer_norm_eps")?;
    turning(r)?;
    Ok("phi")
}

fn phi3(r: &mut Reading<'_>) -> Kind {
    usual(r)?;
    r.windowed()?;
    Ok("phi3")
}

fn stablelm(r: &mut Reading<'_>) -> Kind {
    r.layer_norm("layer_norm_eps")?;
    turning(r)?;
    r.biased("attn_q", "use_qkv_bias");
    // The converter writes that branches are parallel wherever the model says nothing; the norms say what is the case.
    r.keys.value("use_parallel_residual");
    let shared = !r.has("blk.0.ffn_norm.weight");
    r.put("use_parallel_residual", json!(shared));
    Ok("stablelm")
}

fn olmo(r: &mut Reading<'_>) -> Kind {
    r.keys.only("attention.layer_norm_epsilon", &[json!(1e-5)])?;
    turning(r)?;
    r.biased("attn_q", "attention_bias");
    r.number("attention.clamp_kqv", "clip_qkv")?;
    Ok("olmo")
}

/// OLMo 3 has the same name there, and a window, whose keys stay over.
fn olmo2(r: &mut Reading<'_>) -> Kind {
    usual(r)?;
    r.biased("attn_q", "attention_bias");
    Ok("olmo2")
}

fn olmoe(r: &mut Reading<'_>) -> Kind {
    usual(r)?;
    r.biased("attn_q", "attention_bias");
    r.experts("num_experts", false)?;
    r.keys.only("expert_feed_forward_length", &[json!(size(&r.json, "intermediate_size"))])?;
    r.put("norm_topk_prob", json!(false));
    Ok("olmoe")
}

fn gpt_neox(r: &mut Reading<'_>) -> Kind {
    r.layer_norm("layer_norm_eps")?;
    turning(r)?;
    r.json.remove("head_dim");
    r.json.remove("num_key_value_heads");
    r.biased("attn_qkv", "attention_bias");
    let parallel: bool = r.keys.need("use_parallel_residual")?;
    r.put("use_parallel_residual", json!(parallel));
    Ok("gpt_neox")
}

fn gpt2(r: &mut Reading<'_>) -> Kind {
    r.layer_norm("layer_norm_epsilon")?;
    for (from, to) in [
        ("hidden_size", "n_embd"),
        ("num_hidden_layers", "n_layer"),
        ("num_attention_heads", "n_head"),
        ("max_position_embeddings", "n_positions"),
        ("intermediate_size", "n_inner"),
    ] {
        r.rename(from, to);
    }
    r.json.remove("head_dim");
    r.json.remove("num_key_value_heads");
    Ok("gpt2")
}
