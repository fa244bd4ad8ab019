//! Layouts of checkpoint folders: Hugging Face and open_clip.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::config::ClipConfig;
use super::json::json_file;
use super::{hugging_face, open_clip};
use crate::image::Preprocessor;
use crate::model::ModelError;

/// How a checkpoint folder is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderLayout {
    /// `config.json`, `preprocessor_config.json` or `processor_config.json`.
    HuggingFace,
    /// `open_clip_config.json`.
    OpenClip,
}

impl FolderLayout {
    /// The layout of a folder: open_clip's if its configuration is there and Hugging Face's is not. The
    /// `config.json` that `timm` puts beside it says no `model_type`.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let has = |name: &str| folder.join(name).is_file();
        let is_timms = || {
            let json: Option<Value> = json_file(&folder.join("config.json")).ok();
            json.is_some_and(|j| j.get("model_type").is_none())
        };
        if has("open_clip_config.json") && (!has("config.json") || is_timms()) {
            Self::OpenClip
        } else {
            Self::HuggingFace
        }
    }

    /// What `config.json` says the model is.
    #[must_use]
    pub fn model_type(folder: &Path) -> Option<String> {
        let json: Value = json_file(&folder.join("config.json")).ok()?;
        json.get("model_type").and_then(Value::as_str).map(str::to_owned)
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HuggingFace => "Hugging Face CLIP",
            Self::OpenClip => "open_clip",
        }
    }

    /// The file that holds the hyper-parameters.
    #[must_use]
    pub const fn config_file(self) -> &'static str {
        match self {
            Self::HuggingFace => "config.json",
            Self::OpenClip => "open_clip_config.json",
        }
    }

    /// The file that says how images become input.
    #[must_use]
    pub fn preprocessor_file(self, folder: &Path) -> PathBuf {
        match self {
            Self::HuggingFace => {
                let file = folder.join("preprocessor_config.json");
                let newer = folder.join("processor_config.json");
                if !file.is_file() && newer.is_file() { newer } else { file }
            }
            Self::OpenClip => folder.join(self.config_file()),
        }
    }

    /// Hyper-parameters and preprocessing.
    pub(super) fn read(self, folder: &Path) -> Result<(ClipConfig, Preprocessor), ModelError> {
        let path = folder.join(self.config_file());
        let bad = |reason| ModelError::Config { path: path.clone(), reason };
        match self {
            Self::HuggingFace => {
                let config = hugging_face::read(&json_file(&path)?).map_err(bad)?;
                let path = self.preprocessor_file(folder);
                let mut json: Value = json_file(&path)?;
                // `transformers` 5 keeps the image processor within the processor's file.
                if path.ends_with("processor_config.json") && !path.ends_with("preprocessor_config.json") {
                    json = json.get("image_processor").cloned().ok_or_else(|| ModelError::Config {
                        path: path.clone(),
                        reason: "says no `image_processor`".to_owned(),
                    })?;
                }
                let preprocessor = Preprocessor::from_hf(&json)
                    .map_err(|source| ModelError::Preprocess { path: path.clone(), source })?;
                Ok((config, preprocessor))
            }
            Self::OpenClip => open_clip::read(&json_file(&path)?).map_err(bad),
        }
    }
}
