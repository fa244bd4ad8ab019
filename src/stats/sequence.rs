//! Confidence sequences: intervals that hold at all times together, so that one may look after every example
//! and stop when they are narrow enough.
//!
//! Predictable plug-in empirical Bernstein sequence (Waudby-Smith and Ramdas 2023, arXiv:2010.09686, theorem 2
//! and equation 15), for values in [0, 1] in random order.

use super::interval::Interval;

/// The sequence for one stream of values.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// log(2 / error).
    log_term: f64,
    /// Values seen.
    n: usize,
    sum: f64,
    /// Sum of squared deviations from the running mean after each value.
    squares: f64,
    weight: f64,
    weighted: f64,
    variation: f64,
    /// The intersection of the intervals so far.
    best: Interval,
}

/// Largest bet.
const LIMIT: f64 = 0.5;

impl Sequence {
    /// A sequence that holds at all times with probability `level`.
    #[must_use]
    pub fn new(level: f64) -> Self {
        Self {
            log_term: (2.0 / (1.0 - level)).ln(),
            n: 0,
            sum: 0.0,
            squares: 0.0,
            weight: 0.0,
            weighted: 0.0,
            variation: 0.0,
            best: Interval { low: 0.0, high: 1.0 },
        }
    }

    /// Takes the next value, in [0, 1].
    pub fn push(&mut self, x: f64) {
        let n = self.n as f64;
        // Before this value: a mean shrunk to one half, a variance shrunk to one quarter.
        let mean = (0.5 + self.sum) / (n + 1.0);
        let variance = (0.25 + self.squares) / (n + 1.0);
        let t = n + 1.0;
        let bet = (2.0 * self.log_term / (variance * t * (1.0 + t).ln())).sqrt().min(LIMIT);
        self.weight += bet;
        self.weighted += bet * x;
        // v = 4 (x - mean)^2 and psi = (-log(1 - bet) - bet) / 4: the fours cancel.
        self.variation += (x - mean).powi(2) * (-(-bet).ln_1p() - bet);
        self.n += 1;
        self.sum += x;
        self.squares += (x - (0.5 + self.sum) / (n + 2.0)).powi(2);
        let center = self.weighted / self.weight;
        let half = (self.log_term + self.variation) / self.weight;
        self.best.low = self.best.low.max(center - half);
        self.best.high = self.best.high.min(center + half);
    }

    /// Values seen.
    #[must_use]
    pub const fn n(&self) -> usize {
        self.n
    }

    /// The interval now: the intersection of all so far. Empty intersections (possible with probability below
    /// 1 - level) collapse to a point.
    #[must_use]
    pub fn interval(&self) -> Interval {
        if self.best.low <= self.best.high {
            return self.best;
        }
        let middle = f64::midpoint(self.best.low, self.best.high);
        Interval { low: middle, high: middle }
    }
}

/// The sequence for differences in [-1, 1].
#[derive(Clone, Debug)]
pub struct DifferenceSequence(Sequence);

impl DifferenceSequence {
    /// As [`Sequence::new`].
    #[must_use]
    pub fn new(level: f64) -> Self {
        Self(Sequence::new(level))
    }

    /// Takes the next difference.
    pub fn push(&mut self, difference: f64) {
        self.0.push(f64::midpoint(difference, 1.0));
    }

    /// As [`Sequence::interval`].
    #[must_use]
    pub fn interval(&self) -> Interval {
        let i = self.0.interval();
        Interval { low: 2.0 * i.low - 1.0, high: 2.0 * i.high - 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::CounterRng;

    #[test]
    fn it_narrows_and_holds_under_continuous_looking() {
        // 300 streams of 2000 values looked at after each: at a level of 0.95 at most about 15 may fail.
        for p in [0.05, 0.5, 0.9] {
            let stream = CounterRng::new(7, "sequences");
            let mut failed = 0;
            let mut width = 0.0;
            for s in 0..300 {
                let mut rng = stream.stream(s);
                let mut sequence = Sequence::new(0.95);
                let mut held = true;
                for _ in 0..2000 {
                    sequence.push(f64::from(u8::from(rng.uniform() < p)));
                    let i = sequence.interval();
                    held &= i.low <= p && p <= i.high;
                }
                failed += usize::from(!held);
                width += sequence.interval().half_width() / 300.0;
            }
            // 15 expected at most; 28 is four standard deviations above.
            assert!(failed <= 28, "{p}: {failed}");
            assert!(width < 0.06, "{p}: {width}");
        }
    }

    #[test]
    fn differences_are_centred() {
        let mut sequence = DifferenceSequence::new(0.95);
        (0..4000).for_each(|i| sequence.push(if i % 10 == 0 { -1.0 } else { 0.0 }));
        let i = sequence.interval();
        assert!(i.low < -0.1 && i.high > -0.1 && i.high < 0.0, "{i:?}");
    }
}
