//! Recipe files: how a checkpoint was made and how to make it again.

use std::path::{Path, PathBuf};

use candle_core::DType;

use super::TrainError;
use super::methods::METHODS;
use crate::base::config::{Document, Section};
use crate::data::ClassSubset;

/// What a recipe says about LoRA.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraSpec {
    /// Rank of the factors.
    pub rank: usize,
    /// The product is multiplied by this over the rank.
    pub alpha: f64,
    /// Last parts of the names of adapted modules.
    pub targets: Vec<String>,
}

impl Default for LoraSpec {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, targets: vec!["q_proj".to_owned(), "v_proj".to_owned()] }
    }
}

/// One training data set.
#[derive(Clone, Debug)]
pub struct RecipeData {
    /// Key of `datasets.toml`.
    pub dataset: String,
    /// Its split.
    pub split: String,
    /// Examples per class, if not all.
    pub shots: Option<usize>,
    /// Seed of their choice.
    pub shots_seed: u64,
    /// The task file that says what of a document is prompt and what is target (language models).
    pub task: Option<String>,
    /// Whether prompts are conversations in the checkpoint's chat template.
    pub chat: bool,
}

/// Type in which the result is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredType {
    /// 32-bit.
    F32,
    /// 16-bit IEEE; half the size, relative error 5e-4.
    F16,
}

impl StoredType {
    /// The candle type.
    #[must_use]
    pub const fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
        }
    }
}

/// A validated recipe. Paths are relative to the working folder.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Name of the checkpoint.
    pub id: String,
    /// Name of a registered method.
    pub method: String,
    /// Folder that is written.
    pub out: PathBuf,
    /// Folder to start from (methods that fine-tune).
    pub from: Option<PathBuf>,
    /// `config.json` of a new model (methods that start from scratch).
    pub model: Option<PathBuf>,
    /// `tokenizer.json` of a new model (methods that start from scratch).
    pub tokenizer: Option<PathBuf>,
    /// Seed of everything random.
    pub seed: u64,
    /// Training data.
    pub data: Vec<RecipeData>,
    /// Which classes are seen.
    pub classes: ClassSubset,
    /// Optimiser steps.
    pub steps: usize,
    /// Examples per step.
    pub batch: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// Steps of linear warm-up.
    pub warmup: usize,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// Whether biases, norms and scales decay as well (WiSE-FT's code decays everything).
    pub decay_all: bool,
    /// Largest norm of the whole gradient.
    pub clip_norm: f64,
    /// Tokens of a training text at most.
    pub length: Option<usize>,
    /// Trained blocks, counted from the end.
    pub last: usize,
    /// LoRA's factors.
    pub lora: LoraSpec,
    /// Strength of the method's regulariser, if it has one.
    pub penalty: Option<f64>,
    /// Type in which the result is stored.
    pub store: StoredType,
}

impl Recipe {
    /// The error that says what does not fit in this recipe.
    pub(super) fn mistake(&self, reason: impl Into<String>) -> TrainError {
        TrainError::Recipe { recipe: self.id.clone(), reason: reason.into() }
    }

    /// Reads and checks a recipe.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let document = Document::open(path)?;
        let table = document.parse()?;
        let root = document.root(table.get_ref());
        let recipe = read(&root);
        root.finish();
        document.finish()?;
        recipe.ok_or_else(|| TrainError::Recipe {
            recipe: path.display().to_string(),
            reason: "incomplete".to_owned(),
        })
    }
}

fn data(part: &Section<'_>) -> Option<RecipeData> {
    let task = part.text("task").map(|t| t.value);
    let chat = part.flag("chat").is_some_and(|f| f.value);
    // A task file may name its data itself.
    let named = part.text("dataset");
    let dataset = if task.is_some() { named.or(part.text("task")) } else { part.required_text("dataset") };
    let split = part.text("split");
    let shots = part.count("shots").map(|s| s.value as usize);
    let shots_seed = part.count("shots_seed").map_or(1, |s| s.value);
    part.finish();
    let split = split.map_or_else(|| "train".to_owned(), |s| s.value);
    Some(RecipeData { dataset: dataset?.value, split, shots, shots_seed, task, chat })
}

fn lora(train: &Section<'_>) -> LoraSpec {
    let usual = LoraSpec::default();
    let rank = train.count("rank").map(|c| c.value as usize);
    LoraSpec {
        rank: rank.unwrap_or(usual.rank).max(1),
        alpha: train.number_in("lora_alpha", 0.0..=1e6).map_or(usual.alpha, |n| n.value),
        targets: train.texts("targets").map_or(usual.targets, |t| t.into_iter().map(|t| t.value).collect()),
    }
}

fn read(root: &Section<'_>) -> Option<Recipe> {
    let head = root.required_section("recipe");
    let train = root.required_section("train");
    let parts = root.sections("data");
    if parts.is_empty() {
        root.note(root.span.clone(), "the recipe has no `[[data]]`", None);
    }
    let data = parts.iter().filter_map(data).collect();
    let (head, train) = (head?, train?);
    let id = head.required_text("id");
    let method = head.required_text("method");
    if let Some(method) = &method
        && METHODS.get(&method.value).is_none()
    {
        let (message, help) = METHODS.unknown(&method.value);
        head.note(method.span.clone(), message, Some(help));
    }
    let out = head.required_text("out");
    let from = head.text("from").map(|f| f.value.into());
    let model = head.text("model").map(|f| f.value.into());
    let tokenizer = head.text("tokenizer").map(|t| t.value.into());
    let seed = head.count("seed").map_or(0, |c| c.value);
    let classes = head.choice("classes", &ClassSubset::CHOICES).map_or(ClassSubset::All, |c| c.value);
    let store = head
        .choice("store", &[("f32", StoredType::F32), ("f16", StoredType::F16)])
        .map_or(StoredType::F32, |c| c.value);
    head.finish();
    let count = |key| train.count(key).map(|c| c.value as usize);
    let recipe = Recipe {
        steps: count("steps").unwrap_or(1000),
        batch: count("batch").unwrap_or(128).max(1),
        warmup: count("warmup").unwrap_or(0),
        length: count("length"),
        last: count("last").unwrap_or(1),
        lora: lora(&train),
        lr: train.number_in("lr", 0.0..=10.0).map_or(3e-5, |n| n.value),
        weight_decay: train.number_in("weight_decay", 0.0..=10.0).map_or(0.1, |n| n.value),
        decay_all: train.flag("decay_all").is_none_or(|f| f.value),
        penalty: train.number_in("penalty", 0.0..=1e9).map(|n| n.value),
        clip_norm: train.number_in("clip_norm", 0.0..=1e9).map_or(1.0, |n| n.value),
        id: id?.value,
        method: method?.value,
        out: out?.value.into(),
        from,
        model,
        tokenizer,
        seed,
        data,
        classes,
        store,
    };
    train.finish();
    Some(recipe)
}
