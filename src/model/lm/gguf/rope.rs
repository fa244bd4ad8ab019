//! Rotary positions from metadata and from tensors of factors, as `rope_parameters` of `config.json`.

use serde_json::{Map, Value, json};

use super::reading::{Reading, size};
use crate::base::account::Fields;

/// Tensors that hold factors of rotary frequencies: of Llama 3.1, and of LongRoPE for short and for long texts.
pub const ROPE_FACTORS: [&str; 3] =
    ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"];

/// Adds rotary positions.
pub fn turning(reading: &mut Reading<'_>) -> Result<(), String> {
    let rope = rope(reading)?;
    reading.put("rope_parameters", rope);
    Ok(())
}

/// Rotary positions. The format's base is 10,000 where none is said.
pub fn rope(reading: &Reading<'_>) -> Result<Value, String> {
    let Reading { keys, file, json, .. } = reading;
    let theta: f64 = keys.or("rope.freq_base", 10_000.0)?;
    let head = size(json, "head_dim");
    let turning = keys.size("rope.dimension_count")?.map_or(head, |n| n as u64);
    let mut share = turning as f64 / head as f64;
    // The families multiply, and cut what comes out to a whole number.
    while (head as f64 * share) as u64 + 1 == turning {
        share = share.next_up();
    }
    let mut rope = Map::from_iter([
        ("rope_theta".to_owned(), json!(theta)),
        ("partial_rotary_factor".to_owned(), json!(share)),
    ]);
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
        if !reading.has(name) {
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
