//! Sums of differences to a base (Ilharco et al. 2023, arXiv:2212.04089), and what TIES, DARE, breadcrumbs and DELLA make of
//! them: some values of each difference go, and where signs are at odds the larger side counts. mergekit's generalised task
//! arithmetic, with its defaults; they differ by settings alone.

use super::kept::{BLOCK, Kept, Sparsify, subtract};
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
    fn look<'a>(&'a self, tensor: &'a TensorView<'a>) -> candle_core::Result<Box<dyn Stretches + 'a>> {
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
            Member { values: tuned, kept, scale: scale as f32, weight: self.weights[i] as f32 }
        });
        Ok(Box::new(Sum { rule: self, base, each: each.collect() }))
    }
}

/// One checkpoint's share of a tensor.
struct Member<'a> {
    values: &'a [f32],
    kept: Kept,
    scale: f32,
    weight: f32,
}

struct Sum<'a> {
    rule: &'a Rule,
    base: &'a [f32],
    each: Vec<Member<'a>>,
}

impl Stretches for Sum<'_> {
    fn fill(&self, first: usize, out: &mut [f32]) {
        let mut parts = vec![[0.0f32; BLOCK]; self.each.len()];
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for (i, out) in out.chunks_mut(BLOCK).enumerate() {
                    self.block(first + i * BLOCK, out, &mut parts);
                }
            },
        );
    }
}

impl Sum<'_> {
    /// Values from place `first` on, one operation after the other over all of them.
    #[inline(always)]
    fn block(&self, first: usize, out: &mut [f32], parts: &mut [[f32; BLOCK]]) {
        let n = out.len();
        let base = &self.base[first..][..n];
        out.fill(0.0);
        for (each, part) in self.each.iter().zip(&mut *parts) {
            let part = &mut part[..n];
            subtract(&each.values[first..][..n], base, part);
            each.kept.clear(part, first);
            for (part, out) in part.iter_mut().zip(&mut *out) {
                *part = *part * each.scale * each.weight;
                *out += *part;
            }
        }
        let mut weights = [self.each.iter().map(|e| e.weight).sum::<f32>(); BLOCK];
        if self.rule.elect {
            self.elect(out, parts, &mut weights);
        } else if weights[0].abs() < 1e-8 {
            weights = [1.0; BLOCK];
        }
        let lambda = self.rule.lambda as f32;
        for ((out, base), weight) in out.iter_mut().zip(base).zip(weights) {
            let sum = if self.rule.normalize { *out / weight } else { *out };
            *out = base + sum * lambda;
        }
    }

    /// Leaves of each sum what is on its side, and says what weighs there.
    #[inline(always)]
    fn elect(&self, sums: &mut [f32], parts: &[[f32; BLOCK]], weights: &mut [f32; BLOCK]) {
        let mut sides = [0.0f32; BLOCK];
        weights.fill(0.0);
        for (each, part) in self.each.iter().zip(parts) {
            let sides = sides.iter_mut().zip(&mut *weights);
            for ((sum, part), (side, weight)) in sums.iter().zip(part).zip(sides) {
                // Zero counts as positive.
                let with = if *sum >= 0.0 { *part > 0.0 } else { *part < 0.0 };
                *side += if with { *part } else { 0.0 };
                *weight += if with { each.weight } else { 0.0 };
            }
        }
        weights.iter_mut().for_each(|w| *w = if *w == 0.0 { 1.0 } else { *w });
        sums.copy_from_slice(&sides[..sums.len()]);
    }
}
