//! A language model's folder: configuration, weights, tokenizer, generation settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::config::DecoderConfig;
use super::families::{FAMILIES, Family};
use super::gguf;
use super::names::LanguageNames;
use super::reader::TextReader;
use super::tokenizer::{self, LanguageTokenizer};
use crate::base::account::{Fields, left_over, some_of};
use crate::base::fs::read;
use crate::base::harmless::{LANGUAGE, LANGUAGE_TENSORS, TRANSFORMERS};
use crate::checkpoint::{CheckpointError, GgufFile, StateDict, Weights};
use crate::merge::Combination;
use crate::model::ModelError;

/// An opened language model.
pub struct LanguageFolder {
    /// The folder, or the file of an adapter.
    pub path: PathBuf,
    /// Its family.
    pub family: &'static Family,
    /// Shapes and hyper-parameters.
    pub config: DecoderConfig,
    /// The weights.
    pub weights: Arc<dyn Weights>,
    /// How texts are read.
    pub reader: TextReader,
    /// Tokens that end a generation.
    pub ends: Vec<u32>,
    /// The folder with configuration and tokenizer: this one or the one below.
    pub(super) home: PathBuf,
}

/// `config.json` of a folder, if there is one.
pub(super) fn configuration(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(folder.join("config.json")).ok()?).ok()
}

/// The family that a folder's `model_type` names.
pub(super) fn family(folder: &Path) -> Option<&'static Family> {
    of_type(&configuration(folder)?)
}

/// The family that a configuration names.
pub(super) fn of_type(json: &Value) -> Option<&'static Family> {
    let kind = json.get("model_type")?.as_str()?;
    FAMILIES.into_iter().find(|f| f.model_types.contains(&kind))
}

impl LanguageFolder {
    /// Opens a folder and checks that configuration, weights and tokenizer fit together.
    pub fn open(path: &Path, family: &'static Family) -> Result<Self, ModelError> {
        let file = path.join("config.json");
        let (config, ends) = configured(&file, &parsed(&file)?, family)?;
        let weights = StateDict::open_as(path, &LanguageNames::new(&config))?;
        let tokenizer = LanguageTokenizer::open(path)?;
        let ends = generation_ends(path)?.unwrap_or(ends);
        Self::assembled(FolderParts { path, family, config, weights, tokenizer, ends })
    }

    /// Checks that the parts fit together.
    pub(super) fn assembled(parts: FolderParts) -> Result<Self, ModelError> {
        let FolderParts { path, family, config, weights, tokenizer, mut ends } = parts;
        if weights.is_adapter() {
            let what = "a LoRA adapter; name the checkpoint it belongs to with `base = ID` in the suite (or \
                        `--base DIR`)";
            return Err(ModelError::Partial { path: path.to_owned(), what: what.to_owned() });
        }
        account(&weights, &config)?;
        if tokenizer.vocabulary() > config.vocab_size {
            let (has, knows) = (tokenizer.vocabulary(), config.vocab_size);
            let reason = format!("it has {has} tokens, the model {knows}");
            return Err(ModelError::Tokenizer { path: path.join("tokenizer.json"), reason });
        }
        ends.extend(tokenizer.eos.as_ref().map(|e| e.0));
        ends.sort_unstable();
        ends.dedup();
        Ok(Self {
            path: path.to_owned(),
            family,
            reader: TextReader { tokenizer: Arc::new(tokenizer), length: config.length },
            config,
            weights: Arc::new(weights),
            ends,
            home: path.to_owned(),
        })
    }

    /// Opens a folder as the family that its `model_type` names, or a GGUF file.
    pub fn open_any(path: &Path) -> Result<Self, ModelError> {
        if GgufFile::meant_by(path).is_some() {
            return gguf::open(path);
        }
        let known = family(path).ok_or_else(|| ModelError::Config {
            path: path.join("config.json"),
            reason: "is not there, or its `model_type` is no language model that is known here".to_owned(),
        })?;
        Self::open(path, known)
    }

    /// Configuration and reader of a model that has no weights yet.
    pub fn parts(config: &Path, tokenizer: &Path) -> Result<(DecoderConfig, TextReader), ModelError> {
        let json = parsed(config)?;
        let known = of_type(&json).ok_or_else(|| ModelError::Config {
            path: config.to_owned(),
            reason: "its `model_type` is no language model that is known here".to_owned(),
        })?;
        let (config, _) = configured(config, &json, known)?;
        let tokenizer = Arc::new(LanguageTokenizer::open(tokenizer)?);
        let length = config.length;
        Ok((config, TextReader { tokenizer, length }))
    }

    /// The files of a folder that say how texts are read and when they end, by name.
    pub fn text_files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, ModelError> {
        let named = tokenizer::FILES.iter().chain(&["generation_config.json"]);
        let there = named.map(|n| (*n, folder.join(n))).filter(|(_, p)| p.is_file());
        there.map(|(name, path)| Ok((name.to_owned(), read(&path)?))).collect()
    }

    /// All files that a folder with other weights of this model needs, by name.
    pub fn files(&self) -> Result<Vec<(String, Vec<u8>)>, ModelError> {
        if GgufFile::meant_by(&self.home).is_some() {
            return gguf::files(&self.home);
        }
        let mut all = Self::text_files(&self.home)?;
        all.push(("config.json".to_owned(), read(&self.home.join("config.json"))?));
        Ok(all)
    }

    /// Opens an adapter, or other parts of the weights, on top of `base`.
    pub fn open_over(path: &Path, base: &Self) -> Result<Self, ModelError> {
        let weights = StateDict::open_as(path, &LanguageNames::new(&base.config))?;
        if !weights.is_adapter() {
            account_part(&weights, &base.config)?;
        }
        let weights = Arc::new(weights.over(Arc::clone(&base.weights))?);
        Ok(Self { path: path.to_owned(), weights, ends: base.ends.clone(), ..base.again() })
    }

    fn again(&self) -> Self {
        Self {
            path: self.path.clone(),
            family: self.family,
            config: self.config.clone(),
            weights: Arc::clone(&self.weights),
            reader: TextReader { tokenizer: Arc::clone(&self.reader.tokenizer), length: self.reader.length },
            ends: self.ends.clone(),
            home: self.home.clone(),
        }
    }

    /// The same model with other weights.
    #[must_use]
    pub fn with_weights(&self, weights: Combination) -> Self {
        Self { weights: Arc::new(weights), ..self.again() }
    }
}

/// What a folder is made of.
pub(super) struct FolderParts<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Its family.
    pub family: &'static Family,
    /// Shapes and hyper-parameters.
    pub config: DecoderConfig,
    /// The weights.
    pub weights: StateDict,
    /// The tokenizer.
    pub tokenizer: LanguageTokenizer,
    /// Tokens that end a generation, the tokenizer's own apart.
    pub ends: Vec<u32>,
}

fn parsed(path: &Path) -> Result<Value, ModelError> {
    let bad = |e: serde_json::Error| ModelError::Config { path: path.to_owned(), reason: e.to_string() };
    serde_json::from_slice(&read(path)?).map_err(bad)
}

/// Reads a configuration key by key; also the tokens that end a text. `path` is for messages.
pub(super) fn configured(
    path: &Path,
    json: &Value,
    family: &Family,
) -> Result<(DecoderConfig, Vec<u32>), ModelError> {
    let take = || -> Result<(DecoderConfig, Vec<u32>), String> {
        let fields = Fields::new("", json)?;
        if fields.value("quantization_config").is_some() {
            return Err("`quantization_config`: quantised weights are read from GGUF files alone".to_owned());
        }
        let mut config = (family.read)(&fields)?;
        config.length = config.positions.longest().map_or(config.length, |n| n.min(config.length));
        let ends = token_list(fields.value("eos_token_id"));
        fields.finish(&[TRANSFORMERS, LANGUAGE])?;
        config.validate()?;
        Ok((config, ends))
    };
    take().map_err(|reason| ModelError::Config { path: path.to_owned(), reason })
}

fn token_list(value: Option<&Value>) -> Vec<u32> {
    match value {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_u64).map(|v| v as u32).collect(),
        Some(one) => one.as_u64().map(|v| v as u32).into_iter().collect(),
        None => Vec::new(),
    }
}

/// What `generation_config.json` says ends a text, if it is there and says it. Generation is greedy whatever else it says.
fn generation_ends(folder: &Path) -> Result<Option<Vec<u32>>, ModelError> {
    let path = folder.join("generation_config.json");
    if !path.is_file() {
        return Ok(None);
    }
    let json = parsed(&path)?;
    let ends = token_list(json.get("eos_token_id"));
    Ok((!ends.is_empty()).then_some(ends))
}

/// Every tensor of the configuration is there and has its shape, and no other is.
fn account(weights: &StateDict, config: &DecoderConfig) -> Result<(), CheckpointError> {
    let fail = |what: String| CheckpointError::Unaccounted { path: weights.path.clone(), what };
    let expected = config.tensors();
    let missing: Vec<&str> = expected.keys().filter(|n| !weights.contains(n)).map(String::as_str).collect();
    if !missing.is_empty() {
        return Err(fail(format!("lacks {}, which its configuration asks for", some_of(&missing))));
    }
    let (embedding, head) =
        (format!("{}.weight", config.names.embedding), format!("{}.weight", config.names.head));
    if config.tied && weights.contains(&head) && !weights.same_within(&embedding, &head) {
        return Err(fail(format!(
            "holds `{head}` with other values than `{embedding}`, but `tie_word_embeddings` says they are one"
        )));
    }
    account_part(weights, config)
}

/// No tensor is unknown or of another shape.
fn account_part(weights: &StateDict, config: &DecoderConfig) -> Result<(), CheckpointError> {
    let fail = |what: String| CheckpointError::Unaccounted { path: weights.path.clone(), what };
    let expected = config.tensors();
    let head = format!("{}.weight", config.names.head);
    let names = weights.entries().keys().map(String::as_str);
    let unknown = names.filter(|n| !(expected.contains_key(*n) || config.tied && *n == head));
    if let Some(names) = left_over(unknown, &[LANGUAGE_TENSORS]) {
        return Err(fail(format!(
            "holds {names}, which its configuration does not know; results could change, so nothing is left out"
        )));
    }
    for (name, info) in weights.entries() {
        let Some(shape) = expected.get(name) else { continue };
        if info.shape != *shape {
            let found = &info.shape;
            return Err(fail(format!("holds `{name}` of shape {found:?}, its configuration says {shape:?}")));
        }
    }
    Ok(())
}
