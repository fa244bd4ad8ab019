//! Why a model cannot be used.

use std::path::PathBuf;

use crate::base::fs::FileError;
use crate::checkpoint::CheckpointError;
use crate::image::PreprocessError;

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
    /// The device cannot be used.
    #[error("{0}")]
    Device(String),
    /// The checkpoints do not fit together.
    #[error("{0}")]
    Unlike(String),
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
    /// Whether the device had no memory left for it.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        // CUDA's code, in any of the errors that candle wraps it in.
        matches!(self, Self::Compute { source, .. } if source.to_string().contains("OUT_OF_MEMORY"))
    }

    /// Wraps a candle error with what was being computed.
    pub fn compute(context: impl Into<String>) -> impl FnOnce(candle_core::Error) -> Self {
        let context = context.into();
        move |source| Self::Compute { context, source }
    }
}
