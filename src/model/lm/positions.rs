//! How a decoder knows where a token stands.

use std::fmt;

use serde::Serialize;

/// How the frequencies of rotary positions are stretched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Stretch {
    /// Not at all.
    None,
    /// All by one factor.
    Linear(f64),
    /// Each by a factor of its own, in texts of so many tokens at most (LongRoPE, arXiv:2402.13753).
    Each {
        /// One for each pair of values.
        factors: Vec<f64>,
        /// Length of the first training.
        original: usize,
    },
    /// Those that turn often within the first training's length stay, those that turn seldom are stretched by a factor, with a ramp
    /// between (YaRN, arXiv:2309.00071, section 3.2; bounds as in transformers).
    Yarn {
        /// The factor.
        factor: f64,
        /// First and last pair of values on the ramp.
        ramp: [f64; 2],
    },
    /// Low ones by a factor, high ones not, smoothly between (Llama 3.1).
    Llama3 {
        /// The factor.
        factor: f64,
        /// Wave lengths beyond `original / low` are stretched.
        low: f64,
        /// Wave lengths below `original / high` are not.
        high: f64,
        /// Length of the first training.
        original: f64,
    },
}

/// Rotary positions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rotary {
    /// Base of the frequencies.
    pub theta: f64,
    /// Leading values of each head that turn; the rest stay.
    pub dims: usize,
    /// How frequencies are stretched.
    pub stretch: Stretch,
    /// What cosines and sines are multiplied by: 1 but for long contexts.
    pub scale: f64,
}

impl Rotary {
    /// Angles per position, one for each pair of values.
    #[must_use]
    pub fn frequencies(&self) -> Vec<f64> {
        let turn = |i: usize| self.theta.powf(-((2 * i) as f64) / self.dims as f64);
        let stretched = |i: usize, f: f64| match &self.stretch {
            Stretch::None => f,
            Stretch::Linear(factor) => f / factor,
            Stretch::Each { factors, .. } => f / factors[i],
            Stretch::Yarn { factor, ramp: [first, last] } => {
                let along = ((i as f64 - first) / (last - first)).clamp(0.0, 1.0);
                f / factor * along + f * (1.0 - along)
            }
            &Stretch::Llama3 { factor, low, high, original } => {
                let length = std::f64::consts::TAU / f;
                if length < original / high {
                    f
                } else if length > original / low {
                    f / factor
                } else {
                    let smooth = (original / length - low) / (high - low);
                    (1.0 - smooth) * f / factor + smooth * f
                }
            }
        };
        (0..self.dims / 2).map(|i| stretched(i, turn(i))).collect()
    }
}

impl fmt::Display for Rotary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rotary, base {}, {} values of a head turn", self.theta, self.dims)?;
        match &self.stretch {
            Stretch::None => Ok(()),
            Stretch::Linear(factor) => write!(f, ", stretched by {factor}"),
            Stretch::Each { original, .. } => {
                write!(f, ", LongRoPE up to {original} tokens, scaled by {:.4}", self.scale)
            }
            Stretch::Yarn { factor, .. } => write!(f, ", YaRN by {factor}, scaled by {:.4}", self.scale),
            Stretch::Llama3 { factor, original, .. } => {
                write!(f, ", as Llama 3 by {factor} beyond {original} tokens")
            }
        }
    }
}

/// How a model knows where a token stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Positions {
    /// Queries and keys turn; some layers may turn by other angles.
    Rotary(Rotary),
    /// Learned vectors, the first for position `-offset`.
    Learned {
        /// Rows before the first position.
        offset: usize,
    },
}

impl Positions {
    /// How many tokens a text may have at most for its frequencies, where that is fewer than the configuration says.
    #[must_use]
    pub const fn longest(&self) -> Option<usize> {
        match self {
            Self::Rotary(Rotary { stretch: Stretch::Each { original, .. }, .. }) => Some(*original),
            _ => None,
        }
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rotary(rotary) => rotary.fmt(f),
            Self::Learned { .. } => f.write_str("learned"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_by_hand() {
        let rotary = |stretch| Rotary { theta: 10000.0, dims: 4, stretch, scale: 1.0 };
        assert_eq!(rotary(Stretch::None).frequencies(), [1.0, 0.01]);
        assert_eq!(rotary(Stretch::Linear(2.0)).frequencies(), [0.5, 0.005]);
        // Wave lengths 6.3 and 628 against 16: the first stays, the second is stretched.
        let llama = Stretch::Llama3 { factor: 4.0, low: 1.0, high: 2.0, original: 16.0 };
        assert_eq!(rotary(llama).frequencies(), [1.0, 0.0025]);
        assert_eq!(
            rotary(Stretch::Each { factors: vec![2.0, 4.0], original: 16 }).frequencies(),
            [0.5, 0.0025]
        );
        // The second of four pairs is half way along the ramp.
        let yarn = Rotary {
            theta: 10000.0,
            dims: 8,
            stretch: Stretch::Yarn { factor: 4.0, ramp: [0.0, 2.0] },
            scale: 1.0,
        };
        let found = yarn.frequencies();
        for (found, right) in found.iter().zip([1.0, 0.1 * 0.625, 0.01 / 4.0, 0.001 / 4.0]) {
            assert!((found - right).abs() < 1e-12, "{found} {right}");
        }
    }
}
