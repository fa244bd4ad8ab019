//! What training carries from step to step, written down so that it goes on where it was stopped.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::DType;
use serde::{Deserialize, Serialize};

use super::outputs::Parameters;
use crate::base::fs::{FileError, write_atomic};
use crate::checkpoint::{CheckpointError, StateDict, Tensors, Weights as _, write_safetensors};

/// Copies of the trained values as they are.
pub(super) fn copies(parameters: &Parameters) -> candle_core::Result<Tensors> {
    parameters.iter().map(|(name, var)| Ok((name.clone(), var.as_tensor().copy()?))).collect()
}

/// Tensors under `prefix.`.
pub(super) fn under(prefix: &str, all: &Tensors) -> Tensors {
    all.iter().map(|(name, tensor)| (format!("{prefix}.{name}"), tensor.clone())).collect()
}

/// Those of a state that stand under `prefix.`, without it.
pub(super) fn of(prefix: &str, state: &Tensors) -> Tensors {
    let own = |name: &str| name.strip_prefix(prefix)?.strip_prefix('.').map(str::to_owned);
    state.iter().filter_map(|(name, tensor)| Some((own(name)?, tensor.clone()))).collect()
}

/// Which file holds the state, of which recipe, after how many steps.
#[derive(Serialize, Deserialize)]
struct Pointer {
    step: usize,
    recipe: String,
    file: String,
}

/// The folder of a run's state, beside what will be its checkpoint.
pub(super) struct Resume {
    folder: PathBuf,
    recipe: String,
}

const POINTER: &str = "state.json";

impl Resume {
    /// The state of a recipe that writes into `out`.
    pub fn new(out: &Path, recipe: &str) -> Self {
        Self { folder: out.join("resume"), recipe: recipe.to_owned() }
    }

    /// The last state, if there is one of this recipe.
    pub fn load(&self) -> Result<Option<(usize, Tensors)>, CheckpointError> {
        let Ok(text) = fs::read(self.folder.join(POINTER)) else { return Ok(None) };
        let Ok(pointer) = serde_json::from_slice::<Pointer>(&text) else { return Ok(None) };
        if pointer.recipe != self.recipe {
            return Ok(None);
        }
        let state = StateDict::open(&self.folder.join(&pointer.file))?.load_all()?;
        Ok(Some((pointer.step, state)))
    }

    /// Writes the state after a step: first the tensors, then what points to them, then the earlier ones go.
    pub fn save(&self, step: usize, state: &Tensors) -> Result<(), CheckpointError> {
        let file = format!("step-{step}.safetensors");
        write_safetensors(&self.folder.join(&file), state, DType::F32)?;
        let pointer = Pointer { step, recipe: self.recipe.clone(), file: file.clone() };
        let text = serde_json::to_string(&pointer).expect("plain data always has a JSON form");
        write_atomic(&self.folder.join(POINTER), text.as_bytes())?;
        let Ok(entries) = fs::read_dir(&self.folder) else { return Ok(()) };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            if name != POINTER && name != file.as_str() {
                // What is left behind costs space alone.
                drop(fs::remove_file(entry.path()));
            }
        }
        Ok(())
    }

    /// Removes it all: the checkpoint is there.
    pub fn clear(&self) -> Result<(), FileError> {
        match fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError::new("remove", &self.folder, e))
            }
            _ => Ok(()),
        }
    }
}
