//! What an architecture is read from and into, and the steps that some of them share.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::base::account::Fields;
use crate::checkpoint::{GgufFile, TensorInfo};

/// What an architecture is read from and into.
pub struct Reading<'a> {
    /// Its keys, without its name before them.
    pub keys: &'a Fields,
    /// The file.
    pub file: &'a GgufFile,
    /// The file's tensors.
    pub tensors: BTreeMap<String, TensorInfo>,
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

    /// Adds the keys that say whether attention and perceptrons have biases.
    pub fn both_biased(&mut self) {
        self.biased("attn_q", "attention_bias");
        self.biased("ffn_down", "mlp_bias");
    }

    /// Takes a window over, and says whether there is one.
    pub fn windowed(&mut self) -> Result<bool, String> {
        let window = self.keys.size("attention.sliding_window")?;
        if let Some(window) = window {
            self.put("sliding_window", json!(window));
        }
        Ok(window.is_some())
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

/// A size that has been read.
pub fn size(json: &Map<String, Value>, key: &str) -> u64 {
    json.get(key).and_then(Value::as_u64).unwrap_or(1)
}
