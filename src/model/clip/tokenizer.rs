//! The one wrapper of the `tokenizers` crate.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokenizers::{Tokenizer, TruncationParams};

use super::config::TextConfig;
use super::json::json_file;
use crate::base::digest::Digest;
use crate::base::fs::read_text;
use crate::base::guard::guarded;
use crate::model::ModelError;

/// How CLIP cuts a text into words (OpenAI's `simple_tokenizer.py`).
const CLIP_WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// How texts are filled up to one length, for towers that see what follows a text.
#[derive(Clone, Copy)]
struct Fill {
    token: u32,
    left: bool,
}

/// A text tokenizer from the files of a checkpoint.
pub struct TextTokenizer {
    inner: Tokenizer,
    length: usize,
    fill: Option<Fill>,
    /// The end token, where it is replaced by the one that fills up.
    stripped: Option<u32>,
}

/// The files that a folder's tokenizer is read from.
#[must_use]
pub fn tokenizer_files(folder: &Path) -> Vec<PathBuf> {
    let main = folder.join("tokenizer.json");
    let (vocabulary, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
    let mut files = if main.is_file() || !(vocabulary.is_file() && merges.is_file()) {
        vec![main]
    } else {
        vec![vocabulary, merges]
    };
    files.extend(Some(folder.join("tokenizer_config.json")).filter(|f| f.is_file()));
    files
}

impl TextTokenizer {
    /// Reads `tokenizer.json`, or `vocab.json` and `merges.txt`; `tokenizer_config.json` says with what texts are
    /// filled up and whether they are lower-cased. Texts are cut to the tower's length, the end token included.
    pub fn open(folder: &Path, config: &TextConfig) -> Result<Self, ModelError> {
        let files = tokenizer_files(folder);
        let file = if files[0].ends_with("tokenizer.json") {
            json_file(&files[0])?
        } else {
            clip_file(&files[0], &files[1])?
        };
        let said = folder.join("tokenizer_config.json");
        let said = if said.is_file() { json_file(&said)? } else { Value::Null };
        Self::make(&files[0], file, &said, config)
    }

    /// Reads a `tokenizer.json` under any name.
    pub fn open_file(path: &Path, config: &TextConfig) -> Result<Self, ModelError> {
        Self::make(path, json_file(path)?, &Value::Null, config)
    }

    fn make(path: &Path, mut file: Value, said: &Value, config: &TextConfig) -> Result<Self, ModelError> {
        let bad = |reason: String| ModelError::Tokenizer { path: path.to_owned(), reason };
        let foreign = |e: tokenizers::Error| bad(e.to_string());
        lower_case(&mut file, said);
        let mut inner = guarded(|| Tokenizer::from_bytes(file.to_string())).map_err(bad)?.map_err(foreign)?;
        let fill = if config.fills_up() {
            Some(fill(&inner, said, config).ok_or_else(|| {
                bad("neither it nor tokenizer_config.json nor config.json says with which token texts are filled \
                     up (`pad_token`)"
                    .to_owned())
            })?)
        } else {
            None
        };
        inner.with_padding(None);
        let length = config.max_position_embeddings;
        let truncation = TruncationParams { max_length: length, ..TruncationParams::default() };
        inner.with_truncation(Some(truncation)).map_err(foreign)?;
        let mut this = Self { inner, length, fill, stripped: None };
        if config.strip_end {
            this.stripped = this.raw(&[String::new()])?.first().and_then(|t| t.last().copied());
        }
        Ok(this)
    }

    fn raw(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, ModelError> {
        let encode = || self.inner.encode_batch(texts.to_vec(), true);
        let encodings = guarded(encode).map_err(ModelError::Encode)?;
        let encodings = encodings.map_err(|e| ModelError::Encode(e.to_string()))?;
        Ok(encodings.iter().map(|e| e.get_ids().to_vec()).collect())
    }

    /// Token ids of each text, with start and end tokens; all of one length where the tower needs it.
    pub fn encode(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, ModelError> {
        let mut all = self.raw(texts)?;
        let Some(fill) = self.fill else { return Ok(all) };
        for text in &mut all {
            if let (Some(end), Some(last)) = (self.stripped, text.last_mut())
                && *last == end
            {
                *last = fill.token;
            }
            let missing = self.length.saturating_sub(text.len());
            if fill.left {
                text.splice(0..0, std::iter::repeat_n(fill.token, missing));
            } else {
                text.extend(std::iter::repeat_n(fill.token, missing));
            }
        }
        Ok(all)
    }

    /// Whether two tokenizers give the same tokens for every piece of either vocabulary, alone and after a word.
    pub fn is_like(&self, other: &Self) -> Result<bool, ModelError> {
        let (a, b) = (self.inner.get_vocab(true), other.inner.get_vocab(true));
        if a != b {
            return Ok(false);
        }
        let mut pieces: Vec<&String> = a.keys().collect();
        pieces.sort();
        let texts: Vec<String> =
            pieces.into_iter().map(|p| format!("A photo of {}, {p}.", p.to_uppercase())).collect();
        Ok(self.encode(&texts)? == other.encode(&texts)?)
    }

    /// Whether every text ends in `end` and no token has a larger id, so that the largest id marks the end.
    pub fn ends_with_largest(&self, end: u32) -> Result<bool, ModelError> {
        let largest = self.inner.get_vocab(true).values().copied().max();
        let empty = self.raw(&[String::new()])?;
        Ok(largest == Some(end) && empty.first().and_then(|t| t.last()) == Some(&end))
    }

    /// Digest of a folder's tokenizer: of the bytes of its files.
    pub fn digest(folder: &Path) -> Result<Digest, ModelError> {
        let each: Vec<Digest> =
            tokenizer_files(folder).iter().map(|f| Digest::of_file(f)).collect::<Result<_, _>>()?;
        Ok(if each.len() == 1 { each[0].clone() } else { Digest::of_value(&each) })
    }
}

/// SigLIP 2's tokenizer lower-cases in code, not in its file (`Siglip2Tokenizer` of `transformers` 5).
fn lower_case(file: &mut Value, said: &Value) {
    let class = said.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
    let asked = said.get("do_lower_case").and_then(Value::as_bool) == Some(true);
    // CLIP's and BERT's files lower-case themselves where they do.
    if class.starts_with("Siglip2Tokenizer") || (asked && class.starts_with("Gemma")) {
        let first = json!({"type": "Lowercase"});
        let rest = file.get("normalizer").filter(|n| !n.is_null()).cloned();
        let all: Vec<Value> = std::iter::once(first).chain(rest).collect();
        file["normalizer"] = json!({"type": "Sequence", "normalizers": all});
    }
}

/// With what texts are filled up: what `tokenizer_config.json` says, else `tokenizer.json`, else the model's
/// configuration.
fn fill(inner: &Tokenizer, said: &Value, config: &TextConfig) -> Option<Fill> {
    let name =
        said.get("pad_token").and_then(|t| t.as_str().or_else(|| t.get("content").and_then(Value::as_str)));
    let padding = inner.get_padding().map(|p| p.pad_id);
    let token = name.and_then(|n| inner.token_to_id(n)).or(padding).or(config.pad_token_id)?;
    let left = said.get("padding_side").and_then(Value::as_str) == Some("left");
    Some(Fill { token, left })
}

/// CLIP's tokenizer from its two files, as `transformers` puts it together (`CLIPConverter`).
fn clip_file(vocabulary: &Path, merges: &Path) -> Result<Value, ModelError> {
    const ENDS: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];
    let bad = |reason: String| ModelError::Tokenizer { path: vocabulary.to_owned(), reason };
    let vocab: Value = json_file(vocabulary)?;
    let text = read_text(merges)?;
    let merges: Vec<&str> = text.lines().filter(|l| !l.starts_with("#version") && !l.is_empty()).collect();
    let id = |token: &str| {
        vocab.get(token).and_then(Value::as_u64).ok_or_else(|| bad(format!("has no `{token}`")))
    };
    let [start, end] = [id(ENDS[0])?, id(ENDS[1])?];
    let added = |content: &str, id: u64| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added(ENDS[0], start), added(ENDS[1], end)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": CLIP_WORDS}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "post_processor": {"type": "RobertaProcessing", "sep": [ENDS[1], end], "cls": [ENDS[0], start],
            "trim_offsets": false, "add_prefix_space": false},
        "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": ENDS[1], "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": merges},
    }))
}
