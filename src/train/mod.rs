//! Fine-tuning: recipes, what methods are made of, and the loop they share.
//!
//! A recipe names a [`Problem`] (data, model and loss of a track) and the parts of a method: what trains, terms of the loss,
//! updates after each step. The trainer owns everything else: optimiser, schedule, clipping, resuming, progress. The result
//! is a checkpoint folder that goes back in through [`crate::model`].

mod backward;
mod crops;
mod expand;
mod fit;
mod groups;
mod inputs;
mod observed;
mod optimiser;
mod outputs;
mod parts;
mod pool;
mod presets;
mod problem;
mod problems;
mod recipe;
mod resume;
mod sequences;
mod terms;
mod token_loss;
mod trainer;
mod trains;
mod updates;
mod written;

use std::sync::Arc;

pub use crops::RandomCrop;
pub use groups::{Balance, Group, Groups};
pub use optimiser::{Optimiser, Optimising};
pub use outputs::Parameters;
pub use parts::{TermKind, TrainsKind, UpdateKind};
pub use presets::{METHODS, Preset};
pub use problem::Problem;
pub use recipe::{Recipe, RecipeData, Schedule, StoredType};
pub use terms::TERMS;
pub use trainer::{TuneEvent, TuneOptions, tune};
pub use trains::TRAINS;
pub use updates::UPDATES;
pub use written::{Training, TrainingData};

use crate::base::config::ConfigError;
use crate::base::fs::FileError;
use crate::catalog::CatalogError;
use crate::checkpoint::{CheckpointError, Tensors};
use crate::data::DataError;
use crate::model::ModelError;
use crate::model::clip::{CheckpointFolder, Classifier, ClipConfig};

/// Why a model could not be tuned.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file is missing or cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The recipe has mistakes.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The data registry cannot answer.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Training data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A training image is damaged.
    #[error("training image `{id}` of `{dataset}`: {reason}")]
    Image {
        /// The data set.
        dataset: String,
        /// The example.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// The starting checkpoint cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The recipe and its data do not fit together.
    #[error("recipe `{recipe}`: {reason}")]
    Recipe {
        /// The recipe.
        recipe: String,
        /// What does not fit.
        reason: String,
    },
    /// What is asked for is not defined for this model or these data.
    #[error("{0}")]
    Unfit(String),
    /// The arithmetic failed.
    #[error("training step failed: {0}")]
    Compute(#[from] candle_core::Error),
    /// The loss is not a number any more.
    #[error("the loss is {loss} at step {step}; lower `lr` or raise `warmup`")]
    Diverged {
        /// The step.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// Stopped from outside.
    #[error("stopped after {0} steps; the same command goes on from there")]
    Interrupted(usize),
}

impl From<CheckpointError> for TrainError {
    fn from(error: CheckpointError) -> Self {
        Self::Model(error.into())
    }
}

/// A tuned model, ready to be written.
pub enum TunedModel {
    /// A checkpoint with other weights: written in its layout, with its configuration, preprocessing and tokenizer.
    Changed {
        /// The checkpoint it was tuned from.
        from: Arc<CheckpointFolder>,
        /// All weights, trained and untouched.
        tensors: Tensors,
        /// Classes of the classifier among the weights, if there is one.
        classifier: Option<Classifier>,
    },
    /// A language model: files that go with it, and all weights.
    Language {
        /// Configuration and tokenizer: name in the result, and content.
        files: Vec<(String, Vec<u8>)>,
        /// All weights.
        tensors: Tensors,
    },
    /// Some tensors that lie over a checkpoint.
    Part {
        /// The tensors.
        tensors: Tensors,
    },
    /// An adapter that lies over a checkpoint.
    Adapter {
        /// `adapter_config.json`.
        config: serde_json::Value,
        /// Its factors.
        tensors: Tensors,
    },
    /// A model made from scratch.
    New {
        /// Shapes and hyper-parameters.
        config: ClipConfig,
        /// All weights.
        tensors: Tensors,
        /// Content of `tokenizer.json`.
        tokenizer: Vec<u8>,
    },
}
