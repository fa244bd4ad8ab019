//! The one wrapper of the `tokenizers` crate.

use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};

use super::ModelError;

/// A text tokenizer from `tokenizer.json`.
pub struct TextTokenizer {
    inner: Tokenizer,
}

impl TextTokenizer {
    /// Reads `tokenizer.json`; texts are cut to `max_length` tokens, the end token included.
    pub fn open(path: &Path, max_length: usize) -> Result<Self, ModelError> {
        let bytes = crate::base::fs::read(path)?;
        let bad = |reason: tokenizers::Error| ModelError::Tokenizer {
            path: path.to_owned(),
            reason: reason.to_string(),
        };
        let mut inner = Tokenizer::from_bytes(bytes).map_err(bad)?;
        inner.with_padding(None);
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        inner.with_truncation(Some(truncation)).map_err(bad)?;
        Ok(Self { inner })
    }

    /// Token ids of each text, with start and end tokens.
    pub fn encode(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, ModelError> {
        let bad = |e: tokenizers::Error| ModelError::Encode(e.to_string());
        let encodings = self.inner.encode_batch(texts.to_vec(), true).map_err(bad)?;
        Ok(encodings.iter().map(|e| e.get_ids().to_vec()).collect())
    }
}
