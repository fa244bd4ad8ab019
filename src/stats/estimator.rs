//! A metric made ready for many resamples.

use super::interval::{Interval, wilson};

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
}

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
        count: usize,
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
                let count = groups.iter().max().map_or(0, |&g| g as usize + 1);
                Self { n: values.len(), form: Prepared::MacroMean { values, groups, count } }
            }
        }
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
            Prepared::MacroMean { values, groups, count } => {
                let mut sums = vec![(0.0f64, 0u32); *count];
                for ((value, &group), &c) in values.iter().zip(groups).zip(counts) {
                    let slot = &mut sums[group as usize];
                    slot.0 += value * f64::from(c);
                    slot.1 += u32::from(c);
                }
                let means = sums.iter().filter(|s| s.1 > 0).map(|s| s.0 / f64::from(s.1));
                let used = means.clone().count();
                means.sum::<f64>() / used as f64
            }
        }
    }

    /// Wilson's interval if the statistic is a proportion.
    #[must_use]
    pub fn proportion_interval(&self, level: f64) -> Option<Interval> {
        match &self.form {
            Prepared::Binary(mask) => wilson(mask.iter().filter(|&&m| m != 0).count() as f64, self.n, level),
            _ => None,
        }
    }
}

/// Sum of the counts under the mask; blocks keep the lanes narrow enough to vectorise.
fn masked_sum(counts: &[u8], mask: &[u8]) -> u64 {
    counts
        .chunks(64)
        .zip(mask.chunks(64))
        .map(|(c, m)| u64::from(c.iter().zip(m).map(|(&c, &m)| u16::from(c & m)).sum::<u16>()))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_path_equals_the_plain_one() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i % 3 == 0)).collect();
        let counts: Vec<u8> = (0..1000).map(|i| (i * 7 % 5) as u8).collect();
        let fast = Estimator::new(Form::Mean(values.clone())).weighted(&counts);
        let sum: f64 = values.iter().zip(&counts).map(|(v, &c)| v * f64::from(c)).sum();
        assert_eq!(fast, sum / counts.iter().map(|&c| f64::from(c)).sum::<f64>());
    }

    #[test]
    fn empty_groups_do_not_count() {
        let e = Estimator::new(Form::MacroMean { values: vec![1.0, 0.0, 1.0], groups: vec![0, 0, 5] });
        assert_eq!(e.value(), 0.75);
        assert_eq!(e.weighted(&[1, 1, 0]), 0.5);
    }
}
