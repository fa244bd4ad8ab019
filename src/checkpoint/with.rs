//! Weights with some more tensors.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Tensor;

use super::{CheckpointError, Raw, TensorInfo, Tensors, Weights};
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;

/// Weights, and tensors that they do not have.
pub struct With {
    /// The weights.
    pub weights: Arc<dyn Weights>,
    /// What they do not have.
    pub more: Tensors,
}

impl Weights for With {
    fn names(&self) -> Vec<&str> {
        let mut all = self.weights.names();
        all.extend(self.more.keys().map(String::as_str));
        all.sort_unstable();
        all
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.more.info(name).or_else(|| self.weights.info(name))
    }

    fn load(&self, name: &str) -> Result<Tensor, CheckpointError> {
        if self.more.contains_key(name) { self.more.load(name) } else { self.weights.load(name) }
    }

    fn digest(&self, digests: &FileDigests) -> Result<Digest, CheckpointError> {
        Ok(Digest::of_value(&(self.weights.digest(digests)?, self.more.digest(digests)?)))
    }

    fn label(&self) -> String {
        self.weights.label()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.weights.files()
    }

    fn raw(&self, name: &str) -> Option<Raw<'_>> {
        if self.more.contains_key(name) { None } else { self.weights.raw(name) }
    }
}
