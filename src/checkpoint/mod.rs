//! Weights on disk and in memory.
//!
//! A [`StateDict`] maps safetensors files (one, or shards with an index) and reads a tensor when
//! it is asked for; names, shapes and equality of two checkpoints are known without loading.

mod error;
mod files;
mod lora;
mod names;
mod overlay;
mod pickle;
mod state_dict;

pub use error::CheckpointError;
pub use names::CONTEXT;
pub use state_dict::{StateDict, TensorInfo, write_safetensors};

use std::collections::BTreeMap;

use candle_core::Tensor;

/// Named tensors in memory, in f32 on the CPU unless said otherwise.
pub type Tensors = BTreeMap<String, Tensor>;
