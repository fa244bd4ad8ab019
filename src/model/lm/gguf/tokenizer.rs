//! A tokenizer from metadata, as a `tokenizer.json` would describe it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::base::account::Fields;
use crate::base::harmless::GGUF_TOKENIZER;
use crate::model::ModelError;
use crate::model::lm::tokenizer::LanguageTokenizer;

/// A tokenizer's files.
pub struct Made {
    json: Value,
    config: Value,
    /// Tokens that end a text.
    pub ends: Vec<u32>,
}

/// What `tokenizer.ggml.token_type` says of a token (llama.cpp, `llama_token_type`).
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

impl Made {
    /// As files of a folder.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let file = |name: &str, value: &Value| (name.to_owned(), value.to_string().into_bytes());
        vec![file("tokenizer.json", &self.json), file("tokenizer_config.json", &self.config)]
    }

    /// The tokenizer.
    pub fn open(&self, path: &Path) -> Result<LanguageTokenizer, ModelError> {
        let text = |key: &str| self.config.get(key).and_then(Value::as_str).map(str::to_owned);
        LanguageTokenizer::new(
            path,
            self.json.to_string().as_bytes(),
            (text("bos_token"), text("eos_token")),
            text("chat_template"),
            super::digest(&self.files()),
        )
    }
}

/// Takes the keys below `tokenizer.`. With `build`, the vocabulary is turned into a tokenizer; without, its keys are only
/// taken.
pub fn make(keys: &Fields, architecture: &str, build: bool) -> Result<Made, String> {
    let kind: String = keys.need("ggml.model")?;
    let tokens: Vec<String> = keys.need("ggml.tokens")?;
    let find = |key: &str| -> Result<Option<(u32, String)>, String> {
        let Some(id) = keys.get::<u32>(key)? else { return Ok(None) };
        let text = tokens.get(id as usize).cloned();
        Ok(Some((id, text.ok_or_else(|| format!("`tokenizer.{key}` is {id}, of {} tokens", tokens.len()))?)))
    };
    let (bos, eos) = (find("ggml.bos_token_id")?, find("ggml.eos_token_id")?);
    let turn = find("ggml.eot_token_id")?;
    if keys.or("ggml.add_eos_token", false)? {
        return Err(
            "`tokenizer.ggml.add_eos_token` puts an end after every context, which cannot be continued"
                .to_owned(),
        );
    }
    // llama.cpp puts the first token before texts of a SentencePiece vocabulary unless the file says otherwise.
    let adds_bos = keys.or("ggml.add_bos_token", kind == "llama")? && bos.is_some();
    let template: Option<String> = keys.get("chat_template")?;
    let parts = Parts {
        types: keys.or("ggml.token_type", Vec::new())?,
        scores: keys.or("ggml.scores", Vec::new())?,
        merges: keys.get("ggml.merges")?,
        split: keys.or("ggml.pre", "default".to_owned())?,
        space_first: keys.or("ggml.add_space_prefix", true)?,
        unknown: find("ggml.unknown_token_id")?.map(|t| t.1),
        tokens: &tokens,
        architecture,
        first: bos.clone().filter(|_| adds_bos),
    };
    keys.finish(&[GGUF_TOKENIZER])?;
    let json = match (kind.as_str(), build) {
        (_, false) => Value::Null,
        ("gpt2", true) => parts.byte_level()?,
        ("llama", true) => parts.sentence_piece()?,
        (other, true) => return Err(unsupported("ggml.model", other)),
    };
    let mut config = Map::new();
    for (key, token) in [("bos_token", &bos), ("eos_token", &eos)] {
        if let Some((_, text)) = token {
            config.insert(key.to_owned(), json!(text));
        }
    }
    if let Some(template) = template {
        config.insert("chat_template".to_owned(), json!(template));
    }
    let ends = eos.into_iter().chain(turn).map(|t| t.0).collect();
    Ok(Made { json, config: Value::Object(config), ends })
}

fn unsupported(key: &str, value: &str) -> String {
    format!(
        "`tokenizer.{key}` is `{value}`, from which no tokenizer is built here; put the model's own `tokenizer.json` \
         into a folder with the file"
    )
}

struct Parts<'a> {
    tokens: &'a [String],
    types: Vec<u64>,
    scores: Vec<f64>,
    merges: Option<Vec<String>>,
    split: String,
    space_first: bool,
    unknown: Option<String>,
    architecture: &'a str,
    /// What is put before every text.
    first: Option<(u32, String)>,
}

impl Parts<'_> {
    /// Byte-level BPE with the splits that its merges were learned with.
    fn byte_level(&self) -> Result<Value, String> {
        let (normalizer, split) = split(&self.split)?;
        let merges = self.merges.as_ref().ok_or("`tokenizer.ggml.merges` is missing")?;
        let level = json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": split.is_none(),
        });
        let splits = split.map(|regex| {
            json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false})
        });
        let all: Vec<Value> = splits.into_iter().chain([level]).collect();
        let model = json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false,
            // Llama 3's words that are tokens are not merged from smaller ones.
            "ignore_merges": self.split == "llama-bpe",
            "vocab": self.vocabulary(self.tokens)?, "merges": merges,
        });
        let decoder =
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
        let pre = json!({"type": "Sequence", "pretokenizers": all});
        Ok(self.whole(&normalizer, &pre, &decoder, &model))
    }

    /// SentencePiece BPE; the order of merges follows from scores, Gemma's from places in the vocabulary.
    fn sentence_piece(&self) -> Result<Value, String> {
        let is_gemma = self.architecture.starts_with("gemma");
        // Gemma's runs of spaces are stored as such, and looked up as `▁`.
        let spell = |t: &String| {
            if is_gemma && t.contains(' ') && t.trim().is_empty() { t.replace(' ', "▁") } else { t.clone() }
        };
        let tokens: Vec<String> = self.tokens.iter().map(spell).collect();
        let merges = match &self.merges {
            Some(merges) => merges.iter().map(|m| json!(m)).collect(),
            None if is_gemma => merges_of(&tokens, |i| -(i as f64)),
            None if self.scores.len() == tokens.len() => merges_of(&tokens, |i| self.scores[i]),
            None => return Err("`tokenizer.ggml.scores` is not as long as the vocabulary".to_owned()),
        };
        let model = json!({
            "type": "BPE", "dropout": null, "unk_token": self.unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": self.vocabulary(&tokens)?, "merges": Value::Array(merges),
        });
        let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        let (normalizer, pre) = if is_gemma {
            let split = json!({
                "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false,
            });
            (spaces, split)
        } else if self.space_first {
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
            let first = json!({"type": "Prepend", "prepend": "▁"});
            (json!({"type": "Sequence", "normalizers": [first, spaces]}), Value::Null)
        } else {
            (spaces, Value::Null)
        };
        let decoder = json!({"type": "Sequence", "decoders": decoders});
        Ok(self.whole(&normalizer, &pre, &decoder, &model))
    }

    fn vocabulary(&self, tokens: &[String]) -> Result<Value, String> {
        let mut all = Map::with_capacity(tokens.len());
        for (id, token) in tokens.iter().enumerate() {
            if all.insert(token.clone(), json!(id)).is_some() {
                return Err(format!("`tokenizer.ggml.tokens` has `{token}` twice"));
            }
        }
        Ok(Value::Object(all))
    }

    fn post_processor(&self) -> Value {
        let Some((id, text)) = &self.first else { return Value::Null };
        let token = json!({"SpecialToken": {"id": text, "type_id": 0}});
        let own = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
        json!({
            "type": "TemplateProcessing", "single": [token, own("A")], "pair": [token, own("A"), own("B")],
            "special_tokens": {text: {"id": text, "ids": [id], "tokens": [text]}},
        })
    }

    fn whole(&self, normalizer: &Value, pre: &Value, decoder: &Value, model: &Value) -> Value {
        let named = |(id, content): (usize, &String)| {
            let kind = self.types.get(id).copied().unwrap_or_default();
            let known = model["vocab"].get(content).is_some();
            let counts = kind == CONTROL || kind == USER_DEFINED && known;
            counts.then(|| {
                json!({
                    "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": kind == CONTROL,
                })
            })
        };
        let added: Vec<Value> = self.tokens.iter().enumerate().filter_map(named).collect();
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": self.post_processor(), "decoder": decoder, "model": model,
        })
    }
}

/// Normalisation and split of a byte-level vocabulary, by llama.cpp's name for it. The patterns are those of the models'
/// own `tokenizer.json` files.
fn split(name: &str) -> Result<(Value, Option<String>), String> {
    let words = |digits: &str| {
        format!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
    Ok(match name {
        "gpt-2" | "phi-2" => (Value::Null, None),
        "olmo" => (json!({"type": "NFC"}), None),
        "qwen2" => (json!({"type": "NFC"}), Some(words(r"\p{N}"))),
        "llama-bpe" => (Value::Null, Some(words(r"\p{N}{1,3}"))),
        other => return Err(unsupported("ggml.pre", other)),
    })
}

/// Merges that make each token from two others, the best token first, then those with longer parts, then those whose
/// parts come earlier in the vocabulary. `transformers`' `generate_merges` gives the same list.
fn merges_of(tokens: &[String], score: impl Fn(usize) -> f64) -> Vec<Value> {
    let places: BTreeMap<&str, usize> = tokens.iter().enumerate().map(|(i, t)| (t.as_str(), i)).collect();
    let mut all = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let mut own: Vec<(usize, usize, usize)> = token
            .char_indices()
            .skip(1)
            .filter_map(|(at, _)| Some((*places.get(&token[..at])?, *places.get(&token[at..])?, at)))
            .collect();
        own.sort_unstable();
        all.extend(own.into_iter().map(|(_, _, at)| (score(i), &token[..at], &token[at..])));
    }
    let length = |t: &str| t.chars().count();
    all.sort_by(|a, b| {
        b.0.total_cmp(&a.0).then_with(|| (length(b.1), length(b.2)).cmp(&(length(a.1), length(a.2))))
    });
    all.into_iter().map(|(_, left, right)| json!([left, right])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_follow_scores() {
        let tokens = ["a", "b", "ab", "abb", "bb"].map(str::to_owned);
        let scores = [0.0, 0.0, -1.0, -3.0, -2.0];
        let found = merges_of(&tokens, |i| scores[i]);
        // `abb` is `ab` + `b` before `a` + `bb`: the longer left part goes first.
        assert_eq!(found, [json!(["a", "b"]), json!(["b", "b"]), json!(["ab", "b"]), json!(["a", "bb"])]);
    }

    /// Tokens by `transformers`; `tests/golden/make_gguf.py` made the vocabulary.
    #[test]
    fn sentence_piece_vocabularies_cut_as_transformers_does() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf");
        let expected: BTreeMap<String, Vec<(String, Vec<u32>)>> =
            serde_json::from_slice(&std::fs::read(golden.join("pieces.json")).unwrap()).unwrap();
        for (architecture, texts) in expected {
            let path = golden.join(format!("pieces-{architecture}.gguf"));
            let metadata = crate::checkpoint::GgufFile::open(&path).unwrap().metadata();
            let own = metadata
                .iter()
                .filter_map(|(k, v)| Some((k.strip_prefix("tokenizer.")?.to_owned(), v.clone())));
            let keys = Fields::new("tokenizer", &Value::Object(own.collect())).unwrap();
            let tokenizer = make(&keys, &architecture, true).unwrap().open(&path).unwrap();
            for (text, tokens) in texts {
                // `transformers` puts no space before a text that begins with one, nor after a token of its own;
                // llama.cpp and the models' own files do.
                if architecture == "llama" && (text.starts_with(' ') || text.contains('<')) {
                    continue;
                }
                assert_eq!(tokenizer.encode(&text).unwrap(), tokens, "{architecture}, {text:?}");
            }
        }
    }
}
