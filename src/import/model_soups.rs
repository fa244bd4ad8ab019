//! The result files of model soups: a line per model, a key per data set.

use std::path::PathBuf;

use super::names::plain;
use super::{Format, Found, ImportError, files, objects, wide};
use crate::base::registry::Named;

/// The format.
pub struct ModelSoups;

impl Named for ModelSoups {
    fn name(&self) -> &'static str {
        "model-soups"
    }
    fn summary(&self) -> &'static str {
        "JSON lines with `model_name` and an accuracy per data set; no examples"
    }
    fn reference(&self) -> &'static str {
        "mlfoundations/model-soups (arXiv:2203.05482)"
    }
}

impl Format for ModelSoups {
    fn read(&self, paths: &[PathBuf]) -> Result<(Vec<Found>, Vec<String>), ImportError> {
        let mut all = Vec::new();
        for path in files(paths, &|name| name.ends_with(".jsonl"))? {
            let bad = |reason: String| ImportError::Unreadable { path: path.clone(), reason };
            for row in objects(&path)? {
                let name = row.get("model_name").and_then(serde_json::Value::as_str);
                let name = name.ok_or_else(|| bad("a line has no `model_name`".to_owned()))?;
                let probe = |key: &str| (key != "model_name").then(|| (plain(key), "top1"));
                all.extend(wide::cells(&plain(name), &row, probe).map_err(bad)?);
            }
        }
        Ok((all, Vec::new()))
    }
}
