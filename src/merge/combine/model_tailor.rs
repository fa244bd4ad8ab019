//! Most weights of a fine-tuned checkpoint reset to the base's, and the rest changed to make up for it (Model Tailor, Zhu et al.
//! 2024, arXiv:2402.12048).
//!
//! As didizhu-zju/Model-Tailor, `llava/sparsegpt.py`: column by column as in SparseGPT (arXiv:2301.00774), the patch chosen in
//! blocks of columns by half the standardised size of the change and half that of what resetting costs. Three things differ. The
//! inputs are those of the fine-tuned model, collected once, where the released script collects them layer by layer from the model
//! as tailored so far. Its update has the sign that adds to the error of a reset weight instead of making up for it; that is
//! `compensate = "released"`. Where a row's changes are all alike, they are standardised to 0 where it divides by 0.

use faer::Mat;
use rayon::prelude::*;

use super::layer::{Layer, Made, gram, solved};
use super::{Combine, CombineSettings, Compensate, Each, Stretches, TensorRule, TensorView};
use crate::base::registry::Named;
use crate::merge::beside::Beside;

/// The combination.
pub(super) struct ModelTailor;

/// Columns whose patch is chosen together.
const BLOCK: usize = 128;

impl Named for ModelTailor {
    fn name(&self) -> &'static str {
        "model-tailor"
    }
    fn summary(&self) -> &'static str {
        "linear layers of one checkpoint: the share `density` (0.1) of the weights that changed most and cost most to reset stays, \
         moved by `compensate` (obs) for the others, which are the base's; `damp` (0.01) on the products of inputs; all else stays"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2402.12048; didizhu-zju/Model-Tailor"
    }
}

impl Combine for ModelTailor {
    fn needs_base(&self) -> bool {
        true
    }

    fn reads(&self) -> Option<Beside> {
        Some(Beside::Gram)
    }

    fn keys(&self) -> &'static [&'static str] {
        &["density", "damp", "compensate"]
    }

    fn rule(&self, settings: &CombineSettings, count: usize) -> Result<Box<dyn TensorRule>, String> {
        if count != 1 {
            return Err(format!("it tailors one checkpoint, not {count}"));
        }
        let density = match &settings.density {
            None => 0.1,
            Some(Each::All(one)) => *one,
            Some(Each::List(all)) => all.first().copied().unwrap_or(0.1),
        };
        let (damp, compensate) = (settings.damp.unwrap_or(0.01), settings.compensate.unwrap_or_default());
        Ok(Box::new(Rule { density, damp, compensate }))
    }
}

struct Rule {
    density: f64,
    damp: f64,
    compensate: Compensate,
}

impl TensorRule for Rule {
    fn look<'a>(&'a self, tensor: &'a TensorView<'a>) -> candle_core::Result<Box<dyn Stretches + 'a>> {
        let (tuned, base) = (tensor.of[0], tensor.base.unwrap_or_default());
        let Some(layer) = Layer::of(tensor).filter(|_| tuned != base) else {
            return Ok(Box::new(Made(tuned.to_vec())));
        };
        let upper = self.upper(tensor.beside[0], layer.inputs)?;
        let row = |values: &[f32], o: usize| -> Vec<f64> {
            (0..layer.inputs).map(|i| f64::from(values[layer.place(o, i)])).collect()
        };
        let mut rows: Vec<Row> = (0..layer.outputs)
            .into_par_iter()
            .map(|o| Row { now: row(tuned, o), tuned: row(tuned, o), base: row(base, o) })
            .collect();
        for first in (0..layer.inputs).step_by(BLOCK) {
            let columns = first..layer.inputs.min(first + BLOCK);
            let scores: Vec<Vec<f64>> = rows.par_iter().map(|r| r.scores(columns.clone(), &upper)).collect();
            let threshold = self.threshold(&scores);
            rows.par_iter_mut().zip(scores).for_each(|(row, scores)| {
                let reset: Vec<bool> = scores.iter().map(|s| threshold.is_none_or(|t| *s <= t)).collect();
                row.tailor(first, &reset, &upper, self.compensate);
            });
        }
        Ok(Box::new(Made(layer.stored(|output, input| rows[output].now[input]))))
    }
}

impl Rule {
    /// The upper Cholesky factor of the inverse of the damped products of inputs, row by row from the diagonal on.
    fn upper(&self, products: &[f32], n: usize) -> candle_core::Result<Vec<Vec<f64>>> {
        let mut h = gram(products, n)?;
        for i in 0..n {
            if h[(i, i)] == 0.0 {
                h[(i, i)] = 1.0;
            }
        }
        let mean = (0..n).map(|i| h[(i, i)]).sum::<f64>() / n as f64;
        for i in 0..n {
            h[(i, i)] += self.damp * mean;
        }
        let inverse = solved(&h, &Mat::identity(n, n))?;
        let factors = inverse.llt(faer::Side::Lower);
        let Ok(factors) = factors else {
            candle_core::bail!("its products of inputs are singular; a larger `damp` makes them regular")
        };
        let lower = factors.L();
        Ok((0..n).map(|i| (i..n).map(|j| lower[(j, i)]).collect()).collect())
    }

    /// The score up to which weights of a block are reset; all are for none. As in the released code one more is than the share
    /// says, but for a share of nothing.
    fn threshold(&self, scores: &[Vec<f64>]) -> Option<f64> {
        if self.density >= 1.0 {
            return Some(f64::NEG_INFINITY);
        }
        let mut all = scores.concat();
        all.sort_by(f64::total_cmp);
        all.get((all.len() as f64 * (1.0 - self.density)) as usize).copied()
    }
}

/// The weights of one output.
struct Row {
    now: Vec<f64>,
    tuned: Vec<f64>,
    base: Vec<f64>,
}

impl Row {
    /// How much the weights of a block matter.
    fn scores(&self, columns: std::ops::Range<usize>, upper: &[Vec<f64>]) -> Vec<f64> {
        let change: Vec<f64> = columns.clone().map(|i| (self.tuned[i] - self.base[i]).abs()).collect();
        let cost: Vec<f64> = columns.map(|i| (self.now[i] / upper[i][0]).powi(2)).collect();
        let both = standardised(&change).into_iter().zip(standardised(&cost));
        both.map(|(change, cost)| 0.5 * change + 0.5 * cost).collect()
    }

    /// Resets weights of a block that begins at `first`, and changes those after each to make up for it.
    fn tailor(&mut self, first: usize, reset: &[bool], upper: &[Vec<f64>], compensate: Compensate) {
        for i in (first..).zip(reset).filter_map(|(i, reset)| reset.then_some(i)) {
            let error = (self.now[i] - self.base[i]) / upper[i][0];
            self.now[i] = self.base[i];
            let factor = match compensate {
                Compensate::Obs => -error,
                Compensate::Released => error,
                Compensate::None => continue,
            };
            let after = self.now[i + 1..].iter_mut().zip(&upper[i][1..]);
            after.for_each(|(value, upper)| *value += factor * upper);
        }
    }
}

/// In standard deviations from the mean (unbiased); where there are none, 0.
fn standardised(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let deviation = variance.sqrt();
    let of = |v: &f64| if deviation > 0.0 { (v - mean) / deviation } else { 0.0 };
    values.iter().map(of).collect()
}
