//! The keys of an architecture as those of `config.json`.

use serde_json::{Map, Value, json};

use super::formats::{FORMATS, Format};
use super::reading::{Reading, size};
use crate::base::account::Fields;
use crate::checkpoint::GgufFile;

/// A configuration, and how its tensors are stored.
pub struct Read {
    /// As `config.json` has it.
    pub json: Value,
    /// What lies behind its tensors' values.
    pub format: &'static Format,
}

/// Reads the keys of `architecture`.
pub fn read(architecture: &str, keys: &Fields, file: &GgufFile) -> Result<Read, String> {
    let Some(format) = FORMATS.iter().find(|f| f.name == architecture) else {
        let known: Vec<&str> = FORMATS.iter().map(|f| f.name).collect();
        return Err(format!(
            "is of architecture `{architecture}`, which is not read from GGUF ({} are); give the checkpoint's \
             safetensors instead",
            known.join(", ")
        ));
    };
    let mut reading = Reading { keys, file, tensors: file.tensors(), json: Map::new() };
    shapes(&mut reading)?;
    let kind = (format.read)(&mut reading)?;
    reading.put("model_type", json!(kind));
    keys.finish(&[])?;
    Ok(Read { json: Value::Object(reading.json), format })
}

/// Extents, which all architectures call the same.
fn shapes(reading: &mut Reading<'_>) -> Result<(), String> {
    let keys = reading.keys;
    for (from, to) in [
        ("embedding_length", "hidden_size"),
        ("block_count", "num_hidden_layers"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
        ("context_length", "max_position_embeddings"),
    ] {
        let size = keys.size(from)?.ok_or_else(|| format!("`{from}` is missing"))?;
        reading.put(to, json!(size));
    }
    if let Some(shared) = keys.size("attention.head_count_kv")? {
        reading.put("num_key_value_heads", json!(shared));
    }
    let usual = size(&reading.json, "hidden_size") / size(&reading.json, "num_attention_heads").max(1);
    let width = keys.size("attention.key_length")?.map_or(usual, |n| n as u64);
    keys.only("attention.value_length", &[json!(width)])?;
    reading.put("head_dim", json!(width));
    let vocabulary = reading.tensors.get("token_embd.weight").and_then(|t| t.shape.first().copied());
    let vocabulary = vocabulary.ok_or("has no tensor `token_embd.weight`")?;
    keys.only("vocab_size", &[json!(vocabulary)])?;
    reading.put("vocab_size", json!(vocabulary));
    let tied = !reading.has("output.weight");
    reading.put("tie_word_embeddings", json!(tied));
    Ok(())
}
