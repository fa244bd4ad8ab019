//! Recipe files: how a checkpoint was made and how to make it again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::DType;

use super::TrainError;
use super::crops::RandomCrop;
use super::expand::{Expanded, expand};
use super::groups::{self, Groups};
use super::optimiser::{OPTIMISERS, Optimiser};
use super::parts::{Term, Trains, Update};
use super::presets::{METHODS, Preset};
use super::problem::Use;
use super::terms::TERMS;
use super::trains::TRAINS;
use super::updates::UPDATES;
use crate::base::config::{Document, Section};
use crate::base::fs::located;
use crate::data::ClassSubset;

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
    /// Share of each batch, if not what is left (experience replay).
    pub share: Option<f64>,
    /// Demonstrations in each prompt.
    pub few_shot: Option<usize>,
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
    /// Names used in recipes.
    const CHOICES: [(&str, Self); 2] = [("f32", Self::F32), ("f16", Self::F16)];

    /// The candle type.
    #[must_use]
    pub const fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
        }
    }
}

/// How the learning rate goes on after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// A cosine to zero, per step (WiSE-FT `cosine_lr`).
    Cosine,
    /// It stays.
    Constant,
}

impl Schedule {
    /// Names used in recipes.
    const CHOICES: [(&str, Self); 2] = [("cosine", Self::Cosine), ("constant", Self::Constant)];
}

/// A validated recipe.
#[derive(Clone)]
pub struct Recipe {
    /// Name of the checkpoint.
    pub id: String,
    /// The method.
    pub method: &'static Preset,
    /// The recipe's own text.
    pub text: String,
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
    /// Data that are watched and not learned from.
    pub validation: Option<RecipeData>,
    /// Which classes are seen.
    pub classes: ClassSubset,
    /// Optimiser steps of the schedule.
    pub steps: usize,
    /// The step after which training ends, if not the last one of the schedule.
    pub stop_at: Option<usize>,
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
    /// How training images are cropped at each step, if not as they are evaluated.
    pub crop: Option<RandomCrop>,
    /// How the learning rate goes on after the warm-up.
    pub schedule: Schedule,
    /// How steps are made.
    pub optimiser: Optimiser,
    /// Weights that have a rate of their own.
    pub groups: Groups,
    /// Steps between states from which training can go on.
    pub save_every: usize,
    /// Training examples whose gradients say how much each trained value matters in the end; none is written for 0.
    pub save_fisher: usize,
    /// Training examples whose layers' inputs are kept as products in the end; none are for 0.
    pub save_gram: usize,
    /// The fine-tuned checkpoint that a path starts from.
    pub finetuned: Option<PathBuf>,
    /// How far on the way to it training starts.
    pub tau: f64,
    /// What trains.
    pub trains: Arc<dyn Trains>,
    /// Terms of the loss.
    pub terms: Vec<Term>,
    /// Updates after each step.
    pub updates: Vec<Arc<dyn Update>>,
    /// Type in which the result is stored.
    pub store: StoredType,
}

impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Recipe {
    /// The error that says what does not fit in this recipe.
    pub(super) fn mistake(&self, reason: impl Into<String>) -> TrainError {
        TrainError::Recipe { recipe: self.id.clone(), reason: reason.into() }
    }

    /// The checkpoint to start from.
    pub(super) fn from(&self) -> Result<&Path, TrainError> {
        self.from.as_deref().ok_or_else(|| self.mistake("this method needs `from`"))
    }

    /// Training data, and then those that are watched.
    pub(super) fn all_data(&self) -> impl Iterator<Item = (&RecipeData, Use)> {
        let learned = self.data.iter().map(|d| (d, d.share.map_or(Use::Rest, Use::Share)));
        learned.chain(self.validation.iter().map(|d| (d, Use::Held)))
    }

    /// Reads and checks all recipes of a file: one, or every method with every setting of its grid.
    pub fn open(path: &Path) -> Result<Vec<Self>, TrainError> {
        Self::read(path, &Document::open(path)?)
    }

    /// All recipes of a document, or all that is wrong with them.
    pub(crate) fn read(path: &Path, document: &Document) -> Result<Vec<Self>, TrainError> {
        let table = document.parse()?;
        let wrong = |reason: String| TrainError::Recipe { recipe: path.display().to_string(), reason };
        let all = expand(table.get_ref(), document.text()).map_err(&wrong)?;
        let read = |one: &Expanded<'_>| {
            let root = document.root(&one.table);
            let recipe = read(&root, &one.text, path.parent().unwrap_or(Path::new("")));
            root.finish();
            recipe
        };
        let recipes: Vec<Option<Self>> = all.iter().map(read).collect();
        document.finish()?;
        recipes.into_iter().collect::<Option<_>>().ok_or_else(|| wrong("incomplete".to_owned()))
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
    let share = part.number_in("share", 0.0..=1.0).map(|n| n.value);
    let few_shot = part.count("few_shot").map(|c| c.value as usize);
    part.finish();
    let split = split.map_or_else(|| "train".to_owned(), |s| s.value);
    Some(RecipeData { dataset: dataset?.value, split, shots, shots_seed, task, chat, share, few_shot })
}

/// What the method is made of: its own parts read their keys from `[train]`, further ones from their own tables.
struct Parts {
    trains: Arc<dyn Trains>,
    terms: Vec<Term>,
    updates: Vec<Arc<dyn Update>>,
    groups: Groups,
}

/// All that can be read of them, even where the method is not known.
fn parts(root: &Section<'_>, train: &Section<'_>, method: Option<&Preset>) -> Option<Parts> {
    let trains = match train.text("trains") {
        Some(name) => train.known(&name, &TRAINS),
        None => method.and_then(|m| TRAINS.get(m.trains)),
    };
    let (own_terms, own_updates) = method.map_or((&[][..], &[][..]), |m| (m.terms, m.updates));
    let mut terms: Vec<Term> = own_terms.iter().filter_map(|name| TERMS.get(name)?.read(train)).collect();
    let mut updates: Vec<Arc<dyn Update>> =
        own_updates.iter().filter_map(|name| Some(UPDATES.get(name)?.read(train))).collect();
    for section in root.sections("term") {
        let kind = section.required_text("kind").and_then(|name| section.known(&name, &TERMS));
        terms.extend(kind.and_then(|k| k.read(&section)));
        section.finish();
    }
    for section in root.sections("update") {
        let kind = section.required_text("kind").and_then(|name| section.known(&name, &UPDATES));
        updates.extend(kind.map(|k| k.read(&section)));
        section.finish();
    }
    let groups = groups::read(root, train);
    Some(Parts { trains: trains?.read(train), terms, updates, groups })
}

fn optimiser(train: &Section<'_>) -> Optimiser {
    let chosen = train.choice("optimiser", &OPTIMISERS).map_or(Optimiser::AdamW, |c| c.value);
    match chosen {
        Optimiser::Sgd { momentum } => {
            let given = train.number_in("momentum", 0.0..=0.9999);
            Optimiser::Sgd { momentum: given.map_or(momentum, |n| n.value) }
        }
        other => other,
    }
}

/// `crop`, the bounds of a crop's share of the image, and `flip`.
fn crop(train: &Section<'_>) -> Option<RandomCrop> {
    let flip = train.flag("flip");
    let Some(found) = train.numbers_or_text("crop") else {
        return flip.filter(|f| f.value).map(|_| RandomCrop { scale: None, flip: true });
    };
    match found.value.as_deref() {
        Ok(&[low, high]) if 0.0 < low && low <= high && high <= 1.0 => {
            Some(RandomCrop { scale: Some([low, high]), flip: flip.is_some_and(|f| f.value) })
        }
        _ => {
            let text = "`crop` must be two shares of the image, like [0.9, 1.0]";
            train.note(found.span, text, None);
            None
        }
    }
}

/// Where on the way to `finetuned` training starts.
fn tau(train: &Section<'_>, has_way: bool) -> f64 {
    let tau = train.number_in("tau", 0.0..=1.0);
    if let Some(tau) = tau.as_ref().filter(|_| !has_way) {
        train.note(tau.span.clone(), "`tau` is a place on the way to `finetuned`, which is not given", None);
    }
    tau.map_or(0.5, |n| n.value)
}

fn read(root: &Section<'_>, text: &str, home: &Path) -> Option<Recipe> {
    let head = root.required_section("recipe");
    let train = root.required_section("train");
    let sections = root.sections("data");
    if sections.is_empty() {
        root.note(root.span.clone(), "the recipe has no `[[data]]`", None);
    }
    let learned = sections.iter().filter_map(data).collect();
    let validation = root.section("validation").and_then(|section| data(&section));
    let (head, train) = (head?, train?);
    let id = head.required_text("id");
    let method = head.required_text("method").and_then(|name| head.known(&name, &METHODS));
    let out = head.required_text("out");
    // What is read lies beside the recipe or in the working folder; what is written, in the working folder.
    let input = |key| head.text(key).map(|f| located(home, Path::new(&f.value)));
    let (from, model) = (input("from"), input("model"));
    let (finetuned, tokenizer) = (input("finetuned"), input("tokenizer"));
    let seed = head.count("seed").map_or(0, |c| c.value);
    let classes = head.choice("classes", &ClassSubset::CHOICES).map_or(ClassSubset::All, |c| c.value);
    let store = head.choice("store", &StoredType::CHOICES).map_or(StoredType::F32, |c| c.value);
    head.finish();
    let count = |key| train.count(key).map(|c| c.value as usize);
    let parts = parts(root, &train, method);
    let tau = tau(&train, finetuned.is_some());
    let Parts { trains, terms, updates, groups } = parts?;
    let recipe = Recipe {
        trains,
        terms,
        updates,
        steps: count("steps").unwrap_or(1000),
        batch: count("batch").unwrap_or(128).max(1),
        warmup: count("warmup").unwrap_or(0),
        length: count("length"),
        stop_at: count("stop_at"),
        crop: crop(&train),
        schedule: train.choice("schedule", &Schedule::CHOICES).map_or(Schedule::Cosine, |c| c.value),
        optimiser: optimiser(&train),
        groups,
        save_every: count("save_every").unwrap_or(200).max(1),
        save_fisher: count("save_fisher").unwrap_or(0),
        save_gram: count("save_gram").unwrap_or(0),
        tau,
        lr: train.number_in("lr", 0.0..=10.0).map_or(3e-5, |n| n.value),
        weight_decay: train.number_in("weight_decay", 0.0..=10.0).map_or(0.1, |n| n.value),
        decay_all: train.flag("decay_all").is_none_or(|f| f.value),
        clip_norm: train.number_in("clip_norm", 0.0..=1e9).map_or(1.0, |n| n.value),
        id: id?.value,
        method: method?,
        text: text.to_owned(),
        out: out?.value.into(),
        from,
        finetuned,
        model,
        tokenizer,
        seed,
        data: learned,
        validation,
        classes,
        store,
    };
    train.finish();
    Some(recipe)
}
