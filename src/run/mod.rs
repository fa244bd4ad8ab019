//! Executes a plan: the sweep.
//!
//! A pass streams segments of examples once: one thread reads, decodes and preprocesses the next
//! segment while the models work on this one. For each batch the stages that the variants of a
//! curve share run once, the rest per variant, with weights interpolated in memory. Finished
//! segments are written at once, so that a run that was killed goes on from there.

mod clusters;
mod crops;
mod engine;
mod family;
mod head;
mod held;
mod loader;
mod outcome;
mod pictures;
mod race;
mod records;
mod soup;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use crops::CropCacheOptions;
pub use engine::{joinable, run};
pub use pictures::pictures;
pub use soup::{SoupChoice, SoupError, choose_soups};

use crate::checkpoint::CheckpointError;
use crate::data::DataError;
use crate::merge::MergeError;
use crate::model::{ModelError, Tokens};
use crate::store::StoreError;

/// Why a run ended early. Everything finished so far is kept.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Results cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A data set cannot be read.
    #[error("data set `{name}`: {source}")]
    Data {
        /// Data set and split.
        name: String,
        /// What is wrong.
        source: DataError,
    },
    /// An example cannot be read and the policy is to stop.
    #[error(
        "data set `{data}`, example `{example}`: {reason}; \
         set `corrupt = \"skip\"` in `[suite]` to leave such examples out"
    )]
    Example {
        /// Data set and split.
        data: String,
        /// The example.
        example: String,
        /// What is wrong.
        reason: String,
    },
    /// A checkpoint cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Two checkpoints cannot be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A model produced something that is not a number.
    #[error("variant `{variant}`, probe `{probe}`, example `{example}`: the logits are not finite")]
    NotFinite {
        /// The variant.
        variant: String,
        /// The probe.
        probe: String,
        /// The example.
        example: String,
    },
    /// The data have no such column.
    #[error("probe `{probe}`: its data have no column `{rule}` to cluster by; `folder` clusters by the ids")]
    Cluster {
        /// The probe.
        probe: String,
        /// What the suite asks for.
        rule: String,
    },
    /// Every example of a probe was left out.
    #[error("probe `{0}`: no example is left; every image was refused")]
    NothingLeft(String),
    /// Stopped from outside.
    #[error("interrupted; run the same command again to go on")]
    Interrupted,
}

impl From<CheckpointError> for RunError {
    fn from(error: CheckpointError) -> Self {
        Self::Model(error.into())
    }
}

/// How a plan is executed. Nothing here changes a prediction.
#[derive(Clone)]
pub struct RunOptions {
    /// The results folder.
    pub out: PathBuf,
    /// Examples per forward.
    pub batch: usize,
    /// Bytes that interpolated weights may take.
    pub memory: usize,
    /// This process does the segments whose number is `.0` modulo `.1`.
    pub shard: (usize, usize),
    /// Evaluate finished cells again.
    pub fresh: bool,
    /// Share equal stages between variants (off only to show that it changes nothing).
    pub share: bool,
    /// Where decoded crops are kept, if they are.
    pub crops: Option<CropCacheOptions>,
    /// Only cells whose `variant/probe` matches.
    pub only: Option<glob::Pattern>,
    /// The command line, for the manifest.
    pub command: Vec<String>,
    /// Set from outside to stop.
    pub stop: Arc<AtomicBool>,
}

impl RunOptions {
    /// Plain options for a results folder.
    #[must_use]
    pub fn new(out: PathBuf) -> Self {
        Self {
            out,
            batch: 32,
            memory: 2 << 30,
            shard: (0, 1),
            fresh: false,
            share: true,
            crops: None,
            only: None,
            command: Vec::new(),
            stop: Arc::default(),
        }
    }

    fn check_stop(&self) -> Result<(), RunError> {
        if self.stop.load(Ordering::Relaxed) { Err(RunError::Interrupted) } else { Ok(()) }
    }
}

/// What happens during a run.
#[derive(Clone, Debug)]
pub enum RunEvent {
    /// The work is known.
    Planned {
        /// All cells.
        cells: usize,
        /// Cells that are finished already.
        reused: usize,
        /// Predictions to make.
        predictions: usize,
    },
    /// A pass starts.
    Pass {
        /// Data set and split.
        name: String,
        /// Variants evaluated.
        variants: usize,
        /// Of each family of variants: the stages that they share, out of all.
        shared: Vec<(usize, usize)>,
        /// Segments of an earlier run that are reused.
        resumed: usize,
    },
    /// Heads are made of prompts before a pass begins.
    Heads {
        /// Data set and split.
        name: String,
        /// Heads at most; equal ones are made once.
        heads: usize,
        /// Prompts of all of them.
        prompts: usize,
    },
    /// Some of those prompts are done.
    Prompts {
        /// How many.
        prompts: usize,
    },
    /// Crops of this pass cannot be kept; the run goes on without.
    NotKept {
        /// Data set and split.
        name: String,
        /// Why.
        reason: String,
    },
    /// A segment of an earlier run is damaged and evaluated again.
    Damaged {
        /// Data set and split.
        name: String,
        /// The segment.
        segment: usize,
    },
    /// Some batches did not fit in the device's memory.
    Halved {
        /// Data set and split.
        name: String,
        /// How often a batch was halved.
        times: usize,
    },
    /// Another run has the same work in hand; this one waits for it.
    Waiting {
        /// Data set and split.
        name: String,
    },
    /// Predictions were made.
    Progress {
        /// How many.
        predictions: usize,
    },
    /// An example was left out.
    Skipped {
        /// Data set and split.
        data: String,
        /// The example.
        example: String,
        /// Why.
        reason: String,
    },
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct RunSummary {
    /// Cells finished now.
    pub finished: usize,
    /// Cells that were finished before.
    pub reused: usize,
    /// Cells that other shards have still to finish.
    pub missing: usize,
    /// Examples left out.
    pub skipped: usize,
    /// Images decoded by this run; the rest were kept crops.
    pub decoded: usize,
    /// Tokens that went through each variant.
    pub tokens: Tokens,
}
