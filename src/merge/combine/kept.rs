//! Which values of a difference stay: the largest, those between, or random ones.

use rayon::prelude::*;

use crate::base::rng::bits;

/// Values that one task looks at.
const STRETCH: usize = 1 << 16;

/// Which values of a difference stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sparsify {
    /// All.
    No,
    /// The largest (TIES, Yadav et al. 2023, arXiv:2306.01708).
    Magnitude,
    /// Each with the same chance (DARE, Yu et al. 2023, arXiv:2311.03099).
    Random,
    /// The largest but for the very largest (model breadcrumbs, Davari and Belilovsky 2023, arXiv:2312.06795).
    Outliers {
        /// Share of the very largest.
        gamma: f64,
    },
    /// Each with a chance that grows with its rank within its row (DELLA, Deep et al. 2024, arXiv:2406.11617).
    Ranked {
        /// How far chances lie from the density.
        epsilon: f64,
    },
}

/// What stays of one difference.
pub(super) enum Kept {
    /// Everything.
    All,
    /// Nothing.
    Nothing,
    /// Sizes between two bounds.
    Between {
        /// The smallest.
        low: Bound,
        /// The first that is too large, if one is.
        high: Option<Bound>,
    },
    /// A bit each.
    Mask(Vec<u64>),
}

/// A size, and how many of exactly that size come first: ties are broken by place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound {
    bits: u32,
    /// Values of this size from this place on are at or above the bound.
    from: usize,
}

impl Bound {
    fn reached(self, bits: u32, place: usize) -> bool {
        bits > self.bits || (bits == self.bits && place >= self.from)
    }
}

/// A whole number below 2^53 for a place.
#[inline]
fn drawn(key: u64, place: usize) -> u64 {
    bits(key, place as u64 + 1) >> 11
}

/// What is drawn below this happens with a chance.
fn limit(chance: f64) -> u64 {
    (chance * (1u64 << 53) as f64).ceil() as u64
}

/// Each value with the same chance.
fn random(n: usize, density: f64, key: u64) -> Vec<u64> {
    let limit = limit(density);
    let word = |w: usize| {
        let places = w * 64..(w * 64 + 64).min(n);
        places.rev().fold(0u64, |bits, place| (bits << 1) | u64::from(drawn(key, place) < limit))
    };
    (0..n.div_ceil(64)).into_par_iter().with_min_len(1024).map(word).collect()
}

impl Kept {
    /// What stays of `tuned - base`; `key` says where random choices are drawn.
    pub(super) fn new(
        how: Sparsify,
        density: f64,
        base: &[f32],
        tuned: &[f32],
        (shape, key): (&[usize], u64),
    ) -> Self {
        let n = base.len();
        if how == Sparsify::No || density >= 1.0 {
            return Self::All;
        }
        if n == 0 || (density <= 0.0 && !matches!(how, Sparsify::Outliers { .. })) {
            return Self::Nothing;
        }
        match how {
            Sparsify::No => Self::All,
            Sparsify::Magnitude => {
                let count = ((density * n as f64) as usize).max(1);
                Self::Between { low: bound(base, tuned, n - count), high: None }
            }
            Sparsify::Outliers { gamma } => {
                let (count, top) = ((density * n as f64) as usize, (gamma * n as f64) as usize);
                if count == 0 {
                    return Self::Nothing;
                }
                let below = n.saturating_sub(count + top);
                let high = (below + count < n).then(|| bound(base, tuned, below + count));
                Self::Between { low: bound(base, tuned, below), high }
            }
            Sparsify::Random => Self::Mask(random(n, density, key)),
            Sparsify::Ranked { epsilon } => Self::Mask(ranked(base, tuned, shape, (density, epsilon, key))),
        }
    }

    /// Whether a value stays.
    #[inline]
    pub(super) fn stays(&self, difference: f32, place: usize) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Between { low, high } => {
                let bits = difference.abs().to_bits();
                low.reached(bits, place) && high.is_none_or(|h| !h.reached(bits, place))
            }
            Self::Mask(bits) => bits[place / 64] >> (place % 64) & 1 == 1,
        }
    }

    /// Sums of absolute values: of all, and of what stays.
    pub(super) fn sums(&self, base: &[f32], tuned: &[f32]) -> (f64, f64) {
        let of = |i: usize, b: &[f32], t: &[f32]| {
            let mut sums = (0.0, 0.0);
            for (j, (b, t)) in b.iter().zip(t).enumerate() {
                let difference = t - b;
                let size = f64::from(difference.abs());
                sums.0 += size;
                if self.stays(difference, i * STRETCH + j) {
                    sums.1 += size;
                }
            }
            sums
        };
        let parts: Vec<(f64, f64)> = base
            .par_chunks(STRETCH)
            .zip(tuned.par_chunks(STRETCH))
            .enumerate()
            .map(|(i, (b, t))| of(i, b, t))
            .collect();
        parts.iter().fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }
}

/// The bound below which `below` values lie: two passes over the bits, nothing is sorted or copied.
fn bound(base: &[f32], tuned: &[f32], below: usize) -> Bound {
    let bits = |(b, t): (&f32, &f32)| (t - b).abs().to_bits();
    let count = |of: &(dyn Fn(u32) -> Option<usize> + Sync)| -> Vec<usize> {
        base.par_chunks(STRETCH)
            .zip(tuned.par_chunks(STRETCH))
            .fold(
                || vec![0usize; 1 << 16],
                |mut all, (b, t)| {
                    b.iter().zip(t).map(bits).filter_map(of).for_each(|i| all[i] += 1);
                    all
                },
            )
            .reduce(
                || vec![0usize; 1 << 16],
                |mut a, b| {
                    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                    a
                },
            )
    };
    let place = |all: &[usize], mut left: usize| -> (u32, usize) {
        for (i, &n) in all.iter().enumerate() {
            if left < n {
                return (i as u32, left);
            }
            left -= n;
        }
        (u32::from(u16::MAX), 0)
    };
    let (high, left) = place(&count(&|b| Some((b >> 16) as usize)), below);
    let within = count(&move |b| (b >> 16 == high).then_some((b & 0xffff) as usize));
    let (low, left) = place(&within, left);
    let found = (high << 16) | low;
    // So many of exactly this size come first.
    let same = base.iter().zip(tuned).map(bits).enumerate().filter(|(_, b)| *b == found);
    let from = same.map(|(i, _)| i).nth(left).unwrap_or(0);
    Bound { bits: found, from }
}

/// Draws by rank along the second axis, as mergekit's `della_magprune`; along the only one of a vector.
fn ranked(
    base: &[f32],
    tuned: &[f32],
    shape: &[usize],
    (density, epsilon, key): (f64, f64, u64),
) -> Vec<u64> {
    let (length, inner) = match shape {
        [_, length, rest @ ..] => (*length, rest.iter().product::<usize>()),
        _ => (base.len(), 1),
    };
    let mut mask = vec![0u64; base.len().div_ceil(64)];
    let last = (length.max(2) - 1) as f64;
    for outer in 0..base.len() / (length * inner).max(1) {
        for column in 0..inner {
            let place = |i: usize| (outer * length + i) * inner + column;
            let size: Vec<f32> = (0..length).map(|i| (tuned[place(i)] - base[place(i)]).abs()).collect();
            let mut order: Vec<usize> = (0..length).collect();
            order.sort_by(|&a, &b| size[a].total_cmp(&size[b]));
            for (rank, &i) in order.iter().enumerate() {
                let own = density - epsilon + 2.0 * epsilon * rank as f64 / last;
                let place = place(i);
                if drawn(key, place) < limit(own) {
                    mask[place / 64] |= 1 << (place % 64);
                }
            }
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_stay_as_are_asked_for_ties_included() {
        let base = vec![0.0f32; 1000];
        let tuned: Vec<f32> = (0..1000).map(|i| ((i % 7) as f32 - 3.0) * 0.1).collect();
        for density in [0.001, 0.2, 0.5, 0.999] {
            let kept = Kept::new(Sparsify::Magnitude, density, &base, &tuned, (&[1000], 0));
            let staying: Vec<usize> = (0..1000).filter(|&i| kept.stays(tuned[i], i)).collect();
            assert_eq!(staying.len(), ((density * 1000.0) as usize).max(1));
            let smallest = staying.iter().map(|&i| tuned[i].abs()).fold(1.0, f32::min);
            assert!((0..1000).all(|i| staying.contains(&i) || tuned[i].abs() <= smallest));
        }
        let kept = Kept::new(Sparsify::Outliers { gamma: 0.1 }, 0.3, &base, &tuned, (&[1000], 0));
        assert_eq!((0..1000).filter(|&i| kept.stays(tuned[i], i)).count(), 300);
    }

    #[test]
    fn chances_are_even_and_repeatable() {
        let base = vec![0.0f32; 20_000];
        let tuned: Vec<f32> = (0..20_000).map(|i| (i as f32).sin()).collect();
        for how in [Sparsify::Random, Sparsify::Ranked { epsilon: 0.15 }] {
            let count = |key| {
                let kept = Kept::new(how, 0.3, &base, &tuned, (&[200, 100], key));
                (0..20_000).filter(|&i| kept.stays(tuned[i], i)).collect::<Vec<_>>()
            };
            assert!((count(1).len() as f64 / 20_000.0 - 0.3).abs() < 0.02);
            assert_eq!(count(1), count(1));
            assert_ne!(count(1), count(2));
        }
    }
}
