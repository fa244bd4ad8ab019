//! Weights on disk and in memory.
//!
//! A [`StateDict`] maps safetensors files (one, or shards with an index) and reads a tensor when
//! it is asked for; names, shapes and equality of two checkpoints are known without loading.

mod cached;
mod error;
mod files;
mod gguf;
mod lora;
mod naming;
mod overlay;
mod pickle;
mod state_dict;
mod streamed;
mod weights;
mod with;

pub use cached::{Budget, Cached};
pub use error::CheckpointError;
pub use files::{FISHER_FILE, GRAM_FILE};
pub use gguf::GgufFile;
pub use naming::{AsStored, Naming, Share};
pub use state_dict::{StateDict, write_safetensors};
pub use streamed::{Streamed, write_streamed};
pub use weights::{
    InputAxis, Observer, Raw, TensorInfo, Weights, is_finite, mapped, missing, of_tensor, slice_of,
    stored_number, values, var_builder,
};
pub use with::With;

use std::collections::BTreeMap;

use candle_core::Tensor;

/// Named tensors in memory, in f32 on the CPU unless said otherwise.
pub type Tensors = BTreeMap<String, Tensor>;
