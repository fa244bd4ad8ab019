//! A metric made ready for many resamples.

use super::interval::{Interval, clustered_wilson, wilson};

/// How a statistic is computed from per-example parts.
pub enum Form {
    /// The mean of one number per example.
    Mean(Vec<f64>),
    /// The mean over groups of the mean within the group (`groups[i]` is the group of example
    /// `i`). A group without examples does not count.
    MacroMean {
        /// One number per example.
        values: Vec<f64>,
        /// Group of each example.
        groups: Vec<u32>,
    },
    /// A sum over examples divided by another, such as nats by tokens (perplexity is its exponential) or bits by bytes.
    RatioOfSums {
        /// What is summed above, one number per example.
        numerators: Vec<f64>,
        /// What is summed below, one number per example, not negative.
        denominators: Vec<f64>,
        /// If given, the statistic is e to this many times the ratio: 1 for a perplexity, -1 for its inverse.
        exponent: Option<f64>,
    },
    /// The expected calibration error over [`BINS`] bins of equal width (Guo et al. 2017, arXiv:1706.04599): the
    /// mean over examples of the distance between accuracy and confidence of their bin.
    Calibration {
        /// Probability of the predicted class of each example.
        confidence: Vec<f64>,
        /// Whether the prediction is right, as 0 or 1.
        correct: Vec<f64>,
    },
}

/// Bins of the calibration error.
pub const BINS: usize = 15;

/// The bin of a confidence: bins are open below and closed above.
fn bin(confidence: f64) -> usize {
    ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1
}

/// A group of fewer units than this is itself a matter of the draw: it counts as often as its units are drawn. Larger
/// ones are in (nearly) every draw and count once. Counting a small group once makes intervals too narrow: groups of one
/// unit would vary not at all but by being absent.
const FEW_UNITS: usize = 10;

/// A statistic of per-example parts that can be evaluated at any weights.
pub struct Estimator {
    form: Prepared,
    n: usize,
}

enum Prepared {
    /// Mean of zeros and ones: 255 where the value is one, for a masked sum of counts.
    Binary(Vec<u8>),
    Mean(Vec<f64>),
    MacroMean {
        values: Vec<f64>,
        groups: Vec<u32>,
        /// For each group its size if it is drawn as a whole, else 0.
        sizes: Vec<f64>,
    },
    RatioOfSums {
        numerators: Vec<f64>,
        denominators: Vec<f64>,
        exponent: Option<f64>,
    },
    Calibration {
        /// Accuracy minus confidence of each example.
        excess: Vec<f64>,
        bins: Vec<u8>,
    },
}

impl Estimator {
    /// Prepares a form.
    #[must_use]
    pub fn new(form: Form) -> Self {
        match form {
            Form::Mean(values) => {
                let n = values.len();
                let binary = values.iter().all(|&v| v == 0.0 || v == 1.0);
                let form = if binary {
                    Prepared::Binary(values.iter().map(|&v| if v == 1.0 { 255 } else { 0 }).collect())
                } else {
                    Prepared::Mean(values)
                };
                Self { form, n }
            }
            Form::MacroMean { values, groups } => {
                let sizes = group_sizes(&groups, None);
                Self { n: values.len(), form: Prepared::MacroMean { values, groups, sizes } }
            }
            Form::RatioOfSums { numerators, denominators, exponent } => Self {
                n: numerators.len(),
                form: Prepared::RatioOfSums { numerators, denominators, exponent },
            },
            Form::Calibration { confidence, correct } => {
                let excess = correct.iter().zip(&confidence).map(|(a, c)| a - c).collect();
                let bins = confidence.iter().map(|&c| bin(c) as u8).collect();
                Self { n: confidence.len(), form: Prepared::Calibration { excess, bins } }
            }
        }
    }

    /// The same statistic of examples that are drawn in units: `units[i]` is the unit of example `i`.
    #[must_use]
    pub fn in_units(mut self, units: &[u32]) -> Self {
        if let Prepared::MacroMean { groups, sizes, .. } = &mut self.form {
            *sizes = group_sizes(groups, Some(units));
        }
        self
    }

    /// Examples.
    #[must_use]
    pub const fn n(&self) -> usize {
        self.n
    }

    /// The statistic of the sample itself.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.weighted(&vec![1; self.n])
    }

    /// The statistic when example `i` counts `counts[i]` times.
    #[must_use]
    pub fn weighted(&self, counts: &[u8]) -> f64 {
        let total = |c: &[u8]| c.iter().map(|&c| u64::from(c)).sum::<u64>() as f64;
        match &self.form {
            Prepared::Binary(mask) => masked_sum(counts, mask) as f64 / total(counts),
            Prepared::Mean(values) => {
                let sum: f64 = values.iter().zip(counts).map(|(v, &c)| v * f64::from(c)).sum();
                sum / total(counts)
            }
            Prepared::MacroMean { values, groups, sizes } => {
                let mut sums = vec![(0.0f64, 0u32); sizes.len()];
                for ((value, &group), &c) in values.iter().zip(groups).zip(counts) {
                    let slot = &mut sums[group as usize];
                    slot.0 += value * f64::from(c);
                    slot.1 += u32::from(c);
                }
                let (mut total, mut weight) = (0.0, 0.0);
                for ((sum, n), &size) in sums.into_iter().zip(sizes).filter(|(s, _)| s.1 > 0) {
                    let times = if size > 0.0 { f64::from(n) / size } else { 1.0 };
                    total += times * sum / f64::from(n);
                    weight += times;
                }
                total / weight
            }
            Prepared::RatioOfSums { numerators, denominators, exponent } => {
                let sum = |all: &[f64]| all.iter().zip(counts).map(|(v, &c)| v * f64::from(c)).sum::<f64>();
                raised(sum(numerators) / sum(denominators), *exponent)
            }
            Prepared::Calibration { excess, bins } => {
                let mut sums = [0.0f64; BINS];
                for ((e, &b), &c) in excess.iter().zip(bins).zip(counts) {
                    sums[usize::from(b)] += e * f64::from(c);
                }
                sums.iter().map(|s| s.abs()).sum::<f64>() / total(counts)
            }
        }
    }

    /// The statistic with each example left out in turn.
    #[must_use]
    pub fn jackknife(&self) -> Vec<f64> {
        let mean_without = |sum: f64, v: f64| (sum - v) / (self.n as f64 - 1.0);
        match &self.form {
            Prepared::Binary(mask) => {
                let sum = mask.iter().filter(|&&m| m != 0).count() as f64;
                mask.iter().map(|&m| mean_without(sum, f64::from(m != 0))).collect()
            }
            Prepared::Mean(values) => {
                let sum: f64 = values.iter().sum();
                values.iter().map(|&v| mean_without(sum, v)).collect()
            }
            Prepared::MacroMean { values, groups, sizes } => {
                let mut sums = vec![(0.0f64, 0.0f64); sizes.len()];
                for (v, &g) in values.iter().zip(groups) {
                    let slot = &mut sums[g as usize];
                    *slot = (slot.0 + v, slot.1 + 1.0);
                }
                let used = sums.iter().filter(|s| s.1 > 0.0).count() as f64;
                let total: f64 = sums.iter().filter(|s| s.1 > 0.0).map(|s| s.0 / s.1).sum();
                let without = |(v, &g): (&f64, &u32)| {
                    let ((sum, n), size) = (sums[g as usize], sizes[g as usize]);
                    let (times, mean) = if n > 1.0 { (1.0, (sum - v) / (n - 1.0)) } else { (0.0, 0.0) };
                    let times = if size > 0.0 { (n - 1.0) / size } else { times };
                    (total - sum / n + times * mean) / (used - 1.0 + times)
                };
                values.iter().zip(groups).map(without).collect()
            }
            Prepared::RatioOfSums { numerators, denominators, exponent } => {
                let (above, below) = (numerators.iter().sum::<f64>(), denominators.iter().sum::<f64>());
                let without = |(n, d): (&f64, &f64)| raised((above - n) / (below - d), *exponent);
                numerators.iter().zip(denominators).map(without).collect()
            }
            Prepared::Calibration { excess, bins } => {
                let mut sums = [0.0f64; BINS];
                excess.iter().zip(bins).for_each(|(e, &b)| sums[usize::from(b)] += e);
                let total: f64 = sums.iter().map(|s| s.abs()).sum();
                let without = |(e, &b): (&f64, &u8)| {
                    let s = sums[usize::from(b)];
                    (total - s.abs() + (s - e).abs()) / (self.n as f64 - 1.0)
                };
                excess.iter().zip(bins).map(without).collect()
            }
        }
    }

    /// Wilson's interval if the statistic is a proportion; of examples in clusters if those are given.
    #[must_use]
    pub fn proportion_interval(&self, clusters: Option<&[u32]>, level: f64) -> Option<Interval> {
        let Prepared::Binary(mask) = &self.form else { return None };
        match clusters {
            None => wilson(mask.iter().filter(|&&m| m != 0).count() as f64, self.n as f64, level),
            Some(clusters) => {
                let hits: Vec<bool> = mask.iter().map(|&m| m != 0).collect();
                clustered_wilson(&hits, clusters, level)
            }
        }
    }

    /// Whether an interval from resamples holds. Not for the calibration error: it is a sum of absolute values, which
    /// noise only raises, so its replicates lie above its value and their percentiles beside the truth.
    #[must_use]
    pub const fn resamples_well(&self) -> bool {
        !matches!(self.form, Prepared::Calibration { .. })
    }
}

/// The ratio, or e to a multiple of it.
fn raised(ratio: f64, exponent: Option<f64>) -> f64 {
    exponent.map_or(ratio, |times| (times * ratio).exp())
}

/// Examples of each group that has few units, 0 for the others.
fn group_sizes(groups: &[u32], units: Option<&[u32]>) -> Vec<f64> {
    let count = groups.iter().max().map_or(0, |&g| g as usize + 1);
    let mut sizes = vec![0.0; count];
    let mut members: Vec<std::collections::BTreeSet<u32>> = vec![std::collections::BTreeSet::new(); count];
    for (i, &g) in groups.iter().enumerate() {
        sizes[g as usize] += 1.0;
        let seen = &mut members[g as usize];
        if seen.len() < FEW_UNITS {
            seen.insert(units.map_or(i as u32, |u| u[i]));
        }
    }
    sizes.into_iter().zip(members).map(|(size, m)| if m.len() < FEW_UNITS { size } else { 0.0 }).collect()
}

/// Sum of the counts under the mask.
fn masked_sum(counts: &[u8], mask: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "the processor has the instructions")]
        return unsafe { masked_sum_avx2(counts, mask) };
    }
    masked_sum_plain(counts, mask)
}

/// Blocks keep the lanes narrow enough to vectorise.
fn masked_sum_plain(counts: &[u8], mask: &[u8]) -> u64 {
    counts
        .chunks(64)
        .zip(mask.chunks(64))
        .map(|(c, m)| u64::from(c.iter().zip(m).map(|(&c, &m)| u16::from(c & m)).sum::<u16>()))
        .sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn masked_sum_avx2(counts: &[u8], mask: &[u8]) -> u64 {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_extract_epi64, _mm256_loadu_si256,
        _mm256_sad_epu8, _mm256_setzero_si256,
    };
    let (whole, rest) = counts.as_chunks::<32>();
    let (whole_mask, rest_mask) = mask.as_chunks::<32>();
    let zero = _mm256_setzero_si256();
    let mut sums = zero;
    for (c, m) in whole.iter().zip(whole_mask) {
        #[expect(unsafe_code, reason = "both are 32 bytes long; the loads need no alignment")]
        let (c, m) = unsafe {
            (
                _mm256_loadu_si256(c.as_ptr().cast::<__m256i>()),
                _mm256_loadu_si256(m.as_ptr().cast::<__m256i>()),
            )
        };
        // Sums of absolute differences to zero: four partial sums of eight bytes each.
        sums = _mm256_add_epi64(sums, _mm256_sad_epu8(_mm256_and_si256(c, m), zero));
    }
    let lanes = [
        _mm256_extract_epi64::<0>(sums),
        _mm256_extract_epi64::<1>(sums),
        _mm256_extract_epi64::<2>(sums),
        _mm256_extract_epi64::<3>(sums),
    ];
    lanes.iter().map(|&l| l as u64).sum::<u64>() + masked_sum_plain(rest, rest_mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_of_sums_is_no_mean_of_ratios() {
        // By hand: (1 + 6) / (1 + 2); the second counted twice: (1 + 12) / (1 + 4); the first left out: 6 / 2.
        let form =
            Form::RatioOfSums { numerators: vec![1.0, 6.0], denominators: vec![1.0, 2.0], exponent: None };
        let estimator = Estimator::new(form);
        assert_eq!((estimator.value(), estimator.weighted(&[1, 2])), (7.0 / 3.0, 13.0 / 5.0));
        assert_eq!(estimator.jackknife(), [3.0, 1.0]);
        assert!(estimator.resamples_well() && estimator.proportion_interval(None, 0.95).is_none());
    }

    #[test]
    fn the_fast_path_equals_the_plain_one() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i % 3 == 0)).collect();
        let counts: Vec<u8> = (0..1000).map(|i| (i * 7 % 5) as u8).collect();
        let fast = Estimator::new(Form::Mean(values.clone())).weighted(&counts);
        let sum: f64 = values.iter().zip(&counts).map(|(v, &c)| v * f64::from(c)).sum();
        assert_eq!(fast, sum / counts.iter().map(|&c| f64::from(c)).sum::<f64>());
    }

    #[test]
    fn every_length_sums_alike() {
        let counts: Vec<u8> = (0..300).map(|i| (i * 37 % 256) as u8).collect();
        let mask: Vec<u8> = (0..300).map(|i| if i % 3 == 0 { 255 } else { 0 }).collect();
        for n in [0, 1, 31, 32, 33, 64, 100, 300] {
            let plain: u64 =
                counts[..n].iter().zip(&mask).map(|(&c, &m)| if m == 0 { 0 } else { u64::from(c) }).sum();
            assert_eq!(masked_sum(&counts[..n], &mask[..n]), plain, "{n}");
        }
    }

    #[test]
    fn calibration_by_hand() {
        // Bin of 0.9: accuracy 1/2, confidence 0.9; bin of 0.3: accuracy 1, confidence 0.3.
        let form = || Form::Calibration { confidence: vec![0.9, 0.9, 0.3], correct: vec![1.0, 0.0, 1.0] };
        let e = Estimator::new(form());
        assert!((e.value() - (0.8 + 0.7) / 3.0).abs() < 1e-12);
        assert!((e.weighted(&[1, 0, 0]) - 0.1).abs() < 1e-12);
        assert_eq!((bin(0.0), bin(1.0), bin(1.0 / 15.0), bin(0.067)), (0, 14, 0, 1));
    }

    #[test]
    fn the_jackknife_leaves_one_out() {
        let forms = [
            Form::Mean(vec![1.0, 0.0, 1.0]),
            Form::Mean(vec![0.5, 2.0, 1.0]),
            Form::MacroMean { values: vec![1.0, 0.0, 1.0], groups: vec![0, 0, 1] },
            Form::Calibration { confidence: vec![0.9, 0.9, 0.3], correct: vec![1.0, 0.0, 1.0] },
        ];
        for form in forms {
            let e = Estimator::new(form);
            let by_hand = [[0, 1, 1], [1, 0, 1], [1, 1, 0]].map(|c| e.weighted(&c));
            assert!(e.jackknife().iter().zip(by_hand).all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }

    #[test]
    fn empty_groups_do_not_count() {
        let e = Estimator::new(Form::MacroMean { values: vec![1.0, 0.0, 1.0], groups: vec![0, 0, 5] });
        assert_eq!(e.value(), 0.75);
        assert_eq!(e.weighted(&[1, 1, 0]), 0.5);
    }

    #[test]
    fn a_small_group_counts_as_often_as_it_is_drawn() {
        // Two classes that are one cluster each: a class drawn twice is two classes.
        let form = || Form::MacroMean {
            values: [[1.0; 20], [0.0; 20]].concat(),
            groups: [[0; 20], [1; 20]].concat(),
        };
        let units: Vec<u32> = [[0; 20], [1; 20]].concat();
        let drawn: Vec<u8> = [[2; 20], [1; 20]].concat();
        assert!((Estimator::new(form()).in_units(&units).weighted(&drawn) - 2.0 / 3.0).abs() < 1e-12);
        // Of twenty units each, they are fixed.
        assert_eq!(Estimator::new(form()).weighted(&drawn), 0.5);
        // One example a class: the mean over classes is the mean over examples, and so is its spread.
        let single = Estimator::new(Form::MacroMean { values: vec![1.0, 0.0, 1.0], groups: vec![0, 1, 2] });
        assert_eq!(single.weighted(&[2, 1, 0]), 2.0 / 3.0);
    }
}
