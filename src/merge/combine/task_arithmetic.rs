//! Sums of differences to a base (Ilharco et al. 2023, arXiv:2212.04089), and what TIES, DARE, breadcrumbs and DELLA make of
//! them: some values of each difference go, and where signs are at odds the larger side counts. mergekit's generalised task
//! arithmetic, with its defaults; they differ by settings alone.

use super::kept::{Kept, Sparsify};
use super::{Combine, CombineSettings, Rescale, Stretches, TensorRule, TensorView, densities_of, weights_of};
use crate::base::digest::Digest;
use crate::base::registry::named_by_fields;

/// A member of the family.
pub(super) struct TaskArithmetic {
    name: &'static str,
    summary: &'static str,
    reference: &'static str,
    sparsify: Sparsify,
    /// Whether the larger side of the signs counts alone.
    elect: bool,
    normalize: bool,
    rescale: Rescale,
    keys: &'static [&'static str],
}

const KEYS: &[&str] = &["weights", "density", "lambda", "normalize", "rescale"];
const RANDOM: &[&str] = &["weights", "density", "lambda", "normalize", "rescale", "seed"];
const OUTLIERS: &[&str] = &["weights", "density", "lambda", "normalize", "rescale", "gamma"];
const RANKED: &[&str] = &["weights", "density", "lambda", "normalize", "rescale", "epsilon", "seed"];

/// The sum.
pub(super) static TASK_ARITHMETIC: TaskArithmetic = TaskArithmetic {
    name: "task-arithmetic",
    summary: "base + `lambda` (1) times the sum of differences by `weights` (1 each)",
    reference: "arXiv:2212.04089; mergekit `task_arithmetic`",
    sparsify: Sparsify::No,
    elect: false,
    normalize: false,
    rescale: Rescale::None,
    keys: &["weights", "lambda", "normalize"],
};
/// TIES.
pub(super) static TIES: TaskArithmetic = TaskArithmetic {
    name: "ties",
    summary: "the `density` (1) largest of each difference, of the side of the signs that weighs more, averaged",
    reference: "arXiv:2306.01708; mergekit `ties`",
    sparsify: Sparsify::Magnitude,
    elect: true,
    normalize: true,
    rescale: Rescale::None,
    keys: KEYS,
};
/// DARE.
pub(super) static DARE: TaskArithmetic = TaskArithmetic {
    name: "dare-linear",
    summary: "a random `density` (1) of each difference, scaled up again (`rescale`: l1 as mergekit, density as the paper)",
    reference: "arXiv:2311.03099; mergekit `dare_linear`",
    sparsify: Sparsify::Random,
    elect: false,
    normalize: false,
    rescale: Rescale::L1,
    keys: RANDOM,
};
/// DARE with TIES' signs.
pub(super) static DARE_TIES: TaskArithmetic = TaskArithmetic {
    name: "dare-ties",
    summary: "a random `density` (1) of each difference, scaled up again, of the side of the signs that weighs more",
    reference: "arXiv:2311.03099; mergekit `dare_ties`",
    elect: true,
    ..DARE
};
/// Model breadcrumbs.
pub(super) static BREADCRUMBS: TaskArithmetic = TaskArithmetic {
    name: "breadcrumbs",
    summary: "a `density` (1) of each difference without the `gamma` (0.01) largest and the smallest",
    reference: "arXiv:2312.06795; mergekit `breadcrumbs`",
    sparsify: Sparsify::Outliers { gamma: 0.01 },
    elect: false,
    normalize: false,
    rescale: Rescale::None,
    keys: OUTLIERS,
};
/// Model breadcrumbs with TIES' signs.
pub(super) static BREADCRUMBS_TIES: TaskArithmetic = TaskArithmetic {
    name: "breadcrumbs-ties",
    summary: "breadcrumbs, of the side of the signs that weighs more",
    reference: "arXiv:2312.06795; mergekit `breadcrumbs_ties`",
    elect: true,
    ..BREADCRUMBS
};
/// DELLA.
pub(super) static DELLA: TaskArithmetic = TaskArithmetic {
    name: "della",
    summary: "each value stays with a chance of `density` (1) +- `epsilon` (0.15) by its rank, scaled up again, of the side of \
              the signs that weighs more, averaged",
    reference: "arXiv:2406.11617; mergekit `della`",
    sparsify: Sparsify::Ranked { epsilon: 0.15 },
    elect: true,
    normalize: true,
    rescale: Rescale::L1,
    keys: RANKED,
};
/// DELLA without signs.
pub(super) static DELLA_LINEAR: TaskArithmetic = TaskArithmetic {
    name: "della-linear",
    summary: "each value stays with a chance of `density` (1) +- `epsilon` (0.15) by its rank, scaled up again",
    reference: "arXiv:2406.11617; mergekit `della_linear`",
    elect: false,
    normalize: false,
    ..DELLA
};

named_by_fields!(TaskArithmetic);

impl Combine for TaskArithmetic {
    fn needs_base(&self) -> bool {
        true
    }

    fn keys(&self) -> &'static [&'static str] {
        self.keys
    }

    fn rule(&self, settings: &CombineSettings, count: usize) -> Result<Box<dyn TensorRule>, String> {
        let densities = densities_of(settings, count)?;
        let sparsify = match self.sparsify {
            Sparsify::Outliers { gamma } => Sparsify::Outliers { gamma: settings.gamma.unwrap_or(gamma) },
            Sparsify::Ranked { epsilon } => {
                let epsilon = settings.epsilon.unwrap_or(epsilon);
                let inside = |d: &f64| *d >= 1.0 || (d + epsilon < 1.0 && d - epsilon > 0.0);
                if !densities.iter().all(inside) {
                    return Err("`density` + and - `epsilon` must lie between 0 and 1".to_owned());
                }
                Sparsify::Ranked { epsilon }
            }
            other => other,
        };
        Ok(Box::new(Rule {
            weights: weights_of(settings, count)?,
            densities,
            lambda: settings.lambda.unwrap_or(1.0),
            sparsify,
            elect: self.elect,
            normalize: settings.normalize.unwrap_or(self.normalize),
            rescale: settings.rescale.unwrap_or(self.rescale),
            seed: settings.seed.unwrap_or(0),
        }))
    }
}

struct Rule {
    weights: Vec<f64>,
    densities: Vec<f64>,
    lambda: f64,
    sparsify: Sparsify,
    elect: bool,
    normalize: bool,
    rescale: Rescale,
    seed: u64,
}

impl Rule {
    /// Where the random choices of a tensor of a checkpoint are drawn.
    fn key(&self, tensor: &str, checkpoint: usize) -> u64 {
        let digest = Digest::of_value(&(self.seed, tensor, checkpoint));
        u64::from_str_radix(&digest.as_str()[..16], 16).unwrap_or(self.seed)
    }
}

impl TensorRule for Rule {
    fn look<'a>(&'a self, tensor: &'a TensorView<'a>) -> Box<dyn Stretches + 'a> {
        let base = tensor.base.unwrap_or_default();
        let each = tensor.of.iter().enumerate().map(|(i, tuned)| {
            let density = self.densities[i];
            let kept =
                Kept::new(self.sparsify, density, base, tuned, (tensor.shape, self.key(tensor.name, i)));
            let scale = match (self.rescale, &kept) {
                (Rescale::None, _) | (_, Kept::All | Kept::Nothing) => 1.0,
                (Rescale::Density, _) => 1.0 / density,
                (Rescale::L1, kept) => {
                    let (before, after) = kept.sums(base, tuned);
                    // As mergekit: too small a difference is left as it is.
                    if before < 1e-7 || after < 1e-7 { 1.0 } else { before / after }
                }
            };
            (*tuned, kept, scale as f32, self.weights[i] as f32)
        });
        Box::new(Sum { rule: self, base, each: each.collect() })
    }
}

struct Sum<'a> {
    rule: &'a Rule,
    base: &'a [f32],
    /// Values, what stays, scale, weight.
    each: Vec<(&'a [f32], Kept, f32, f32)>,
}

impl Stretches for Sum<'_> {
    fn fill(&self, first: usize, out: &mut [f32]) {
        let total: f32 = self.each.iter().map(|e| e.3).sum();
        let mut parts = vec![0.0f32; self.each.len()];
        for (i, out) in out.iter_mut().enumerate() {
            let place = first + i;
            let base = self.base[place];
            for ((tuned, kept, scale, weight), part) in self.each.iter().zip(&mut parts) {
                let difference = tuned[place] - base;
                *part = if kept.stays(difference, place) { difference * scale * weight } else { 0.0 };
            }
            let (mut sum, mut weights) = (parts.iter().sum::<f32>(), total);
            if self.rule.elect {
                // Zero counts as positive.
                let positive = sum >= 0.0;
                (sum, weights) = (0.0, 0.0);
                for (part, (.., weight)) in parts.iter().zip(&self.each) {
                    if (positive && *part > 0.0) || (!positive && *part < 0.0) {
                        sum += part;
                        weights += weight;
                    }
                }
                if weights == 0.0 {
                    weights = 1.0;
                }
            } else if weights.abs() < 1e-8 {
                weights = 1.0;
            }
            if self.rule.normalize {
                sum /= weights;
            }
            *out = base + sum * self.rule.lambda as f32;
        }
    }
}
