//! Model stock (Jang et al. 2024, arXiv:2403.19522): the mean of the fine-tuned weights, drawn to the base as far as their
//! differences disagree, tensor by tensor.

use rayon::prelude::*;

use super::{Combine, CombineSettings, STRETCH, Stretches, TensorRule, TensorView};
use crate::base::registry::Named;

/// The combination, and its rule.
pub(super) struct ModelStock;

impl Named for ModelStock {
    fn name(&self) -> &'static str {
        "model-stock"
    }
    fn summary(&self) -> &'static str {
        "t mean + (1 - t) base, t = n cos / (1 + (n - 1) cos), cos being the mean cosine between differences"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2403.19522; mergekit `model_stock`"
    }
}

impl Combine for ModelStock {
    fn needs_base(&self) -> bool {
        true
    }

    fn keys(&self) -> &'static [&'static str] {
        &[]
    }

    fn rule(&self, _: &CombineSettings, count: usize) -> Result<Box<dyn TensorRule>, String> {
        if count < 2 {
            return Err("it compares at least two checkpoints".to_owned());
        }
        Ok(Box::new(Self))
    }
}

impl TensorRule for ModelStock {
    fn look<'a>(&'a self, tensor: &'a TensorView<'a>) -> candle_core::Result<Box<dyn Stretches + 'a>> {
        let base = tensor.base.unwrap_or_default();
        let n = tensor.of.len();
        let product = |a: &[f32], b: &[f32]| -> f64 {
            let part = |((a, b), w): ((&[f32], &[f32]), &[f32])| -> f64 {
                a.iter().zip(b).zip(w).map(|((a, b), w)| f64::from(a - w) * f64::from(b - w)).sum()
            };
            let parts = a.par_chunks(STRETCH).zip(b.par_chunks(STRETCH)).zip(base.par_chunks(STRETCH));
            // Added in their order, whatever the number of threads.
            parts.map(part).collect::<Vec<f64>>().iter().sum()
        };
        let norms: Vec<f64> = tensor.of.iter().map(|v| product(v, v).sqrt()).collect();
        let mut cosines = Vec::new();
        for i in 0..n {
            for j in i + 1..n {
                let size = (norms[i] * norms[j]).max(1e-6);
                cosines.push((product(tensor.of[i], tensor.of[j]) / size).clamp(-1.0, 1.0));
            }
        }
        let cosine = cosines.iter().sum::<f64>() / cosines.len() as f64;
        let below = 1.0 + (n as f64 - 1.0) * cosine;
        // Where the differences cancel there is no estimate, and the base stays.
        let t = if below.abs() < 1e-6 { 0.0 } else { n as f64 * cosine / below };
        Ok(Box::new(Drawn { tensor, t }))
    }
}

struct Drawn<'a> {
    tensor: &'a TensorView<'a>,
    t: f64,
}

impl Stretches for Drawn<'_> {
    fn fill(&self, first: usize, out: &mut [f32]) {
        let n = self.tensor.of.len() as f64;
        let base = self.tensor.base.unwrap_or_default();
        for (i, out) in out.iter_mut().enumerate() {
            let start = f64::from(base[first + i]);
            let mean = self.tensor.of.iter().map(|v| f64::from(v[first + i])).sum::<f64>() / n;
            // Where all agree with the base, exactly the base.
            *out = (start + self.t * (mean - start)) as f32;
        }
    }
}
