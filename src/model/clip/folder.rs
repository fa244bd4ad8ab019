//! A checkpoint folder: configuration, weights, tokenizer, preprocessing, and perhaps a classifier.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::DType;
use serde::Serialize;

use super::account::{account, describe, is_complete};
use super::classifier::{Classifier, is_head};
use super::combined_head::CombinedHead;
use super::config::{ClipConfig, TextPool};
use super::hugging_face;
use super::image_projector::ImageProjector;
use super::json::json_file;
use super::layout::FolderLayout;
use super::names::{CONTEXT, ClipNames};
use super::tokenizer::TextTokenizer;
use crate::base::digest::Digest;
use crate::base::fs::{FileError, read, write_atomic};
use crate::checkpoint::{StateDict, Tensors, Weights, write_safetensors};
use crate::image::Preprocessor;
use crate::model::{Architecture, ImageReader, ModelError};

/// A checkpoint folder in any known layout.
pub struct CheckpointFolder {
    /// The folder.
    pub path: PathBuf,
    /// How it is laid out.
    pub layout: FolderLayout,
    /// Shapes and hyper-parameters.
    pub config: ClipConfig,
    /// How images become input.
    pub reader: ImageReader,
    /// The weights.
    pub weights: Arc<dyn Weights>,
    /// The files that they are, or the first of those that they are combined from.
    pub(super) stored: Arc<StateDict>,
    /// Folder that holds configuration and tokenizer: this one or the one below.
    home: PathBuf,
    /// The fine-tuned classifier, if there is one.
    pub classifier: Option<Classifier>,
    /// What makes the classifier's rows, if they are not among the weights.
    pub(super) combined_head: Option<Arc<CombinedHead>>,
    /// Whose texts make the head, if not its own.
    pub(super) borrowed_head: Option<Arc<dyn Architecture>>,
}

impl CheckpointFolder {
    /// Opens a folder and checks that configuration and weights fit together.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::open_named(path, None)
    }

    /// As [`CheckpointFolder::open`]; `classes` names the rows of the head, unless a `classifier.json` does.
    pub fn open_named(path: &Path, classes: Option<&[String]>) -> Result<Self, ModelError> {
        if !path.is_dir() {
            return Err(no_folder(path));
        }
        let weights = StateDict::open_as(path, &ClipNames)?;
        if weights.is_adapter() || !is_complete(&weights) {
            return Err(ModelError::Partial { path: path.to_owned(), what: describe(&weights) });
        }
        let layout = FolderLayout::of(path);
        let (config, preprocessor) = layout.read(path)?;
        let config_path = path.join(layout.config_file());
        config.validate().map_err(|reason| ModelError::Config { path: config_path, reason })?;
        account(&weights, &config, true)?;
        let classifier = own_classifier(path, &weights, classes)?;
        let weights = Arc::new(weights);
        let this = Self {
            path: path.to_owned(),
            layout,
            config,
            reader: ImageReader(preprocessor),
            stored: Arc::clone(&weights),
            weights,
            home: path.to_owned(),
            classifier,
            combined_head: None,
            borrowed_head: None,
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
        if !path.exists() {
            return Err(no_folder(path));
        }
        let weights = StateDict::open_as(path, &ClipNames)?;
        if weights.is_adapter() {
            if path.join("config.json").is_file() && is_complete(&weights) {
                let what = "both a whole model and an adapter; give them in folders of their own".to_owned();
                return Err(ModelError::Partial { path: path.to_owned(), what });
            }
        } else {
            account(&weights, &base.config, false)?;
        }
        let weights = weights.over(Arc::clone(&base.stored) as Arc<dyn Weights>)?;
        let classifier = match own_classifier(path, &weights, classes)? {
            Some(classifier) => Some(classifier),
            None => base.classifier.clone(),
        };
        let weights = Arc::new(weights);
        let this = Self {
            path: path.to_owned(),
            layout: base.layout,
            config: base.config.clone(),
            reader: base.reader.clone(),
            stored: Arc::clone(&weights),
            weights,
            home: base.home.clone(),
            classifier,
            combined_head: None,
            borrowed_head: None,
        };
        this.check_classifier()?;
        Ok(this)
    }

    /// Whether a tensor belongs to a head (a classifier, learned context): heads are combined row by row
    /// for the classes of each probe, not tensor by tensor.
    #[must_use]
    pub fn is_head(name: &str) -> bool {
        is_head(name)
    }

    /// What the weights are, in words.
    #[must_use]
    pub fn kind(&self) -> String {
        describe(&self.stored)
    }

    /// Its learned context vectors, if it has some.
    pub fn stored_context(&self) -> Result<Option<candle_core::Tensor>, ModelError> {
        Ok(if self.has_context() { Some(self.weights.load(CONTEXT)?) } else { None })
    }

    /// Whether the checkpoint holds learned context vectors in place of templates.
    #[must_use]
    pub fn has_context(&self) -> bool {
        self.weights.contains(CONTEXT)
    }

    /// Width of an image's features.
    #[must_use]
    pub fn feature_width(&self) -> usize {
        ImageProjector::width(&*self.weights).unwrap_or(self.config.projection_dim)
    }

    /// Refuses a checkpoint that is evaluated alone.
    ///
    /// # Errors
    /// If it holds a projector, whose head is another's.
    pub fn check_tunable(&self) -> Result<(), ModelError> {
        match ImageProjector::width(&*self.weights) {
            None => Ok(()),
            Some(_) => Err(ModelError::Unlike(format!(
                "`{}` holds PromptKD's projector; such a checkpoint is evaluated, not tuned",
                self.path.display()
            ))),
        }
    }

    fn check_classifier(&self) -> Result<(), ModelError> {
        let Some(classifier) = &self.classifier else { return Ok(()) };
        let shape_of = |name: &str| self.weights.info(name).map(|i| i.shape);
        let shape = shape_of(Classifier::WEIGHT);
        let expected = vec![classifier.classes.len(), self.feature_width()];
        if shape.as_ref() == Some(&expected) {
            return match shape_of(Classifier::BIAS) {
                Some(bias) if bias != expected[..1] => Err(ModelError::Config {
                    path: self.path.clone(),
                    reason: format!("`{}` is {bias:?}; {:?} is needed", Classifier::BIAS, &expected[..1]),
                }),
                _ => Ok(()),
            };
        }
        let found = shape.map_or_else(|| "missing".to_owned(), |s| format!("{s:?}"));
        Err(ModelError::Config {
            path: self.path.clone(),
            reason: format!("`{}` is {found}; {expected:?} is needed for its classes", Classifier::WEIGHT),
        })
    }

    fn check_input_size(&self) -> Result<(), ModelError> {
        let side = self.config.vision_config.image_size;
        match self.reader.0.output_size() {
            Some(size) if size == (side, side) => Ok(()),
            size => Err(ModelError::Config {
                path: self.layout.preprocessor_file(&self.path),
                reason: format!("produces images of {size:?}, the model reads {side} x {side}"),
            }),
        }
    }

    /// The tokenizer beside the weights.
    pub fn tokenizer(&self) -> Result<TextTokenizer, ModelError> {
        TextTokenizer::open(&self.home, &self.config.text_config)
    }

    /// In what two checkpoints read images or texts differently, if they do. Files may differ where their meaning does
    /// not: tokenizers count as equal if they give the same tokens for all of `texts` (their own vocabulary's pieces
    /// where there are none), and the legacy end token as equal to the one that it stands for.
    pub fn differs_on(
        &self,
        other: &Self,
        texts: Option<&[String]>,
    ) -> Result<Option<&'static str>, ModelError> {
        if self.reader != other.reader {
            return Ok(Some("preprocessing"));
        }
        if self.tokenizer_files_digest()? != other.tokenizer_files_digest()? {
            let (a, b) = (self.tokenizer()?, other.tokenizer()?);
            let same = match texts {
                Some(texts) => a.encode(texts)? == b.encode(texts)?,
                None => a.is_like(&b)?,
            };
            if !same {
                return Ok(Some("tokenizer"));
            }
        }
        let mut config = other.config.clone();
        // Used only when a model is made.
        config.logit_scale_init_value = self.config.logit_scale_init_value;
        let pools = (self.config.text_config.pool, config.text_config.pool);
        if let (TextPool::LargestId, TextPool::Token(end)) | (TextPool::Token(end), TextPool::LargestId) =
            pools
            && self.tokenizer()?.ends_with_largest(end)?
        {
            config.text_config.pool = self.config.text_config.pool;
        }
        Ok((self.config != config).then_some("configuration"))
    }

    /// Digest of the tokenizer's files.
    pub fn tokenizer_files_digest(&self) -> Result<Digest, ModelError> {
        TextTokenizer::digest(&self.home)
    }

    /// The same checkpoint with a head of another's texts.
    pub(super) fn borrowing(&self, head: Arc<dyn Architecture>) -> Self {
        Self { borrowed_head: Some(head), ..self.with_weights(Arc::clone(&self.weights), None) }
    }

    /// The same model with combined weights, and perhaps a head that is combined apart.
    pub(super) fn with_weights(
        &self,
        weights: Arc<dyn Weights>,
        combined_head: Option<Arc<CombinedHead>>,
    ) -> Self {
        Self {
            path: self.path.clone(),
            layout: self.layout,
            config: self.config.clone(),
            reader: self.reader.clone(),
            weights,
            stored: Arc::clone(&self.stored),
            home: self.home.clone(),
            classifier: self.classifier.clone(),
            combined_head,
            borrowed_head: self.borrowed_head.clone(),
        }
    }

    /// Writes a complete folder that is this one with other weights: configuration, preprocessing and tokenizer are
    /// copied as they are, and tensors keep the names and shapes of this checkpoint's layout.
    pub fn write_with(
        &self,
        path: &Path,
        tensors: &Tensors,
        classifier: Option<&Classifier>,
        dtype: DType,
    ) -> Result<(), ModelError> {
        for name in DESCRIPTIONS {
            let from = self.home.join(name);
            if from.is_file() {
                write_atomic(&path.join(name), &read(&from)?)?;
            }
        }
        let names = path.join("classifier.json");
        match classifier {
            Some(classifier) => write_json(&names, classifier)?,
            // Of an earlier checkpoint in the same folder.
            None if names.exists() => {
                std::fs::remove_file(&names).map_err(|e| FileError::new("remove", &names, e))?;
            }
            None => {}
        }
        let file = match self.layout {
            FolderLayout::HuggingFace => "model.safetensors",
            FolderLayout::OpenClip => "open_clip_model.safetensors",
        };
        write_safetensors(&path.join(file), &self.stored.as_stored(tensors)?, dtype)?;
        Ok(())
    }

    /// Writes a complete folder of a model made from scratch, in the Hugging Face layout. Weights are stored in
    /// `dtype`.
    pub fn write(
        path: &Path,
        config: &ClipConfig,
        preprocessor: &Preprocessor,
        tokenizer_json: &[u8],
        tensors: &Tensors,
        dtype: DType,
    ) -> Result<(), ModelError> {
        let config_path = path.join("config.json");
        let json = hugging_face::write(config);
        let json = json.map_err(|reason| ModelError::Config { path: config_path.clone(), reason })?;
        write_json(&config_path, &json)?;
        let preprocessor_path = path.join("preprocessor_config.json");
        let json = preprocessor.to_hf();
        let json =
            json.map_err(|source| ModelError::Preprocess { path: preprocessor_path.clone(), source })?;
        write_json(&preprocessor_path, &json)?;
        write_atomic(&path.join("tokenizer.json"), tokenizer_json)?;
        write_safetensors(&path.join("model.safetensors"), tensors, dtype)?;
        Ok(())
    }
}

/// Files beside the weights that say what the model is.
const DESCRIPTIONS: [&str; 9] = [
    "config.json",
    "open_clip_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
];

/// A path that is not there, with the hub in mind where it looks like one of its names.
fn no_folder(path: &Path) -> ModelError {
    let text = path.to_string_lossy();
    let mut parts = text.split('/');
    let named = |p: Option<&str>| p.is_some_and(|p| !p.is_empty() && !p.starts_with('.'));
    if !path.exists()
        && !text.starts_with("hf:")
        && named(parts.next())
        && named(parts.next())
        && parts.next().is_none()
    {
        let what = format!("not there; for the model of that name on the hub write `hf:{text}`");
        return ModelError::Partial { path: path.to_owned(), what };
    }
    if path.is_file() {
        let what = "a file; give the folder with its configuration and tokenizer, or name the model it belongs to \
                    with `base`";
        return ModelError::Partial { path: path.to_owned(), what: what.to_owned() };
    }
    FileError::new("open checkpoint folder", path, std::io::ErrorKind::NotFound.into()).into()
}

/// The classifier among a checkpoint's own weights, with the names of its rows: from `classifier.json`, or given.
fn own_classifier(
    path: &Path,
    weights: &StateDict,
    classes: Option<&[String]>,
) -> Result<Option<Classifier>, ModelError> {
    let file = path.join("classifier.json");
    let named: Option<Classifier> = file.is_file().then(|| json_file(&file)).transpose()?;
    let partial = |what: &str| ModelError::Partial { path: path.to_owned(), what: what.to_owned() };
    let own_head = weights.own().contains(&Classifier::WEIGHT);
    match (named, classes, own_head) {
        (Some(named), Some(given), true) if named.classes != given => {
            Err(partial("a head whose classes both its classifier.json and `classes` name, differently"))
        }
        (Some(classifier), _, true) => Ok(Some(classifier)),
        (None, Some(given), true) => Ok(Some(Classifier { classes: given.to_vec() })),
        (None, None, true) => Err(partial(
            "a head whose classes nobody names; give `classes = FILE` in the suite, or a classifier.json beside it",
        )),
        (None, None, false) => Ok(None),
        (Some(_), _, false) => {
            Err(partial("a folder with a classifier.json whose weights hold no classifier"))
        }
        (None, Some(_), false) => Err(partial("without a head, but `classes` names the rows of one")),
    }
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), ModelError> {
    let mut text = serde_json::to_string_pretty(value).expect("plain data always has a JSON form");
    text.push('\n');
    Ok(write_atomic(path, text.as_bytes())?)
}
