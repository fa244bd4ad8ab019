//! The mean of all weights.
//!
//! Wortsman et al. 2022 (arXiv:2203.05482), recipe 1; mergekit calls it `linear` with equal weights.

use std::sync::Arc;

use super::{Combine, TensorRule};
use crate::base::registry::Named;
use crate::checkpoint::{CheckpointError, Weights};

/// The combination, and its rule: it needs no look at the whole.
pub(super) struct UniformSoup;

impl Named for UniformSoup {
    fn name(&self) -> &'static str {
        "uniform-soup"
    }
    fn summary(&self) -> &'static str {
        "the mean of all weights, summed in f64"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2203.05482, recipe 1; mergekit `linear`"
    }
}

impl Combine for UniformSoup {
    fn needs_base(&self) -> bool {
        false
    }

    fn prepare(
        &self,
        _base: Option<&dyn Weights>,
        _of: &[Arc<dyn Weights>],
    ) -> Result<Box<dyn TensorRule>, CheckpointError> {
        Ok(Box::new(Self))
    }
}

impl TensorRule for UniformSoup {
    fn combine(&self, _: &str, _: usize, _: Option<&[f32]>, of: &[&[f32]], out: &mut [f32]) {
        for (i, out) in out.iter_mut().enumerate() {
            let sum: f64 = of.iter().map(|v| f64::from(v[i])).sum();
            *out = (sum / of.len() as f64) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_three() {
        let mut out = [0.0; 2];
        UniformSoup.combine("w", 0, None, &[&[1.0, 2.0], &[2.0, 4.0], &[6.0, 0.0]], &mut out);
        assert_eq!(out, [3.0, 2.0]);
    }
}
