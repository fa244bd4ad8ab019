//! Counter-based random numbers.
//!
//! Output `i` of stream `key` is a pure function of `(key, i)`: SplitMix64 (Steele, Lea and Flood,
//! OOPSLA 2014) with its state written as `key + i * gamma`. Work can therefore be split over
//! threads, shards and resumed runs without changing a single number. There is no global generator.

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// The SplitMix64 finaliser: a bijection on 64 bits with full avalanche.
#[inline]
#[must_use]
pub const fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The bits of stream `key` at a counter, from 1 on.
#[inline]
#[must_use]
pub const fn bits(key: u64, counter: u64) -> u64 {
    mix(key.wrapping_add(counter.wrapping_mul(GAMMA)))
}

/// A stream of random numbers addressed by a key.
#[derive(Clone, Debug)]
pub struct CounterRng {
    key: u64,
    counter: u64,
}

impl CounterRng {
    /// The stream of `seed` for one purpose; different purposes never share numbers.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut key = mix(seed ^ GAMMA);
        for byte in purpose.bytes() {
            key = mix(key.wrapping_add(GAMMA) ^ u64::from(byte));
        }
        Self { key, counter: 0 }
    }

    /// The sub-stream `index` of this stream (for example: resample number, example number).
    #[must_use]
    pub const fn stream(&self, index: u64) -> Self {
        Self { key: mix(self.key ^ mix(index.wrapping_add(GAMMA))), counter: 0 }
    }

    /// The next 64 random bits.
    #[inline]
    pub const fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        bits(self.key, self.counter)
    }

    /// A uniform number in `[0, 1)` with 53 random bits.
    #[inline]
    pub const fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A uniform number in `[low, high)`.
    #[inline]
    pub const fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A uniform integer in `0..n` by Lemire's multiplication (bias below `n / 2^64`).
    #[inline]
    pub const fn below(&mut self, n: usize) -> usize {
        ((self.next_u64() as u128 * n as u128) >> 64) as usize
    }

    /// A standard normal number (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A random permutation of `0..n` (Fisher-Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_reproducible_and_distinct() {
        let mut a = CounterRng::new(7, "views");
        let mut b = CounterRng::new(7, "views");
        let mut c = CounterRng::new(7, "resample");
        let first = a.next_u64();
        assert_eq!(first, b.next_u64());
        assert_ne!(first, c.next_u64());
        assert_ne!(a.stream(1).next_u64(), a.stream(2).next_u64());
    }

    #[test]
    fn moments_match_theory() {
        let mut rng = CounterRng::new(1, "moments");
        let n = 20_000;
        let normals: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let mean = normals.iter().sum::<f64>() / n as f64;
        let var = normals.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.03 && (var - 1.0).abs() < 0.05, "{mean} {var}");
        let mut counts = [0usize; 10];
        for _ in 0..n {
            counts[rng.below(10)] += 1;
        }
        assert!(counts.iter().all(|&c| (1_800..2_200).contains(&c)), "{counts:?}");
    }

    #[test]
    fn permutation_is_a_permutation() {
        let mut order = CounterRng::new(3, "p").permutation(100);
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
