//! The result databases of WiSE-FT's code: a line per model, with its arguments and a key per data set and metric.

use std::path::PathBuf;

use serde_json::Value;

use super::names::plain;
use super::{Format, Found, ImportError, files, objects, wide};
use crate::base::registry::Named;

/// The format.
pub struct WiseFt;

impl Named for WiseFt {
    fn name(&self) -> &'static str {
        "wise-ft"
    }
    fn summary(&self) -> &'static str {
        "JSON lines with `alpha` and `DATASET:top1`; no examples"
    }
    fn reference(&self) -> &'static str {
        "mlfoundations/wise-ft (arXiv:2109.01903)"
    }
}

impl Format for WiseFt {
    fn read(&self, paths: &[PathBuf]) -> Result<(Vec<Found>, Vec<String>), ImportError> {
        let (mut all, mut left_out) = (Vec::new(), Vec::new());
        for path in files(paths, &|name| name.ends_with(".jsonl"))? {
            let bad = |reason: String| ImportError::Unreadable { path: path.clone(), reason };
            for row in objects(&path)? {
                let text = |key: &str| row.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
                let curve = text("exp_name").or_else(|| text("model")).unwrap_or("wise-ft");
                let curve = plain(curve);
                let variant = match row.get("alpha") {
                    Some(Value::Number(alpha)) => format!("{curve}@{alpha}"),
                    // One run with several alphas writes each; a list is of the arguments of a fine-tuning.
                    _ => curve,
                };
                let probe = |key: &str| {
                    let (data, metric) = key.rsplit_once(':')?;
                    (metric == "top1").then(|| (plain(data), "top1"))
                };
                for key in row.keys().filter(|k| k.contains(':') && probe(k).is_none()) {
                    left_out.push(format!("`{key}` of `{variant}`: only top1 is read"));
                }
                all.extend(wide::cells(&variant, &row, probe).map_err(bad)?);
            }
        }
        Ok((all, left_out))
    }
}
