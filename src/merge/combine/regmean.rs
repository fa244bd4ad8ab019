//! Weights whose linear layers give what each checkpoint's own give on its own inputs, in the least-squares sense (RegMean, Jin et
//! al. 2023, arXiv:2212.09849, equation 2 and section 3.3).

use faer::{Mat, Scale};

use super::layer::{Layer, Made, gram, solved};
use super::linear::{Mean, Unit};
use super::{Combine, CombineSettings, Stretches, TensorRule, TensorView};
use crate::base::registry::Named;
use crate::merge::beside::Beside;

/// The combination.
pub(super) struct RegMean;

impl Named for RegMean {
    fn name(&self) -> &'static str {
        "regmean"
    }
    fn summary(&self) -> &'static str {
        "linear layers: (sum G)^-1 (sum G W^T), G being `weights` (1 each) times the products of inputs beside each checkpoint with \
         `non_diagonal` (0.9) on what lies off their diagonal; all else: the mean"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2212.09849; bloomberg/dataless-model-merging"
    }
}

impl Combine for RegMean {
    fn needs_base(&self) -> bool {
        false
    }

    fn reads(&self) -> Option<Beside> {
        Some(Beside::Gram)
    }

    fn keys(&self) -> &'static [&'static str] {
        &["weights", "non_diagonal"]
    }

    fn rule(&self, settings: &CombineSettings, count: usize) -> Result<Box<dyn TensorRule>, String> {
        let weights = super::weights_of(settings, count)?;
        if weights.iter().any(|w| *w <= 0.0) {
            return Err("what each checkpoint weighs must be above 0".to_owned());
        }
        let non_diagonal = settings.non_diagonal.unwrap_or(0.9);
        Ok(Box::new(Rule { mean: Mean::of(&weights, Unit::Sum)?, weights, non_diagonal }))
    }
}

struct Rule {
    weights: Vec<f64>,
    non_diagonal: f64,
    /// What is no linear layer.
    mean: Mean,
}

impl TensorRule for Rule {
    fn look<'a>(&'a self, tensor: &'a TensorView<'a>) -> candle_core::Result<Box<dyn Stretches + 'a>> {
        let Some(layer) = Layer::of(tensor) else { return self.mean.look(tensor) };
        let (n, outputs) = (layer.inputs, layer.outputs);
        let (mut sum, mut right) = (Mat::<f64>::zeros(n, n), Mat::<f64>::zeros(n, outputs));
        let dead: Vec<usize> = (0..n).filter(|i| tensor.beside.iter().all(|g| g[i * n + i] == 0.0)).collect();
        for ((values, products), &weight) in tensor.of.iter().zip(&tensor.beside).zip(&self.weights) {
            let mut own = gram(products, n)?;
            for j in 0..n {
                for i in (0..n).filter(|&i| i != j) {
                    own[(i, j)] *= self.non_diagonal;
                }
            }
            // An input that no checkpoint has seen says nothing: its weights are the mean.
            dead.iter().for_each(|&i| own[(i, i)] = 1.0);
            let own = Scale(weight) * own;
            let values = Mat::from_fn(n, outputs, |i, o| f64::from(values[layer.place(o, i)]));
            right += &own * &values;
            sum += own;
        }
        let made = solved(&sum, &right)?;
        Ok(Box::new(Made(layer.stored(|output, input| made[(input, output)]))))
    }
}
