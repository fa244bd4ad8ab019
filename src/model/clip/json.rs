//! JSON files of a checkpoint folder.

use std::path::Path;

use crate::base::fs::read;
use crate::model::ModelError;

/// Reads one.
pub fn json_file<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let bytes = read(path)?;
    let bad = |e: serde_json::Error| ModelError::Config { path: path.to_owned(), reason: e.to_string() };
    serde_json::from_slice(&bytes).map_err(bad)
}
