//! Fine-tuning: recipes, methods, and the loop they share.
//!
//! A method turns a recipe into an [`Objective`] (parameters, and a loss with gradients for each
//! step); the trainer owns everything else: optimiser, schedule, clipping, progress. The result is
//! a checkpoint folder that goes back in through [`crate::model`].

mod backward;
mod low_rank;
mod methods;
mod pool;
mod recipe;
mod texts;
mod token_loss;
mod trainer;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Var;
use candle_core::backprop::GradStore;

pub use methods::METHODS;
pub use recipe::{LoraSpec, Recipe, RecipeData, StoredType};
pub use trainer::{TuneEvent, tune};

use crate::base::config::ConfigError;
use crate::base::fs::FileError;
use crate::base::registry::Named;
use crate::catalog::{Catalog, CatalogError};
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
    #[error("stopped after {0} steps; nothing was written")]
    Interrupted(usize),
}

impl From<CheckpointError> for TrainError {
    fn from(error: CheckpointError) -> Self {
        Self::Model(error.into())
    }
}

/// Loss and gradients of one step.
pub struct StepOutcome {
    /// Value of the loss.
    pub loss: f64,
    /// Share of the batch that is classified correctly.
    pub accuracy: f64,
    /// Gradients of the parameters.
    pub gradients: GradStore,
}

/// What a method minimises.
pub trait Objective {
    /// The trained parameters by name.
    fn parameters(&self) -> &BTreeMap<String, Var>;

    /// Loss and gradients on the batch of step `step`.
    fn step(&self, step: usize) -> Result<StepOutcome, TrainError>;

    /// The finished model.
    fn finish(&self) -> Result<TunedModel, TrainError>;
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

/// A way to tune a model.
pub trait Method: Named + Sync {
    /// Prepares data and parameters.
    fn prepare(&self, recipe: &Recipe, catalog: &Catalog) -> Result<Box<dyn Objective>, TrainError>;
}
