//! Python's `random` module, as far as reference code draws data subsets with it.
//!
//! CPython seeds MT19937 with `init_by_array` of the seed's 32-bit digits and draws integers below n from the
//! top bits, again until one fits (`_randbelow_with_getrandbits`); `sample` and `shuffle` follow Lib/random.py.

use std::collections::BTreeSet;

use rand_mt::Mt;

/// `random.Random(seed)`.
pub struct PythonRandom(Mt);

impl PythonRandom {
    /// `random.seed(seed)`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        let key = if high == 0 { vec![low] } else { vec![low, high] };
        Self(Mt::new_with_key(key))
    }

    /// `random._randbelow(n)`, for 0 < n < 2^32.
    pub fn below(&mut self, n: u32) -> u32 {
        let bits = u32::BITS - n.leading_zeros();
        loop {
            let value = self.0.next_u32() >> (32 - bits);
            if value < n {
                return value;
            }
        }
    }

    /// `random.sample(population, k)`; `k` must not exceed its length.
    pub fn sample<T: Copy>(&mut self, population: &[T], k: usize) -> Vec<T> {
        let n = population.len();
        let k = k.min(n);
        // A pool is used where it takes less room than a set of the chosen would, by CPython's estimate.
        let mut room = 21;
        if k > 5 {
            room += 4usize.pow(((k * 3) as f64).log(4.0).ceil() as u32);
        }
        if n <= room {
            let mut pool = population.to_vec();
            return (0..k)
                .map(|i| {
                    let j = self.below((n - i) as u32) as usize;
                    let chosen = pool[j];
                    pool[j] = pool[n - i - 1];
                    chosen
                })
                .collect();
        }
        let mut chosen = BTreeSet::new();
        (0..k)
            .map(|_| {
                loop {
                    let j = self.below(n as u32) as usize;
                    if chosen.insert(j) {
                        return population[j];
                    }
                }
            })
            .collect()
    }

    /// `random.shuffle(list)`.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            let j = self.below(i as u32 + 1) as usize;
            list.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with CPython 3.11: random.seed(s); random.sample(range(n), k) and random.shuffle(list(range(10))).
    #[test]
    fn draws_what_cpython_draws() {
        let range = |n: u32| (0..n).collect::<Vec<_>>();
        assert_eq!(PythonRandom::new(1).sample(&range(20), 4), [4, 18, 2, 8]);
        assert_eq!(
            PythonRandom::new(2).sample(&range(30), 16),
            [27, 29, 1, 2, 26, 11, 5, 21, 9, 8, 19, 6, 28, 23, 13, 10]
        );
        assert_eq!(
            PythonRandom::new(3).sample(&range(1000), 16),
            [243, 606, 557, 133, 378, 937, 618, 485, 640, 594, 67, 620, 13, 930, 857, 480]
        );
        let mut list = range(10);
        PythonRandom::new(1).shuffle(&mut list);
        assert_eq!(list, [6, 8, 9, 7, 5, 3, 0, 4, 1, 2]);
        assert_eq!(PythonRandom::new(1 << 40).below(1000), 106);
    }
}
