//! What the linear layers of a model are given: `X^T X` over all rows that they see, divided by the number of rows.
//!
//! RegMean (arXiv:2212.09849) merges by it, Model Tailor (arXiv:2402.12048) compensates by it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Result, Tensor};

use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::checkpoint::{CheckpointError, InputAxis, Observer, TensorInfo, Tensors, Weights};

/// Weights whose linear layers tell what they are given.
pub(super) struct Observed {
    weights: Tensors,
    seen: Mutex<BTreeMap<String, Arc<Inputs>>>,
}

impl Observed {
    /// Of weights in memory; those without a gradient are computed without one.
    pub(super) fn new(weights: Tensors) -> Self {
        let weights = weights.into_iter().map(|(name, tensor)| (name, tensor.detach())).collect();
        Self { weights, seen: Mutex::default() }
    }

    /// The products of all inputs that were seen, `[inputs, inputs]`, by the name of the layer's weight.
    pub(super) fn grams(&self) -> Result<Tensors> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mean = |(name, inputs): (&String, &Arc<Inputs>)| Some(Ok((name.clone(), inputs.mean()?)));
        seen.iter().filter_map(mean).collect()
    }
}

/// The inputs of one layer.
#[derive(Default)]
struct Inputs(Mutex<Option<(Tensor, usize)>>);

impl Inputs {
    fn mean(&self) -> Option<Tensor> {
        let sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sum.as_ref().and_then(|(sum, rows)| (sum / *rows as f64).ok())
    }
}

impl Observer for Inputs {
    fn see(&self, rows: &Tensor) -> Result<()> {
        let (product, count) = (rows.t()?.matmul(rows)?, rows.dim(0)?);
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *sum = Some(match sum.take() {
            None => (product, count),
            Some((before, rows)) => ((before + product)?, rows + count),
        });
        Ok(())
    }
}

impl Weights for Observed {
    fn names(&self) -> Vec<&str> {
        self.weights.names()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.weights.info(name)
    }

    fn load(&self, name: &str) -> std::result::Result<Tensor, CheckpointError> {
        self.weights.load(name)
    }

    fn digest(&self, digests: &FileDigests) -> std::result::Result<Digest, CheckpointError> {
        self.weights.digest(digests)
    }

    fn label(&self) -> String {
        self.weights.label()
    }

    fn observer(&self, weight: &str, inputs: InputAxis) -> Option<Arc<dyn Observer>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let inputs = Arc::clone(seen.entry(inputs.gram_name(weight)).or_default());
        Some(inputs)
    }
}
