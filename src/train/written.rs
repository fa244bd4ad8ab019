//! What is written of a training: the checkpoint, and how it was made.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Recipe, TrainError, TunedModel};
use crate::base::fs::write_atomic;
use crate::checkpoint::write_safetensors;
use crate::image::Preprocessor;
use crate::model::clip::CheckpointFolder;

/// How a checkpoint was made; `training.json` in its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Training {
    /// The program's version.
    pub specbench: String,
    /// Name of the method.
    pub method: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Optimiser steps.
    pub steps: usize,
    /// Trained values.
    pub parameters: usize,
    /// What was learned from.
    pub data: Vec<TrainingData>,
    /// Digests of all that the recipe reads, by its key.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
}

/// A data set that was learned from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingData {
    /// Key of `datasets.toml`, or the task's own.
    pub dataset: String,
    /// Its split.
    pub split: String,
    /// Digest of its files.
    pub digest: String,
}

impl Training {
    /// Name of its file.
    pub const FILE: &str = "training.json";

    /// What a checkpoint's folder says of itself, if it says it.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        let text = std::fs::read(folder.join(Self::FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Text of a recipe within its result.
pub(super) const RECIPE: &str = "recipe.toml";
/// Loss and learning rate by step.
pub(super) const LOG: &str = "train.csv";

/// Writes the model.
pub(super) fn write_model(recipe: &Recipe, model: TunedModel) -> Result<(), TrainError> {
    let (out, dtype) = (&recipe.out, recipe.store.dtype());
    match model {
        TunedModel::Changed { from, tensors, classifier } => {
            from.write_with(out, &tensors, classifier.as_ref(), dtype)?;
        }
        TunedModel::Language { files, tensors } => {
            for (name, file) in files {
                write_atomic(&out.join(name), &file)?;
            }
            write_safetensors(&out.join("model.safetensors"), &tensors, dtype)?;
        }
        TunedModel::Part { tensors } => {
            write_safetensors(&out.join("model.safetensors"), &tensors, dtype)?;
        }
        TunedModel::Adapter { config, tensors } => {
            let text = serde_json::to_string_pretty(&config).expect("plain data always has a JSON form");
            write_atomic(&out.join("adapter_config.json"), text.as_bytes())?;
            write_safetensors(&out.join("adapter_model.safetensors"), &tensors, dtype)?;
        }
        TunedModel::New { config, tensors, tokenizer } => {
            let preprocessor = Preprocessor::clip(config.vision_config.image_size);
            CheckpointFolder::write(out, &config, &preprocessor, &tokenizer, &tensors, dtype)?;
        }
    }
    Ok(())
}

/// Writes how it was made; last, so that a folder that has it is whole.
pub(super) fn write_training(recipe: &Recipe, training: &Training, log: &[u8]) -> Result<(), TrainError> {
    write_atomic(&recipe.out.join(RECIPE), recipe.text.as_bytes())?;
    write_atomic(&recipe.out.join(LOG), log)?;
    let mut text = serde_json::to_string_pretty(training).expect("plain data always has a JSON form");
    text.push('\n');
    write_atomic(&recipe.out.join(Training::FILE), text.as_bytes())?;
    Ok(())
}

/// Whether the result of a recipe is there: it was finished, by this very text, of these very inputs.
pub(super) fn is_finished(recipe: &Recipe, inputs: &BTreeMap<String, String>) -> bool {
    let same = std::fs::read_to_string(recipe.out.join(RECIPE)).is_ok_and(|text| text == recipe.text);
    same && Training::of(&recipe.out).is_some_and(|training| training.inputs == *inputs)
}
