//! Which files of a folder hold its weights.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::CheckpointError;
use super::lora;
use crate::base::account::some_of;
use crate::base::fs::{FileError, read};

/// Files that hold all weights, in the order in which `transformers` and open_clip look for them.
const WHOLE: [&str; 2] = ["model.safetensors", "open_clip_model.safetensors"];
/// Lists of shards.
const INDICES: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];
/// Pickles under a fixed name.
const PICKLES: [&str; 3] = ["pytorch_model.bin", "open_clip_pytorch_model.bin", "model-best.pth.tar"];
/// The Fisher information of a checkpoint, beside its weights: no weights itself.
pub const FISHER_FILE: &str = "fisher.safetensors";
/// The products of the inputs of its linear layers, beside its weights: `X^T X` divided by the rows of X, by the weight's name.
pub const GRAM_FILE: &str = "gram.safetensors";
/// Endings of weights under any name.
const ENDINGS: [&str; 6] = ["safetensors", "bin", "pt", "pth", "ckpt", "gguf"];

/// The weights' files of a folder: one, or the shards of an index.
pub(super) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let first = |names: &[&str]| names.iter().map(|n| folder.join(n)).find(|f| f.is_file());
    if folder.join(lora::CONFIG).is_file()
        && let Some(found) = first(&["adapter_model.safetensors", "adapter_model.bin"])
    {
        return Ok(vec![found]);
    }
    if let Some(found) = first(&WHOLE) {
        return Ok(vec![found]);
    }
    // An index of safetensors before a pickle, an index of pickles after one.
    if let Some(index) = first(&INDICES[..1]) {
        return shards(folder, &index);
    }
    if let Some(found) = first(&PICKLES[..2]) {
        return Ok(vec![found]);
    }
    if let Some(index) = first(&INDICES[1..]) {
        return shards(folder, &index);
    }
    if let Some(found) = last_epoch(folder).or_else(|| first(&PICKLES[2..])) {
        return Ok(vec![found]);
    }
    let all = std::fs::read_dir(folder).map_err(|e| FileError::new("list", folder, e))?;
    let mut lone: Vec<PathBuf> = all
        .filter_map(Result::ok)
        .map(|e| e.path())
        .filter(|p| {
            p.is_file()
                && p.file_name().is_none_or(|n| n != FISHER_FILE && n != GRAM_FILE)
                && p.extension().is_some_and(|e| ENDINGS.iter().any(|k| e.eq_ignore_ascii_case(k)))
        })
        .collect();
    lone.sort();
    match lone.len() {
        0 => Err(CheckpointError::NoWeights(folder.to_owned())),
        1 => Ok(lone),
        _ => {
            let names: Vec<String> =
                lone.iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let what =
                format!("holds several files of weights ({}); name the one that is meant", some_of(&names));
            Err(CheckpointError::Unaccounted { path: folder.to_owned(), what })
        }
    }
}

fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let bad = |reason: String| CheckpointError::Index { path: index.to_owned(), reason };
    let json: Value = serde_json::from_slice(&read(index)?).map_err(|e| bad(e.to_string()))?;
    let map = json.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| bad("`weight_map` is missing".to_owned()))?;
    let mut names: Vec<&str> = map.values().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names.dedup();
    if let Some(name) = names.iter().find(|n| n.contains(['/', '\\']) || n.is_empty()) {
        return Err(bad(format!("`{name}` is no name of a file beside it")));
    }
    if names.is_empty() {
        return Err(bad("it names no file".to_owned()));
    }
    Ok(names.into_iter().map(|n| folder.join(n)).collect())
}

/// The file `model.pth.tar-<epoch>` of the last epoch, as Dassl (CoOp and its kin) writes them.
fn last_epoch(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|e| e.path());
    let epoch = |path: &PathBuf| -> Option<u64> {
        path.file_name()?.to_str()?.strip_prefix("model.pth.tar-")?.parse().ok()
    };
    entries.filter_map(|p| Some((epoch(&p)?, p))).max().map(|(_, p)| p)
}
