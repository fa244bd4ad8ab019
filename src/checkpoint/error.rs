//! Why weights cannot be used.

use std::path::PathBuf;

use crate::base::fs::FileError;

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file is missing or cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder holds no weights that are understood.
    #[error(
        "no weights in `{}`; looked for model.safetensors (or its index), open_clip_model.safetensors, \
         pytorch_model.bin (or its index), open_clip_pytorch_model.bin, adapter_model.safetensors, \
         adapter_model.bin, model.pth.tar-*, model-best.pth.tar, or one single .ckpt, .pt, .pth, .bin or \
         .safetensors file", .0.display()
    )]
    NoWeights(PathBuf),
    /// The file is not safetensors, or cut short.
    #[error("`{}` is not a whole weights file ({reason}); fetch or write it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The shard index is not what it should be.
    #[error("`{}` is not a shard index: {reason}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A LoRA adapter cannot be used.
    #[error("`{}`: {reason}", path.display())]
    Adapter {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file holds tensors that nobody asks for and that could change results.
    #[error("`{}` {what}", path.display())]
    Unaccounted {
        /// The file or folder.
        path: PathBuf,
        /// Which, and what that may mean.
        what: String,
    },
    /// A tensor is not there.
    #[error("`{}` has no tensor `{name}`{hint}", path.display())]
    MissingTensor {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The nearest name, if there is one.
        hint: String,
    },
    /// NaN or infinity among the weights.
    #[error("tensor `{name}` of `{}` holds {count} values that are not finite (first at {first})", path.display())]
    NonFinite {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// How many.
        count: usize,
        /// Flat index of the first.
        first: usize,
    },
    /// Candle could not read or convert a tensor.
    #[error("tensor `{name}` of `{}`: {source}", path.display())]
    Tensor {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What candle said.
        source: candle_core::Error,
    },
}
