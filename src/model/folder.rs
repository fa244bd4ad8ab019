//! A checkpoint folder: configuration, weights, tokenizer, preprocessing, and perhaps a classifier.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::DType;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::clip::ClipConfig;
use super::layout::Layout;
use super::tokenizer::TextTokenizer;
use crate::base::digest::Digest;
use crate::base::fs::{FileError, read, write_atomic};
use crate::checkpoint::{CONTEXT, CheckpointError, StateDict, Tensors, write_safetensors};
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
    /// The weights are no whole model.
    #[error("`{}` is {what}", path.display())]
    Partial {
        /// The file or folder.
        path: PathBuf,
        /// What it is and what to do.
        what: String,
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
    pub weights: Arc<StateDict>,
    /// Folder that holds the tokenizer: this one or the one below.
    texts: PathBuf,
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
        let weights = StateDict::open(path)?;
        if weights.is_adapter() || !is_complete(&weights) {
            return Err(ModelError::Partial { path: path.to_owned(), what: describe(&weights) });
        }
        let layout = Layout::of(path);
        let (config, preprocessor) = layout.read(path)?;
        let config_path = path.join(layout.config_file());
        config.validate().map_err(|reason| ModelError::Config { path: config_path, reason })?;
        let classifier = read_classifier(path)?;
        let this = Self {
            path: path.to_owned(),
            layout,
            config,
            preprocessor,
            weights: Arc::new(weights),
            texts: path.to_owned(),
            classifier,
        };
        this.check_input_size()?;
        this.check_classifier()?;
        Ok(this)
    }

    /// Opens a file or folder that holds a part of the weights (a LoRA adapter, an image encoder with a
    /// head, a head alone, learned context) on top of `base`, which gives everything else: configuration,
    /// preprocessing, tokenizer, and every tensor that is not there. `classes` names the rows of the head,
    /// unless a `classifier.json` does.
    pub fn open_over(path: &Path, base: &Self, classes: Option<&[String]>) -> Result<Self, ModelError> {
        let weights = StateDict::open(path)?.over(Arc::clone(&base.weights))?;
        let own_head = weights.own().contains(&Classifier::WEIGHT);
        let named = || classes.map(|c| Classifier { classes: c.to_vec() });
        let classifier = match (read_classifier(path)?.or_else(named), own_head) {
            (Some(classifier), true) => Some(classifier),
            (None, true) => {
                return Err(ModelError::Partial {
                    path: path.to_owned(),
                    what: "a head whose classes nobody names; give `classes = FILE` in the suite, or a \
                           classifier.json beside it"
                        .to_owned(),
                });
            }
            (_, false) => base.classifier.clone(),
        };
        let this = Self {
            path: path.to_owned(),
            layout: base.layout,
            config: base.config.clone(),
            preprocessor: base.preprocessor.clone(),
            weights: Arc::new(weights),
            texts: base.texts.clone(),
            classifier,
        };
        this.check_classifier()?;
        Ok(this)
    }

    /// Whether a tensor belongs to a head (a classifier, learned context): heads are combined row by row
    /// for the classes of each probe, not tensor by tensor.
    #[must_use]
    pub fn is_head(name: &str) -> bool {
        name == Classifier::WEIGHT || name == Classifier::BIAS || name == CONTEXT
    }

    /// What the weights are, in words.
    #[must_use]
    pub fn kind(&self) -> String {
        describe(&self.weights)
    }

    /// Whether the checkpoint holds learned context vectors in place of templates.
    #[must_use]
    pub fn has_context(&self) -> bool {
        self.weights.contains(CONTEXT)
    }

    fn check_classifier(&self) -> Result<(), ModelError> {
        let Some(classifier) = &self.classifier else { return Ok(()) };
        let shape = self.weights.entries().get(Classifier::WEIGHT).map(|i| i.shape.clone());
        let expected = vec![classifier.classes.len(), self.config.projection_dim];
        if shape.as_ref() == Some(&expected) {
            return Ok(());
        }
        let found = shape.map_or_else(|| "missing".to_owned(), |s| format!("{s:?}"));
        Err(ModelError::Config {
            path: self.path.clone(),
            reason: format!("`{}` is {found}; {expected:?} is needed for its classes", Classifier::WEIGHT),
        })
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
        TextTokenizer::open(&self.texts.join("tokenizer.json"), length)
    }

    /// Digest of the tokenizer file.
    pub fn tokenizer_digest(&self) -> Result<Digest, ModelError> {
        Ok(Digest::of_file(&self.texts.join("tokenizer.json"))?)
    }

    /// Digest of everything that a prediction depends on except the tokenizer.
    pub fn digest(&self) -> Result<Digest, ModelError> {
        let parts = (self.weights.digest()?, &self.config, &self.preprocessor, &self.classifier);
        Ok(Digest::of_value(&parts))
    }

    /// Writes a complete folder that is this one with other weights, in f32.
    pub fn write_with(&self, path: &Path, tensors: &Tensors) -> Result<(), ModelError> {
        let tokenizer = read(&self.texts.join("tokenizer.json"))?;
        let classifier = self.classifier.as_ref().filter(|_| tensors.contains_key(Classifier::WEIGHT));
        let (config, preprocessor) = (&self.config, &self.preprocessor);
        Self::write(path, config, preprocessor, &tokenizer, tensors, classifier, DType::F32)
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

fn read_classifier(path: &Path) -> Result<Option<Classifier>, ModelError> {
    let path = path.join("classifier.json");
    path.is_file().then(|| json_file(&path)).transpose()
}

fn is_complete(weights: &StateDict) -> bool {
    let has = |prefix: &str| weights.entries().keys().any(|n| n.starts_with(prefix));
    has("vision_model.") && has("text_model.encoder.")
}

/// What a checkpoint holds, in words.
fn describe(weights: &StateDict) -> String {
    let own = weights.own();
    let has = |prefix: &str| own.iter().any(|n| n.starts_with(prefix));
    let over = "; name the checkpoint it belongs to with `base = ID` in the suite (or `--base DIR`)";
    if weights.is_adapter() {
        let done = own.len();
        return format!("a LoRA adapter of {done} tensors{over}");
    }
    let mut parts = Vec::new();
    if has("vision_model.") {
        parts.push("image tower");
    }
    if has("text_model.encoder.") {
        parts.push("text tower");
    }
    if has("classifier.") {
        parts.push("linear head");
    }
    if has(CONTEXT) {
        parts.push("learned context");
    }
    match parts[..] {
        [] => "no part of a model that is known here".to_owned(),
        ["image tower", "text tower", ..] => parts.join(", "),
        _ => format!("a part of a model ({}){over}", parts.join(", ")),
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
