//! Combinations of many checkpoints into one. To add one, write a file with a `Combine` and list it here.

mod uniform_soup;

use std::sync::Arc;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::error::{MergeError, differences};
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::registry::{Named, Registry};
use crate::checkpoint::{CheckpointError, TensorInfo, Weights, missing, of_tensor, values};

/// A way to combine checkpoints.
pub trait Combine: Named + Sync {
    /// Whether it works on differences to a `base`.
    fn needs_base(&self) -> bool;

    /// Looks at all weights once (global quantiles, norms), before any tensor is made. The weights have the same
    /// tensors, and `base` is there if it is needed.
    fn prepare(
        &self,
        base: Option<&dyn Weights>,
        of: &[Arc<dyn Weights>],
    ) -> Result<Box<dyn TensorRule>, CheckpointError>;
}

/// How one tensor is combined.
pub trait TensorRule: Send + Sync {
    /// Combines element by element into `out`; `first` is the place of the slices within the tensor. All slices have
    /// the same length.
    fn combine(&self, name: &str, first: usize, base: Option<&[f32]>, of: &[&[f32]], out: &mut [f32]);
}

/// All combinations.
pub static COMBINES: Registry<dyn Combine> =
    Registry { kind: "combination", items: &[&uniform_soup::UniformSoup] };

/// Values that one task combines.
const STRETCH: usize = 1 << 16;

/// Weights combined from many, tensor by tensor, when they are wanted.
pub struct Combination {
    method: &'static dyn Combine,
    base: Option<Arc<dyn Weights>>,
    of: Vec<Arc<dyn Weights>>,
    rule: Box<dyn TensorRule>,
}

impl Combination {
    /// Checks that all have the same tensors, and lets the method look at them.
    ///
    /// # Errors
    /// If names or shapes differ, or there is nothing to combine.
    pub fn new(
        method: &'static dyn Combine,
        base: Option<Arc<dyn Weights>>,
        of: Vec<Arc<dyn Weights>>,
    ) -> Result<Self, MergeError> {
        let none = || MergeError::Mismatch {
            from: method.name().to_owned(),
            to: method.name().to_owned(),
            problems: vec!["nothing is combined".to_owned()],
        };
        let first = of.first().ok_or_else(none)?;
        for other in of[1..].iter().chain(&base) {
            let problems = differences(&**first, &**other, |_| false);
            if !problems.is_empty() {
                return Err(MergeError::Mismatch { from: first.label(), to: other.label(), problems });
            }
        }
        let rule = method.prepare(base.as_deref(), &of)?;
        Ok(Self { method, base, of, rule })
    }
}

impl Weights for Combination {
    fn names(&self) -> Vec<&str> {
        self.of[0].names()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        let info = self.of[0].info(name)?;
        let dtype = if info.is_float() { "F32".to_owned() } else { info.dtype };
        Some(TensorInfo { shape: info.shape, dtype })
    }

    fn load(&self, name: &str) -> Result<Tensor, CheckpointError> {
        let info = self.info(name).ok_or_else(|| missing(self, name))?;
        if !info.is_float() {
            return self.of[0].load(name);
        }
        let values = |w: &Arc<dyn Weights>| values(&**w, name);
        let base = self.base.as_ref().map(values).transpose()?;
        let of: Vec<Vec<f32>> = self.of.iter().map(values).collect::<Result<_, _>>()?;
        let mut out = vec![0.0f32; info.shape.iter().product()];
        out.par_chunks_mut(STRETCH).enumerate().for_each(|(i, out)| {
            let (first, end) = (i * STRETCH, i * STRETCH + out.len());
            let of: Vec<&[f32]> = of.iter().map(|v| &v[first..end]).collect();
            self.rule.combine(name, first, base.as_ref().map(|v| &v[first..end]), &of, out);
        });
        Tensor::from_vec(out, info.shape, &Device::Cpu).map_err(of_tensor(self, name))
    }

    fn digest(&self, digests: &FileDigests) -> Result<Digest, CheckpointError> {
        let base = self.base.as_ref().map(|b| b.digest(digests)).transpose()?;
        let of: Vec<Digest> = self.of.iter().map(|w| w.digest(digests)).collect::<Result<_, _>>()?;
        Ok(Digest::of_value(&(self.method.name(), base, of)))
    }

    fn label(&self) -> String {
        let of: Vec<String> = self.of.iter().map(|w| w.label()).collect();
        format!("{} of {}", self.method.name(), of.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Tensors;

    fn weights(values: &[f32]) -> Arc<dyn Weights> {
        let tensor = Tensor::from_slice(values, values.len(), &Device::Cpu).unwrap();
        Arc::new(Tensors::from([("w".to_owned(), tensor)]))
    }

    #[test]
    fn many_of_one_are_that_one() {
        let values: Vec<f32> = (0..STRETCH + 7).map(|i| (i as f32).sin()).collect();
        for method in COMBINES.items.iter().filter(|m| !m.needs_base()) {
            let all = Combination::new(*method, None, vec![weights(&values); 3]).unwrap();
            assert_eq!(all.load("w").unwrap().to_vec1::<f32>().unwrap(), values, "{}", method.name());
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let method = COMBINES.get("uniform-soup").unwrap();
        let error =
            Combination::new(method, None, vec![weights(&[1.0]), weights(&[1.0, 2.0])]).err().unwrap();
        assert!(error.to_string().contains("`w` is [1] in the first and [2] in the second"), "{error}");
        assert!(Combination::new(method, None, Vec::new()).is_err());
    }
}
