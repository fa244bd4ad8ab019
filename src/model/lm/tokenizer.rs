//! Tokenizers of language models, from the checkpoint's own files.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::Tokenizer;

use super::chat::ChatTemplate;
use crate::base::digest::Digest;
use crate::base::fs::{read, read_text};
use crate::base::guard::guarded;
use crate::model::ModelError;

/// A tokenizer, the tokens that mean something to it, and its chat template.
pub struct LanguageTokenizer {
    inner: Tokenizer,
    /// The token that texts begin with, where there is one.
    pub bos: Option<(u32, String)>,
    /// The token that texts end with.
    pub eos: Option<(u32, String)>,
    /// How a conversation becomes a text.
    pub chat: Option<ChatTemplate>,
    digest: Digest,
}

/// The files that a folder's tokenizer may be read from.
pub const FILES: [&str; 4] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];

fn files(folder: &Path) -> Vec<PathBuf> {
    FILES.iter().map(|name| folder.join(name)).filter(|f| f.is_file()).collect()
}

impl LanguageTokenizer {
    /// Reads the files of a folder.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("tokenizer.json");
        let bytes = read(&path)?;
        let config = json_or_null(&folder.join("tokenizer_config.json"))?;
        let map = json_or_null(&folder.join("special_tokens_map.json"))?;
        let template = folder.join("chat_template.jinja");
        let template = if template.is_file() {
            Some(read_text(&template)?)
        } else {
            config.get("chat_template").and_then(default_template)
        };
        let digests = files(folder).iter().map(|f| Digest::of_file(f)).collect::<Result<Vec<_>, _>>()?;
        let said = |key: &str| token_text(config.get(key)).or_else(|| token_text(map.get(key)));
        Self::new(&path, &bytes, (said("bos_token"), said("eos_token")), template, Digest::of_value(&digests))
    }

    /// From the bytes of a `tokenizer.json` and what other files say.
    pub fn new(
        path: &Path,
        bytes: &[u8],
        (bos, eos): (Option<String>, Option<String>),
        template: Option<String>,
        digest: Digest,
    ) -> Result<Self, ModelError> {
        let bad = |reason: String| ModelError::Tokenizer { path: path.to_owned(), reason };
        let inner = guarded(|| Tokenizer::from_bytes(bytes)).map_err(bad)?.map_err(|e| bad(e.to_string()))?;
        let mut inner = inner;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| bad(e.to_string()))?;
        let find = |text: Option<String>| -> Result<Option<(u32, String)>, ModelError> {
            let Some(text) = text else { return Ok(None) };
            match inner.token_to_id(&text) {
                Some(id) => Ok(Some((id, text))),
                None => Err(bad(format!("its special token `{text}` is not in the vocabulary"))),
            }
        };
        let (bos, eos) = (find(bos)?, find(eos)?);
        let chat = template.map(ChatTemplate::new).transpose().map_err(bad)?;
        let this = Self { inner, bos, eos, chat, digest };
        let last = this.encode("a").ok().and_then(|ids| ids.last().copied());
        if last.is_some() && last == this.eos.as_ref().map(|e| e.0) {
            return Err(bad(
                "puts its last token after every text, so that no context can be continued".to_owned()
            ));
        }
        Ok(this)
    }

    /// Token ids of a text: special tokens are added as `tokenizer.json` says, unless the text begins with the first of them.
    /// `add_bos_token` and `add_eos_token` of other files do not count beside it (transformers 5.24, `_from_pretrained`).
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let starts = self.prefix().is_some_and(|(_, t)| !t.is_empty() && text.starts_with(t.as_str()));
        self.raw(text, !starts)
    }

    /// Token ids of a text alone.
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        self.raw(text, false)
    }

    fn raw(&self, text: &str, special: bool) -> Result<Vec<u32>, ModelError> {
        let encode = || self.inner.encode_fast(text, special);
        let encoding = guarded(encode).map_err(ModelError::Encode)?;
        Ok(encoding.map_err(|e| ModelError::Encode(e.to_string()))?.get_ids().to_vec())
    }

    /// The token that stands for an empty context: the first token, else the last.
    #[must_use]
    pub fn prefix(&self) -> Option<&(u32, String)> {
        self.bos.as_ref().or(self.eos.as_ref())
    }

    /// Text of some tokens, special ones left out.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        guarded(|| self.inner.decode(ids, true)).ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Number of tokens.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Identifies its files.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }
}

fn json_or_null(path: &Path) -> Result<Value, ModelError> {
    if !path.is_file() {
        return Ok(Value::Null);
    }
    let bad = |e: serde_json::Error| ModelError::Config { path: path.to_owned(), reason: e.to_string() };
    serde_json::from_slice(&read(path)?).map_err(bad)
}

fn token_text(value: Option<&Value>) -> Option<String> {
    let value = value?;
    let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
    Some(text.to_owned())
}

/// One template, or the one called `default` of several.
fn default_template(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let named =
        value.as_array()?.iter().find(|t| t.get("name").and_then(Value::as_str) == Some("default"))?;
    named.get("template")?.as_str().map(str::to_owned)
}
