//! Statistics: what was computed, how, and how sure it is. Knows numbers only.
//!
//! All resampling is counter-based ([`crate::base::rng`]): replicate `r` of a probe is a function
//! of (seed, data, r), so results are the same on any number of threads, and every variant sees
//! the same draws, which makes all comparisons paired.

mod bootstrap;
mod curve;
mod drawing;
mod estimator;
mod frontier;
mod interval;
mod multiple;
mod paired;
mod power;
mod robustness;
mod sequence;
mod swaps;

pub use bootstrap::Resampling;
pub use curve::{Barrier, Selection, barrier, select_alpha};
pub use drawing::Drawing;
pub use estimator::{BINS, Estimator, Form};
pub use frontier::{harmonic_mean, height_at, hypervolume, lies_above, pareto};
pub use interval::{
    Interval, bca, clopper_pearson, clustered_wilson, over_seeds, percentile, standard_deviation,
    student_quantile, wilson,
};
pub use multiple::{benjamini_hochberg, holm, simultaneous_band};
pub use paired::{Flips, permutation};
pub use power::Design;
pub use robustness::{LogitFit, logit};
pub use sequence::{DifferenceSequence, Sequence};
pub use swaps::{Change, Swaps};

use serde::{Deserialize, Serialize};

/// A number with its uncertainty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Interval at the suite's confidence, where one could be computed.
    pub interval: Option<Interval>,
    /// Standard error, where one could be computed.
    pub stderr: Option<f64>,
    /// Examples behind it.
    pub n: usize,
}

/// How several probes become one axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    /// Arithmetic mean.
    #[default]
    Mean,
    /// Harmonic mean; 0 if any value is 0.
    Harmonic,
}

impl Aggregate {
    /// Names used in suite files.
    pub const CHOICES: [(&str, Self); 2] = [("mean", Self::Mean), ("harmonic", Self::Harmonic)];

    /// The aggregate of some values; `None` of none.
    #[must_use]
    pub fn of(self, values: impl Iterator<Item = f64> + Clone) -> Option<f64> {
        let n = values.clone().count();
        if n == 0 {
            return None;
        }
        Some(match self {
            Self::Mean => values.sum::<f64>() / n as f64,
            Self::Harmonic => {
                if values.clone().any(|v| v <= 0.0) {
                    0.0
                } else {
                    n as f64 / values.map(|v| 1.0 / v).sum::<f64>()
                }
            }
        })
    }
}
