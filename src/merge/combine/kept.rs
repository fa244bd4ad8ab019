//! Which values of a difference stay: the largest, those between, or random ones.

use rayon::prelude::*;

use crate::base::rng::bits;

/// Values that one task looks at.
const STRETCH: usize = 1 << 16;

/// Values whose differences are held at once: they stay in the nearest cache. A multiple of 64.
pub(super) const BLOCK: usize = 1 << 10;

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
    /// Values of this size from this place on reach the bound.
    from: usize,
}

impl Bound {
    /// How many of `count` values from place `first` on lie before its own place.
    fn before(self, first: usize, count: usize) -> usize {
        self.from.saturating_sub(first).min(count)
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

/// 64 coins that fall with one chance, as `limit` gives it. The digits of 64 uniform numbers are drawn side by side, from
/// the highest on, and only until each is known to lie below or above: some seven draws, one for a chance of a half.
fn coins(key: u64, word: usize, limit: u64) -> u64 {
    let (mut below, mut open) = (0u64, u64::MAX);
    let mut counter = word as u64 * 64;
    for digit in (limit.trailing_zeros()..53).rev() {
        counter += 1;
        let drawn = bits(key, counter);
        if limit >> digit & 1 == 1 {
            below |= open & !drawn;
            open &= drawn;
        } else {
            open &= !drawn;
        }
        if open == 0 {
            break;
        }
    }
    below
}

/// Each value with the same chance.
fn random(n: usize, density: f64, key: u64) -> Vec<u64> {
    let limit = limit(density);
    (0..n.div_ceil(64)).into_par_iter().with_min_len(1024).map(|w| coins(key, w, limit)).collect()
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

    /// Clears what does not stay of differences from place `first` on, a multiple of 64.
    #[inline(always)]
    pub(super) fn clear(&self, differences: &mut [f32], first: usize) {
        match self {
            Self::All => {}
            Self::Nothing => differences.fill(0.0),
            Self::Between { low, high } => {
                let count = differences.len();
                let mut from = 0;
                // Between the places at which ties are broken, one rule holds.
                let mut ends =
                    [low.before(first, count), high.map_or(count, |h| h.before(first, count)), count];
                ends.sort_unstable();
                for to in ends {
                    let least = low.bits + u32::from(from < low.before(first, count));
                    let most = high.map_or(u32::MAX, |h| h.bits + u32::from(from < h.before(first, count)));
                    for d in &mut differences[from..to] {
                        let size = d.abs().to_bits();
                        *d = if size >= least && size < most { *d } else { 0.0 };
                    }
                    from = to;
                }
            }
            Self::Mask(words) => {
                for (part, word) in differences.chunks_mut(64).zip(&words[first / 64..]) {
                    for (half, bits) in part.chunks_mut(32).zip([*word as u32, (*word >> 32) as u32]) {
                        for (i, d) in half.iter_mut().enumerate() {
                            let stays = 0u32.wrapping_sub(bits >> i & 1);
                            *d = f32::from_bits(d.to_bits() & stays);
                        }
                    }
                }
            }
        }
    }

    /// Sums of absolute values: of all, and of what stays.
    pub(super) fn sums(&self, base: &[f32], tuned: &[f32]) -> (f64, f64) {
        let of = |(i, (base, tuned)): (usize, (&[f32], &[f32]))| {
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || {
                    let mut differences = [0.0f32; BLOCK];
                    let (mut all, mut kept) = (0.0, 0.0);
                    for (j, (base, tuned)) in base.chunks(BLOCK).zip(tuned.chunks(BLOCK)).enumerate() {
                        let differences = &mut differences[..base.len()];
                        subtract(tuned, base, differences);
                        all += size(differences);
                        self.clear(differences, i * STRETCH + j * BLOCK);
                        kept += size(differences);
                    }
                    (all, kept)
                },
            )
        };
        let stretches = base.par_chunks(STRETCH).zip(tuned.par_chunks(STRETCH)).enumerate();
        let parts: Vec<(f64, f64)> = stretches.map(of).collect();
        parts.iter().fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }
}

/// `tuned - base`.
#[inline(always)]
pub(super) fn subtract(tuned: &[f32], base: &[f32], out: &mut [f32]) {
    for ((out, tuned), base) in out.iter_mut().zip(tuned).zip(base) {
        *out = tuned - base;
    }
}

/// Sum of absolute values, in lanes of f64.
#[inline(always)]
fn size(values: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 16];
    let (whole, rest) = values.as_chunks::<16>();
    for part in whole {
        for (lane, v) in lanes.iter_mut().zip(part) {
            *lane += f64::from(v.abs());
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|v| f64::from(v.abs())).sum::<f64>()
}

/// Sizes of the differences of one stretch, in order, a block at a time.
#[inline(always)]
fn sizes(base: &[f32], tuned: &[f32], mut look: impl FnMut(&[u32])) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut sizes = [0u32; BLOCK];
            for (base, tuned) in base.chunks(BLOCK).zip(tuned.chunks(BLOCK)) {
                let sizes = &mut sizes[..base.len()];
                for ((size, base), tuned) in sizes.iter_mut().zip(base).zip(tuned) {
                    *size = (tuned - base).abs().to_bits();
                }
                look(sizes);
            }
        },
    );
}

/// How often each half of a size comes, as `count` counts a block.
fn counted(base: &[f32], tuned: &[f32], count: impl Fn(&[u32], &mut [usize]) + Sync) -> Vec<usize> {
    let none = || vec![0usize; 1 << 16];
    let stretches = base.par_chunks(STRETCH).zip(tuned.par_chunks(STRETCH));
    let counts = stretches.fold(none, |mut all, (base, tuned)| {
        sizes(base, tuned, |sizes| count(sizes, &mut all));
        all
    });
    counts.reduce(none, |mut a, b| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    })
}

/// The bound below which `below` values lie: counts of the upper halves of all sizes, then of the lower halves of those with
/// the right upper one. Nothing is sorted or copied.
fn bound(base: &[f32], tuned: &[f32], below: usize) -> Bound {
    // The place in which a rank falls, and its rank there.
    let place = |counts: &[usize], mut left: usize| -> (usize, usize) {
        for (i, &n) in counts.iter().enumerate() {
            if left < n {
                return (i, left);
            }
            left -= n;
        }
        (counts.len() - 1, 0)
    };
    let upper = counted(base, tuned, |sizes, all| sizes.iter().for_each(|s| all[(s >> 16) as usize] += 1));
    let (high, left) = place(&upper, below);
    let high = high as u32;
    let lower = counted(base, tuned, |sizes, all| {
        for few in sizes.chunks(16) {
            // Few are of this half; that none is is seen at once.
            if few.iter().fold(false, |any, s| any | (s >> 16 == high)) {
                few.iter().filter(|s| *s >> 16 == high).for_each(|s| all[(s & 0xffff) as usize] += 1);
            }
        }
    });
    let (low, left) = place(&lower, left);
    let found = (high << 16) | low as u32;
    // So many of exactly this size come first.
    let same = |base: &[f32], tuned: &[f32]| {
        let mut count = 0;
        sizes(base, tuned, |sizes| count += sizes.iter().map(|s| usize::from(*s == found)).sum::<usize>());
        count
    };
    let stretches = base.par_chunks(STRETCH).zip(tuned.par_chunks(STRETCH));
    let (stretch, left) = place(&stretches.map(|(b, t)| same(b, t)).collect::<Vec<_>>(), left);
    let start = stretch * STRETCH;
    let within = base[start..].iter().zip(&tuned[start..]).enumerate();
    let same = within.filter(|(_, (b, t))| (*t - *b).abs().to_bits() == found);
    let from = same.map(|(i, _)| start + i).nth(left).unwrap_or(0);
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

    /// Places of what stays; a difference of nothing stands for one of its own size.
    fn staying(kept: &Kept, differences: &[f32]) -> Vec<usize> {
        let mut places = Vec::new();
        for (block, values) in differences.chunks(BLOCK).enumerate() {
            let mut cleared = values.to_vec();
            // What is cleared is +0, and a value of nothing that stays is -0.
            cleared.iter_mut().filter(|v| **v == 0.0).for_each(|v| *v = -0.0);
            kept.clear(&mut cleared, block * BLOCK);
            let stays = |(_, v): &(usize, &f32)| v.to_bits() != 0;
            places.extend(cleared.iter().enumerate().filter(stays).map(|(i, _)| block * BLOCK + i));
        }
        places
    }

    #[test]
    fn coins_fall_as_numbers_below_a_limit_do() {
        // The same digits, put together one number at a time.
        for chance in [0.5, 0.2, 0.7310585, 1e-3, 1.0 - 1e-9] {
            let limit = limit(chance);
            for word in 0..50 {
                let digits: Vec<u64> = (1..=53).map(|d| bits(7, word as u64 * 64 + d)).collect();
                let number = |coin: u32| digits.iter().fold(0u64, |n, d| n << 1 | d >> coin & 1);
                let expected = (0..64).fold(0u64, |all, coin| all | u64::from(number(coin) < limit) << coin);
                assert_eq!(coins(7, word, limit), expected, "{chance}");
            }
        }
    }

    #[test]
    fn as_many_stay_as_are_asked_for_ties_included() {
        let base = vec![0.0f32; 1000];
        let tuned: Vec<f32> = (0..1000).map(|i| ((i % 7) as f32 - 3.0) * 0.1).collect();
        for density in [0.001, 0.2, 0.5, 0.999] {
            let kept = Kept::new(Sparsify::Magnitude, density, &base, &tuned, (&[1000], 0));
            let staying = staying(&kept, &tuned);
            assert_eq!(staying.len(), ((density * 1000.0) as usize).max(1));
            let smallest = staying.iter().map(|&i| tuned[i].abs()).fold(1.0, f32::min);
            assert!((0..1000).all(|i| staying.contains(&i) || tuned[i].abs() <= smallest));
        }
        let kept = Kept::new(Sparsify::Outliers { gamma: 0.1 }, 0.3, &base, &tuned, (&[1000], 0));
        assert_eq!(staying(&kept, &tuned).len(), 300);
    }

    #[test]
    fn chances_are_even_and_repeatable() {
        let base = vec![0.0f32; 20_000];
        let tuned: Vec<f32> = (0..20_000).map(|i| (i as f32).sin()).collect();
        for how in [Sparsify::Random, Sparsify::Ranked { epsilon: 0.15 }] {
            let count = |key| {
                let kept = Kept::new(how, 0.3, &base, &tuned, (&[200, 100], key));
                staying(&kept, &tuned)
            };
            assert!((count(1).len() as f64 / 20_000.0 - 0.3).abs() < 0.02);
            assert_eq!(count(1), count(1));
            assert_ne!(count(1), count(2));
        }
    }
}
