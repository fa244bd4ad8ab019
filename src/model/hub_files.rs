//! Which files of a hub repository make a model.

use std::path::{Path, PathBuf};

use crate::base::hub::{Hub, HubError, HubRepository};

/// A model's folder with everything that evaluation reads: configuration, tokenizer, one form of weights.
/// The folder or file of the hub that a reference (`hf:owner/name`, `hf:owner/name@revision/path`) names, fetched.
///
/// # Errors
/// If it is no reference, or cannot be had.
pub fn from_hub(hub: &Hub, reference: &str) -> Result<PathBuf, HubError> {
    let (repository, inside) = HubRepository::parse(reference)?;
    if inside.is_empty() { fetch_model(hub, &repository) } else { hub.file(&repository, &inside) }
}

fn fetch_model(hub: &Hub, repository: &HubRepository) -> Result<PathBuf, HubError> {
    if let Some(folder) = hub.folder(repository).filter(|f| missing_part(f).is_none()) {
        return Ok(folder);
    }
    if hub.is_offline() {
        let folder = hub.path(repository, "");
        return Err(hub.missing(repository, missing_part(&folder).unwrap_or("config.json")));
    }
    let names = hub.list(repository)?;
    let mut folder = None;
    for name in model_files(&names) {
        let path = hub.file(repository, name)?;
        folder = path.parent().map(Path::to_owned);
    }
    folder.ok_or_else(|| HubError::Unknown { file: "model files".to_owned(), repository: repository.clone() })
}

/// The first file that a model's folder lacks.
fn missing_part(folder: &Path) -> Option<&'static str> {
    let has = |name: &str| folder.join(name).is_file();
    if has("adapter_config.json") {
        return (!has("adapter_model.safetensors") && !has("adapter_model.bin"))
            .then_some("adapter_model.safetensors");
    }
    let open_clip = has("open_clip_config.json") && !has("config.json");
    if !open_clip && !has("config.json") {
        return Some("config.json");
    }
    if !open_clip && !has("preprocessor_config.json") && !has("processor_config.json") {
        return Some("preprocessor_config.json");
    }
    if !(has("tokenizer.json") || has("vocab.json") && has("merges.txt")) {
        return Some("tokenizer.json");
    }
    let weights = [
        "model.safetensors",
        "model.safetensors.index.json",
        "open_clip_model.safetensors",
        "pytorch_model.bin",
        "open_clip_pytorch_model.bin",
    ];
    (!weights.into_iter().any(has)).then_some(if open_clip { weights[2] } else { weights[0] })
}

/// Of a repository's files, those that a model needs; pickles only where there are no safetensors.
fn model_files(names: &[String]) -> Vec<&str> {
    let small = [
        "config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
        "merges.txt",
        "open_clip_config.json",
        "adapter_config.json",
        "classifier.json",
        "model.safetensors.index.json",
    ];
    let top = || names.iter().map(String::as_str).filter(|n| !n.contains('/'));
    let mut wanted: Vec<&str> = top().filter(|n| small.contains(n)).collect();
    // Other forms of the same weights (other types, other libraries) stay where they are.
    let is_weight = |n: &&str| {
        ["model.safetensors", "open_clip_model.safetensors", "adapter_model.safetensors"].contains(n)
            || (n.starts_with("model-") && n.ends_with(".safetensors"))
    };
    let safe: Vec<&str> = top().filter(is_weight).collect();
    if safe.is_empty() {
        let pickles = ["pytorch_model.bin", "open_clip_pytorch_model.bin", "adapter_model.bin"];
        wanted.extend(top().filter(|n| pickles.contains(n)));
    } else if wanted.contains(&"open_clip_config.json") && !wanted.contains(&"preprocessor_config.json") {
        wanted.extend(safe.iter().find(|n| n.starts_with("open_clip")).or(safe.first()));
    } else {
        wanted.extend(safe.into_iter().filter(|n| !n.starts_with("open_clip")));
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_of_weights_is_taken() {
        let names =
            ["config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "tokenizer.json"];
        let names = names.map(str::to_owned);
        assert_eq!(model_files(&names), ["config.json", "tokenizer.json", "model.safetensors"]);
        assert_eq!(model_files(&names[2..]), ["tokenizer.json", "pytorch_model.bin"]);
    }
}
