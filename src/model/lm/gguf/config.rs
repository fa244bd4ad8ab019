//! The keys of an architecture as those of `config.json`.

use serde_json::{Map, Value, json};

use crate::base::account::Fields;
use crate::checkpoint::GgufFile;

/// A configuration, and how its tensors are stored.
pub struct Read {
    /// As `config.json` has it.
    pub json: Value,
    /// Whether queries and keys are stored as pairs side by side.
    pub pairs: bool,
    /// Whether norms are stored with one added.
    pub one_more: bool,
}

/// The architectures that are read, by llama.cpp's names.
const KNOWN: [&str; 6] = ["llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"];

/// Tensors that hold factors of rotary frequencies: of Llama 3.1, and of LongRoPE for short and for long texts.
pub const ROPE_FACTORS: [&str; 3] =
    ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"];

/// Reads the keys of `architecture`.
pub fn read(architecture: &str, keys: &Fields, file: &GgufFile) -> Result<Read, String> {
    if !KNOWN.contains(&architecture) {
        return Err(format!(
            "is of architecture `{architecture}`, which is not read from GGUF ({} are); give the checkpoint's \
             safetensors instead",
            KNOWN.join(", ")
        ));
    }
    let tensors = file.tensors();
    let mut json = Map::new();
    shapes(keys, &mut json)?;
    let vocabulary = tensors.get("token_embd.weight").and_then(|t| t.shape.first().copied());
    let vocabulary = vocabulary.ok_or("has no tensor `token_embd.weight`")?;
    keys.only("vocab_size", &[json!(vocabulary)])?;
    json.insert("vocab_size".to_owned(), json!(vocabulary));
    json.insert("tie_word_embeddings".to_owned(), json!(!tensors.contains_key("output.weight")));
    let biased = |part: &str| tensors.contains_key(&format!("blk.0.{part}.bias"));
    let window = keys.size("attention.sliding_window")?;
    let kind = match architecture {
        "llama" if window.is_some() => "mistral",
        "gemma3" => "gemma3_text",
        other => other,
    };
    let rope = rope(keys, &json, file)?;
    match architecture {
        // Mistral's configuration knows no biases; tensors of that name are then unknown.
        "llama" if kind == "llama" => {
            json.insert("attention_bias".to_owned(), json!(biased("attn_q")));
            json.insert("mlp_bias".to_owned(), json!(biased("ffn_down")));
        }
        "qwen3" => {
            json.insert("attention_bias".to_owned(), json!(biased("attn_q")));
        }
        "gemma2" | "gemma3" => gemma(architecture, keys, &mut json)?,
        _ => {}
    }
    if architecture == "gemma3" {
        // `rope.freq_base_swa` of newer files; llama.cpp's value for all others.
        let local: f64 = keys.or("rope.freq_base_swa", 10_000.0)?;
        let local = json!({"rope_type": "default", "rope_theta": local});
        json.insert(
            "rope_parameters".to_owned(),
            json!({"full_attention": rope, "sliding_attention": local}),
        );
        keys.only("attention.sliding_window_pattern", &[json!(6)])?;
    } else {
        json.insert("rope_parameters".to_owned(), rope);
    }
    if let Some(window) = window {
        json.insert("sliding_window".to_owned(), json!(window));
    }
    if kind.starts_with("qwen") {
        json.insert("use_sliding_window".to_owned(), json!(false));
        keys.only("attention.sliding_window", &[])?;
    }
    json.insert("model_type".to_owned(), json!(kind));
    keys.finish(&[])?;
    Ok(Read {
        json: Value::Object(json),
        pairs: architecture == "llama",
        one_more: architecture.starts_with("gemma"),
    })
}

/// Extents and norms, which all architectures call the same.
fn shapes(keys: &Fields, json: &mut Map<String, Value>) -> Result<(), String> {
    for (from, to) in [
        ("embedding_length", "hidden_size"),
        ("block_count", "num_hidden_layers"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
        ("context_length", "max_position_embeddings"),
    ] {
        let size = keys.size(from)?.ok_or_else(|| format!("`{from}` is missing"))?;
        json.insert(to.to_owned(), json!(size));
    }
    if let Some(shared) = keys.size("attention.head_count_kv")? {
        json.insert("num_key_value_heads".to_owned(), json!(shared));
    }
    if let Some(width) = keys.size("attention.key_length")? {
        keys.only("attention.value_length", &[json!(width)])?;
        json.insert("head_dim".to_owned(), json!(width));
    } else {
        let (width, heads) = (size(json, "hidden_size"), size(json, "num_attention_heads"));
        keys.only("attention.value_length", &[json!(width / heads)])?;
        json.insert("head_dim".to_owned(), json!(width / heads));
    }
    let eps: f64 = keys.need("attention.layer_norm_rms_epsilon")?;
    json.insert("rms_norm_eps".to_owned(), json!(eps));
    Ok(())
}

fn size(json: &Map<String, Value>, key: &str) -> u64 {
    json.get(key).and_then(Value::as_u64).unwrap_or(1)
}

/// What Gemma has besides.
fn gemma(architecture: &str, keys: &Fields, json: &mut Map<String, Value>) -> Result<(), String> {
    let caps = [("attn_logit_softcapping", 50.0), ("final_logit_softcapping", 30.0)];
    for (key, default) in caps {
        let cap: Option<f64> = keys.get(key)?;
        // Gemma 2's are the format's defaults; Gemma 3 has none.
        let cap = cap.or((architecture == "gemma2").then_some(default));
        json.insert(key.to_owned(), json!(cap));
    }
    // Not stored: the largest model of each generation scales by the width per head (llama.cpp, `f_attention_scale`).
    let largest = [("gemma2", 46), ("gemma3", 62)].contains(&(architecture, size(json, "num_hidden_layers")));
    let scalar = if largest {
        size(json, "hidden_size") / size(json, "num_attention_heads")
    } else {
        size(json, "head_dim")
    };
    json.insert("query_pre_attn_scalar".to_owned(), json!(scalar));
    Ok(())
}

/// Rotary positions. The format's base is 10,000 where none is said.
fn rope(keys: &Fields, json: &Map<String, Value>, file: &GgufFile) -> Result<Value, String> {
    let theta: f64 = keys.or("rope.freq_base", 10_000.0)?;
    let head = size(json, "head_dim");
    let turning = keys.size("rope.dimension_count")?.map_or(head, |n| n as u64);
    let mut rope = Map::from_iter([("rope_theta".to_owned(), json!(theta))]);
    if turning != head {
        rope.insert("partial_rotary_factor".to_owned(), json!(turning as f64 / head as f64));
    }
    let kind = keys.or("rope.scaling.type", "none".to_owned())?;
    let kind = if kind == "none" { "default".to_owned() } else { kind };
    if kind == "linear" {
        rope.insert("factor".to_owned(), json!(keys.need::<f64>("rope.scaling.factor")?));
    }
    if kind == "yarn" {
        rope.extend(yarn(keys, json)?);
    }
    rope.insert("rope_type".to_owned(), json!(kind));
    let factors = |name: &str| -> Result<Option<Vec<f32>>, String> {
        if !file.tensors().contains_key(name) {
            return Ok(None);
        }
        let values = file.read(name).and_then(|t| t.flatten_all()?.to_vec1::<f32>());
        values.map(Some).map_err(|e| format!("`{name}` cannot be read: {e}"))
    };
    let [of_llama, short, long] = ROPE_FACTORS.map(factors);
    match (of_llama?, short?, long?, kind.as_str()) {
        (None, None, None, _) => {}
        (Some(factors), None, None, "default") => rope.extend(llama3(&factors, theta, turning)?),
        (None, Some(short), Some(long), "default" | "longrope") => {
            rope.extend(longrope(keys, json, (&short, &long))?);
        }
        _ => {
            let all = ROPE_FACTORS.join("`, `");
            return Err(format!(
                "has some of `{all}`, which do not fit together or scaling of type `{kind}`"
            ));
        }
    }
    Ok(Value::Object(rope))
}

/// LongRoPE, by its factors and what cosines and sines are multiplied by.
fn longrope(
    keys: &Fields,
    json: &Map<String, Value>,
    (short, long): (&[f32], &[f32]),
) -> Result<Map<String, Value>, String> {
    let whole = size(json, "max_position_embeddings");
    let original = keys.size("rope.scaling.original_context_length")?.map_or(whole, |n| n as u64);
    let scale: f64 = keys.or("rope.scaling.attn_factor", 1.0)?;
    let all = json!({
        "rope_type": "longrope", "short_factor": short, "long_factor": long, "attention_factor": scale,
        "original_max_position_embeddings": original,
    });
    Ok(all.as_object().cloned().unwrap_or_default())
}

/// YaRN. What llama.cpp calls the attention factor comes on top of the usual one.
fn yarn(keys: &Fields, json: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let factor: f64 = keys.need("rope.scaling.factor")?;
    let whole = size(json, "max_position_embeddings");
    let original = keys.size("rope.scaling.original_context_length")?.map_or(whole, |n| n as u64);
    let mut all = Map::new();
    all.insert("factor".to_owned(), json!(factor));
    all.insert("original_max_position_embeddings".to_owned(), json!(original));
    if let Some(more) = keys.get::<f64>("rope.scaling.attn_factor")? {
        let usual = if factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 };
        all.insert("attention_factor".to_owned(), json!(more * usual));
    }
    for (from, to) in
        [("rope.scaling.yarn_beta_fast", "beta_fast"), ("rope.scaling.yarn_beta_slow", "beta_slow")]
    {
        if let Some(turns) = keys.get::<f64>(from)? {
            all.insert(to.to_owned(), json!(turns));
        }
    }
    Ok(all)
}

/// Llama 3.1's stretched frequencies: the file holds each one's factor. They are recognised, not assumed: the known
/// parameters must give the stored factors.
fn llama3(stored: &[f32], theta: f64, turning: u64) -> Result<Map<String, Value>, String> {
    let factor = stored.iter().copied().fold(1.0, f32::max);
    let (low, high, original) = (1.0, 4.0, 8192.0);
    let expected = |i: usize| {
        let frequency = theta.powf(-((2 * i) as f64) / turning as f64);
        let length = std::f64::consts::TAU / frequency;
        if length < original / high {
            1.0
        } else if length > original / low {
            f64::from(factor)
        } else {
            let smooth = (original / length - low) / (high - low);
            1.0 / ((1.0 - smooth) / f64::from(factor) + smooth)
        }
    };
    let same = |(i, s): (usize, &f32)| (f64::from(*s) / expected(i) - 1.0).abs() < 1e-4;
    if stored.len() as u64 != turning / 2 || !stored.iter().enumerate().all(same) {
        return Err("`rope_freqs.weight` holds other factors than those of Llama 3.1 to 3.3".to_owned());
    }
    let Value::Object(all) = json!({
        "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
        "original_max_position_embeddings": original as u64,
    }) else {
        return Ok(Map::new());
    };
    Ok(all)
}
