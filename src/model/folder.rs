//! A checkpoint folder: configuration, weights, tokenizer, preprocessing, and perhaps a classifier.

use std::path::{Path, PathBuf};

use candle_core::DType;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::clip::ClipConfig;
use super::layout::Layout;
use super::tokenizer::TextTokenizer;
use crate::base::digest::Digest;
use crate::base::fs::{FileError, read, write_atomic};
use crate::checkpoint::{CheckpointError, StateDict, Tensors, write_safetensors};
use crate::image::{PreprocessError, Preprocessor};

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file is missing or cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The weights cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// `config.json` or another JSON file is not what it should be.
    #[error("`{}`: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// `preprocessor_config.json` asks for something unknown.
    #[error("`{}`: {source}", path.display())]
    Preprocess {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PreprocessError,
    },
    /// `tokenizer.json` cannot be used.
    #[error("`{}` is not a usable tokenizer: {reason}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What the tokenizers crate said.
        reason: String,
    },
    /// A text cannot be tokenized.
    #[error("cannot tokenize: {0}")]
    Encode(String),
    /// The arithmetic failed (a shape, a device).
    #[error("{context}: {source}")]
    Compute {
        /// What was being computed.
        context: String,
        /// What candle said.
        source: candle_core::Error,
    },
}

impl ModelError {
    /// Wraps a candle error with what was being computed.
    pub fn compute(context: impl Into<String>) -> impl FnOnce(candle_core::Error) -> Self {
        let context = context.into();
        move |source| Self::Compute { context, source }
    }
}

/// Names of the classifier's tensors in the weights file.
const CLASSIFIER_WEIGHT: &str = "classifier.weight";
const CLASSIFIER_BIAS: &str = "classifier.bias";

/// What `classifier.json` says of a fine-tuned classifier (tensors `classifier.weight`
/// `[classes, projection_dim]` and `classifier.bias` `[classes]` in the weights file).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classifier {
    /// Class names, row by row.
    pub classes: Vec<String>,
}

impl Classifier {
    /// The tensor with one row per class.
    pub const WEIGHT: &str = CLASSIFIER_WEIGHT;
    /// The tensor with one value per class.
    pub const BIAS: &str = CLASSIFIER_BIAS;

    /// The rows of these classes, if all of them are known.
    #[must_use]
    pub fn rows(&self, classes: &[String]) -> Option<Vec<u32>> {
        let row = |name: &String| self.classes.iter().position(|c| c == name).map(|i| i as u32);
        classes.iter().map(row).collect()
    }
}

/// A checkpoint folder in any known layout.
pub struct CheckpointFolder {
    /// The folder.
    pub path: PathBuf,
    /// How it is laid out.
    pub layout: Layout,
    /// Shapes and hyper-parameters.
    pub config: ClipConfig,
    /// How images become input.
    pub preprocessor: Preprocessor,
    /// The weights.
    pub weights: StateDict,
    /// The fine-tuned classifier, if there is one.
    pub classifier: Option<Classifier>,
}

impl CheckpointFolder {
    /// Opens a folder and checks that configuration and weights fit together.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        if !path.is_dir() {
            let missing = std::io::ErrorKind::NotFound.into();
            return Err(FileError::new("open checkpoint folder", path, missing).into());
        }
        let layout = Layout::of(path);
        let (config, preprocessor) = layout.read(path)?;
        let config_path = path.join(layout.config_file());
        config.validate().map_err(|reason| ModelError::Config { path: config_path, reason })?;
        let classifier_path = path.join("classifier.json");
        let classifier = classifier_path.is_file().then(|| json_file(&classifier_path)).transpose()?;
        let weights = StateDict::open(path)?;
        let this = Self { path: path.to_owned(), layout, config, preprocessor, weights, classifier };
        this.check_input_size()?;
        Ok(this)
    }

    fn check_input_size(&self) -> Result<(), ModelError> {
        let side = self.config.vision_config.image_size;
        match self.preprocessor.output_size() {
            Some(size) if size == (side, side) => Ok(()),
            size => Err(ModelError::Config {
                path: self.path.join(self.layout.config_file()),
                reason: format!("produces images of {size:?}, the model reads {side} x {side}"),
            }),
        }
    }

    /// The tokenizer beside the weights.
    pub fn tokenizer(&self) -> Result<TextTokenizer, ModelError> {
        let length = self.config.text_config.max_position_embeddings;
        TextTokenizer::open(&self.path.join("tokenizer.json"), length)
    }

    /// Digest of the tokenizer file.
    pub fn tokenizer_digest(&self) -> Result<Digest, ModelError> {
        Ok(Digest::of_file(&self.path.join("tokenizer.json"))?)
    }

    /// Digest of everything that a prediction depends on except the tokenizer.
    pub fn digest(&self) -> Result<Digest, ModelError> {
        let parts = (self.weights.digest()?, &self.config, &self.preprocessor, &self.classifier);
        Ok(Digest::of_value(&parts))
    }

    /// Writes a complete folder. Weights are stored in `dtype`.
    pub fn write(
        path: &Path,
        config: &ClipConfig,
        preprocessor: &Preprocessor,
        tokenizer_json: &[u8],
        tensors: &Tensors,
        classifier: Option<&Classifier>,
        dtype: DType,
    ) -> Result<(), ModelError> {
        write_json(&path.join("config.json"), config)?;
        write_json(&path.join("preprocessor_config.json"), &hf_preprocessor(preprocessor))?;
        write_atomic(&path.join("tokenizer.json"), tokenizer_json)?;
        if let Some(classifier) = classifier {
            write_json(&path.join("classifier.json"), classifier)?;
        }
        write_safetensors(&path.join("model.safetensors"), tensors, dtype)?;
        Ok(())
    }
}

pub(super) fn json_file<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let bytes = read(path)?;
    let bad = |e: serde_json::Error| ModelError::Config { path: path.to_owned(), reason: e.to_string() };
    serde_json::from_slice(&bytes).map_err(bad)
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), ModelError> {
    let mut text = serde_json::to_string_pretty(value).expect("plain data always has a JSON form");
    text.push('\n');
    Ok(write_atomic(path, text.as_bytes())?)
}

/// The Hugging Face spelling of a CLIP-style preprocessing (shortest side, centre crop).
fn hf_preprocessor(p: &Preprocessor) -> Value {
    let (height, width) = p.output_size().unwrap_or((0, 0));
    json!({
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": true, "do_resize": true, "do_center_crop": true,
        "do_rescale": true, "do_normalize": true,
        "size": {"shortest_edge": height.min(width)},
        "crop_size": {"height": height, "width": width},
        "resample": 3, "rescale_factor": p.rescale,
        "image_mean": p.mean, "image_std": p.std,
    })
}
