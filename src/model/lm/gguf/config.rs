//! The keys of an architecture as those of `config.json`: what all have, and the steps that some share.

use serde_json::{Map, Value, json};

use super::formats::{FORMATS, Format};
use crate::base::account::Fields;
use crate::checkpoint::{GgufFile, TensorInfo};

/// A configuration, and how its tensors are stored.
pub struct Read {
    /// As `config.json` has it.
    pub json: Value,
    /// What lies behind its tensors' values.
    pub format: &'static Format,
}

/// What an architecture is read from and into.
pub struct Reading<'a> {
    /// Its keys, without its name before them.
    pub keys: &'a Fields,
    /// The file.
    pub file: &'a GgufFile,
    /// The file's tensors.
    pub tensors: std::collections::BTreeMap<String, TensorInfo>,
    /// What `config.json` would have.
    pub json: Map<String, Value>,
}

impl Reading<'_> {
    /// Adds an entry.
    pub fn put(&mut self, key: &str, value: Value) {
        self.json.insert(key.to_owned(), value);
    }

    /// Gives an entry another name.
    pub fn rename(&mut self, from: &str, to: &str) {
        if let Some(value) = self.json.remove(from) {
            self.json.insert(to.to_owned(), value);
        }
    }

    /// Takes a number over, where it is there.
    pub fn number(&mut self, from: &str, to: &str) -> Result<(), String> {
        if let Some(number) = self.keys.get::<f64>(from)? {
            self.put(to, json!(number));
        }
        Ok(())
    }

    /// Takes the epsilon of root-mean-square norms over.
    pub fn rms(&mut self) -> Result<(), String> {
        let eps: f64 = self.keys.need("attention.layer_norm_rms_epsilon")?;
        self.put("rms_norm_eps", json!(eps));
        Ok(())
    }

    /// Takes the epsilon of norms with mean and bias over, which families call differently.
    pub fn layer_norm(&mut self, to: &str) -> Result<(), String> {
        let eps: f64 = self.keys.need("attention.layer_norm_epsilon")?;
        self.put(to, json!(eps));
        Ok(())
    }

    /// Adds rotary positions.
    pub fn turning(&mut self) -> Result<(), String> {
        let rope = super::rope::rope(self.keys, &self.json, self.file)?;
        self.put("rope_parameters", rope);
        Ok(())
    }

    /// Norms by root mean square and rotary positions, which most have.
    pub fn usual(&mut self) -> Result<(), String> {
        self.rms()?;
        self.turning()
    }

    /// Adds the keys that say whether attention and perceptrons have biases.
    pub fn both_biased(&mut self) {
        self.biased("attn_q", "attention_bias");
        self.biased("ffn_down", "mlp_bias");
    }

    /// Adds a key that says whether the first block has such a bias.
    pub fn biased(&mut self, part: &str, to: &str) {
        let found = self.has(&format!("blk.0.{part}.bias"));
        self.put(to, json!(found));
    }

    /// Whether there is such a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Adds experts under the families' names, of which the first differs. Their shares add up to one if `normed`.
    pub fn experts(&mut self, count: &str, normed: bool) -> Result<(), String> {
        for (from, to) in [("expert_count", count), ("expert_used_count", "num_experts_per_tok")] {
            let found = self.keys.size(from)?.ok_or_else(|| format!("`{from}` is missing"))?;
            self.put(to, json!(found));
        }
        let all = size(&self.json, count);
        let stacked = self.tensors.iter().filter(|(name, _)| name.contains("_exps."));
        for (name, info) in stacked {
            let parts = info.shape.first().map_or(0, |n| *n as u64);
            if parts != all {
                return Err(format!("`{name}` holds {parts} experts; `expert_count` is {all}"));
            }
        }
        // The softmax over all of them.
        self.keys.only("expert_gating_func", &[json!(1)])?;
        self.keys.only("expert_weights_norm", &[json!(normed)])?;
        self.keys.only("expert_weights_scale", &[json!(0.0), json!(1.0)])
    }
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

/// A size that has been read.
pub fn size(json: &Map<String, Value>, key: &str) -> u64 {
    json.get(key).and_then(Value::as_u64).unwrap_or(1)
}
