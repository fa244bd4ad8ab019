//! The result files of CLIP benchmark: a JSON object per model and data set, or the CSV that `clip_benchmark build` makes.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::names::plain;
use super::{Format, Found, ImportError, files, objects, proportion};
use crate::base::registry::Named;

/// The format.
pub struct ClipBenchmark;

impl Named for ClipBenchmark {
    fn name(&self) -> &'static str {
        "clip-benchmark"
    }
    fn summary(&self) -> &'static str {
        "JSON files of a model on a data set, or the CSV of many; no examples"
    }
    fn reference(&self) -> &'static str {
        "LAION-AI/CLIP_benchmark"
    }
}

/// Its metrics and ours.
const METRICS: [(&str, &str); 3] =
    [("acc1", "top1"), ("acc5", "top5"), ("mean_per_class_recall", "mean_per_class")];

impl Format for ClipBenchmark {
    fn read(&self, paths: &[PathBuf]) -> Result<(Vec<Found>, Vec<String>), ImportError> {
        let (mut all, mut left_out) = (Vec::new(), Vec::new());
        for path in files(paths, &|name| name.ends_with(".json") || name.ends_with(".csv"))? {
            let is_table = path.extension().is_some_and(|e| e == "csv");
            for row in if is_table { table(&path)? } else { objects(&path)? } {
                let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
                let (data, task) = (text("dataset"), text("task"));
                if data.is_empty() {
                    let reason = "an entry has no `dataset`".to_owned();
                    return Err(ImportError::Unreadable { path, reason });
                }
                let variant = plain(&format!("{}-{}", text("model"), text("pretrained")));
                let metrics = row.get("metrics").and_then(Value::as_object).unwrap_or(&row);
                let scores: Vec<_> = METRICS
                    .iter()
                    .filter_map(|(theirs, ours)| {
                        Some((*ours, proportion(number(metrics.get(*theirs)?)?, None)))
                    })
                    .collect();
                if scores.is_empty() {
                    left_out.push(format!("`{variant}` on `{data}` ({task}): no accuracy among its metrics"));
                    continue;
                }
                all.push(Found { variant, probe: plain(data), scores, rows: None });
            }
        }
        Ok((all, left_out))
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn table(path: &Path) -> Result<Vec<Map<String, Value>>, ImportError> {
    let bad = |e: csv::Error| ImportError::Unreadable { path: path.to_owned(), reason: e.to_string() };
    let text = crate::base::fs::read_text(path)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().map_err(bad)?.clone();
    let row = |r: csv::Result<csv::StringRecord>| {
        let r = r.map_err(bad)?;
        Ok(head.iter().zip(&r).map(|(k, v)| (k.to_owned(), Value::from(v))).collect())
    };
    reader.records().map(row).collect()
}
