//! Language models from GGUF files: configuration, names, order of rows and tokenizer, all from the file's metadata,
//! every key of which is accounted for. Weights are dequantised to f32 (llama.cpp's GGUF specification; the converter
//! is `convert_hf_to_gguf.py`).

mod config;
mod formats;
mod names;
mod reading;
mod rope;
mod tokenizer;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use self::config::Read;
use super::families::Family;
use super::folder::{FolderParts, LanguageFolder, of_type};
use super::tokenizer::LanguageTokenizer;
use crate::base::account::Fields;
use crate::base::digest::Digest;
use crate::base::harmless::{GGUF, GGUF_GENERAL};
use crate::base::registry::Named;
use crate::checkpoint::{GgufFile, StateDict};
use crate::model::{Architecture, ModelError, ModelType};

/// GGUF files of the families that llama.cpp has too.
pub struct Gguf;

impl Named for Gguf {
    fn name(&self) -> &'static str {
        "gguf"
    }
    fn summary(&self) -> &'static str {
        "GGUF files of all families but opt and starcoder2, dequantised"
    }
    fn reference(&self) -> &'static str {
        "llama.cpp, GGUF specification version 3"
    }
}

impl ModelType for Gguf {
    fn claims(&self, folder: &Path) -> bool {
        GgufFile::meant_by(folder).is_some()
    }

    fn open(&self, folder: &Path, _: Option<&[String]>) -> Result<Arc<dyn Architecture>, ModelError> {
        Ok(Arc::new(open(folder)?))
    }
}

/// What a file says, `tokenizer.` apart.
struct Parts {
    family: &'static Family,
    read: Read,
    tokenizer: tokenizer::Made,
}

/// Opens the file that `path` means.
pub(super) fn open(path: &Path) -> Result<LanguageFolder, ModelError> {
    let file = meant(path)?;
    let opened = GgufFile::open(&file)?;
    let parts = parts(&opened, tokenizer_beside(&file).is_none())?;
    let (config, mut ends) = super::folder::configured(&file, &parts.read.json, parts.family)?;
    let naming = names::GgufNames::new(&config, &parts.read);
    let weights = StateDict::of_gguf(opened, &naming)?;
    let tokenizer = match tokenizer_beside(&file) {
        Some(folder) => LanguageTokenizer::open(folder)?,
        None => parts.tokenizer.open(&file)?,
    };
    ends.extend(parts.tokenizer.ends);
    LanguageFolder::assembled(FolderParts { path, family: parts.family, config, weights, tokenizer, ends })
}

/// A folder's files as `transformers` has them, for what is tuned from a GGUF file.
pub(super) fn files(path: &Path) -> Result<Vec<(String, Vec<u8>)>, ModelError> {
    let file = meant(path)?;
    let beside = tokenizer_beside(&file);
    let parts = parts(&GgufFile::open(&file)?, beside.is_none())?;
    let mut all = match beside {
        Some(folder) => LanguageFolder::text_files(folder)?,
        None => parts.tokenizer.files(),
    };
    let text = |value: &Value| value.to_string().into_bytes();
    all.push(("config.json".to_owned(), text(&parts.read.json)));
    if !parts.tokenizer.ends.is_empty() {
        let ends = json!({"eos_token_id": parts.tokenizer.ends});
        all.push(("generation_config.json".to_owned(), text(&ends)));
    }
    Ok(all)
}

fn meant(path: &Path) -> Result<std::path::PathBuf, ModelError> {
    GgufFile::meant_by(path).ok_or_else(|| ModelError::Config {
        path: path.to_owned(),
        reason: "is no GGUF file and holds not just one".to_owned(),
    })
}

/// The folder of the file, if a `tokenizer.json` lies in it: the model's own goes before one made from metadata.
fn tokenizer_beside(file: &Path) -> Option<&Path> {
    file.parent().filter(|folder| folder.join("tokenizer.json").is_file())
}

fn parts(file: &GgufFile, with_tokenizer: bool) -> Result<Parts, ModelError> {
    let metadata = file.metadata();
    let take = || -> Result<Parts, String> {
        let of = |start: &str| -> Value {
            let named =
                metadata.iter().filter_map(|(k, v)| Some((k.strip_prefix(start)?.to_owned(), v.clone())));
            Value::Object(named.collect())
        };
        let general = Fields::new("general", &of("general."))?;
        let architecture: String = general.need("architecture")?;
        general.finish(&[GGUF_GENERAL])?;
        let own = format!("{architecture}.");
        let rest = metadata
            .iter()
            .filter(|(k, _)| !["general.", "tokenizer.", &own].iter().any(|start| k.starts_with(start)));
        let rest = Fields::new("", &Value::Object(rest.map(|(k, v)| (k.clone(), v.clone())).collect()))?;
        rest.only("split.count", &[json!(0), json!(1)])?;
        rest.finish(&[GGUF])?;
        let read = config::read(&architecture, &Fields::new(&architecture, &of(&own))?, file)?;
        let family = of_type(&read.json).ok_or_else(|| format!("`{architecture}` is not read from GGUF"))?;
        let tokens = Fields::new("tokenizer", &of("tokenizer."))?;
        let tokenizer = tokenizer::make(&tokens, &architecture, with_tokenizer)?;
        Ok(Parts { family, read, tokenizer })
    };
    take().map_err(|reason| ModelError::Config { path: file.path().to_owned(), reason })
}

/// Identifies a tokenizer that metadata describe.
fn digest(files: &[(String, Vec<u8>)]) -> Digest {
    let each: Vec<Digest> = files.iter().map(|f| Digest::of_bytes(&f.1)).collect();
    Digest::of_value(&each)
}
