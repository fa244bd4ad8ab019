//! Weights whose tensors stay in memory while there is room for them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;

use super::{CheckpointError, Raw, TensorInfo, Weights};
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;

/// Bytes that weights may take, whoever holds them.
#[derive(Debug)]
pub struct Budget(AtomicUsize);

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(bytes)))
    }

    /// Takes some bytes, if they are left.
    pub fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Gives bytes back.
    pub fn give(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What is left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Weights that load each tensor once, as far as a budget goes; beyond it a tensor is loaded whenever it is wanted.
pub struct Cached {
    source: Arc<dyn Weights>,
    budget: Arc<Budget>,
    /// Tensors, and whether their bytes were taken from the budget.
    kept: Mutex<BTreeMap<String, (Tensor, bool)>>,
}

impl Cached {
    /// Nothing is loaded yet.
    #[must_use]
    pub fn new(source: Arc<dyn Weights>, budget: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self { source, budget, kept: Mutex::default() })
    }

    /// A tensor that stays, whatever the budget says: one that many models use at the same time.
    pub fn load_shared(&self, name: &str) -> Result<Tensor, CheckpointError> {
        self.load_kept(name, true)
    }

    fn load_kept(&self, name: &str, always: bool) -> Result<Tensor, CheckpointError> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((tensor, _)) = kept().get(name) {
            return Ok(tensor.clone());
        }
        let tensor = self.source.load(name)?;
        let mut kept = kept();
        // Another thread may have been faster; then its tensor is the one that is shared.
        if let Some((other, _)) = kept.get(name) {
            return Ok(other.clone());
        }
        let taken = self.budget.take(bytes(&tensor));
        if taken || always {
            kept.insert(name.to_owned(), (tensor.clone(), taken));
        }
        Ok(tensor)
    }
}

fn bytes(tensor: &Tensor) -> usize {
    tensor.elem_count() * tensor.dtype().size_in_bytes()
}

impl Drop for Cached {
    fn drop(&mut self) {
        let kept = self.kept.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.budget.give(kept.values().filter(|k| k.1).map(|k| bytes(&k.0)).sum());
    }
}

impl Weights for Cached {
    fn names(&self) -> Vec<&str> {
        self.source.names()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.source.info(name)
    }

    fn load(&self, name: &str) -> Result<Tensor, CheckpointError> {
        self.load_kept(name, false)
    }

    fn digest(&self, digests: &FileDigests) -> Result<Digest, CheckpointError> {
        self.source.digest(digests)
    }

    fn label(&self) -> String {
        self.source.label()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.source.files()
    }

    fn raw(&self, name: &str) -> Option<Raw<'_>> {
        self.source.raw(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Tensors;
    use candle_core::{DType, Device};

    #[test]
    fn what_fits_is_loaded_once_and_given_back() {
        let tensor = |n: usize| Tensor::zeros(n, DType::F32, &Device::Cpu).unwrap();
        let all = Tensors::from([("a".to_owned(), tensor(10)), ("b".to_owned(), tensor(1000))]);
        let budget = Budget::new(100);
        let held = Cached::new(Arc::new(all), Arc::clone(&budget));
        held.load("a").unwrap();
        held.load("a").unwrap();
        held.load("b").unwrap();
        assert_eq!(budget.left(), 60, "40 bytes of `a`, once; `b` does not fit");
        held.load_shared("b").unwrap();
        assert_eq!((budget.left(), held.kept.lock().unwrap().len()), (60, 2));
        drop(held);
        assert_eq!(budget.left(), 100);
    }
}
