//! Penalties on the distance to the start: L1, L2 (L2-SP), and EWC, which weighs the squares by how much they matter.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor};

use crate::base::config::Section;
use crate::base::registry::named_by_fields;
use crate::train::parts::{Strength, Term, TermKind, WeightTerm};

/// A norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Norm {
    Absolute,
    Squared,
    /// Squares weighed by the diagonal of the Fisher information, halved.
    Weighed {
        examples: usize,
    },
}

/// A distance.
pub(super) struct DistanceKind {
    name: &'static str,
    summary: &'static str,
    reference: &'static str,
    norm: Norm,
}

/// Absolute values.
pub(super) static L1: DistanceKind = DistanceKind {
    name: "l1",
    summary: "`penalty` times the `reduction` (sum, mean) of |w - start|",
    reference: "arXiv:2309.06256, section 4.1",
    norm: Norm::Absolute,
};
/// Squares.
pub(super) static L2: DistanceKind = DistanceKind {
    name: "l2",
    summary: "`penalty` times the `reduction` (sum, mean) of (w - start)^2; the head is held as well",
    reference: "L2-SP, arXiv:1802.01483; arXiv:2309.06256",
    norm: Norm::Squared,
};
/// Weighed squares.
pub(super) static EWC: DistanceKind = DistanceKind {
    name: "ewc",
    summary: "`penalty` / 2 times the `reduction` of F (w - start)^2, F being the mean squared gradient of `fisher` (64) \
              training examples at the start",
    reference: "arXiv:1612.00796, equation 3",
    norm: Norm::Weighed { examples: 64 },
};

named_by_fields!(DistanceKind);

impl TermKind for DistanceKind {
    fn read(&self, section: &Section<'_>) -> Option<Term> {
        let norm = match self.norm {
            Norm::Weighed { examples } => Norm::Weighed {
                examples: section.count("fisher").map_or(examples, |c| c.value.max(1) as usize),
            },
            other => other,
        };
        let strength = Strength::read(section, self.name)?;
        Some(Term::Weights(Arc::new(Distance { name: self.name, norm, strength })))
    }
}

#[derive(Debug)]
struct Distance {
    name: &'static str,
    norm: Norm,
    strength: Strength,
}

impl WeightTerm for Distance {
    fn name(&self) -> &'static str {
        self.name
    }

    fn strength(&self) -> Strength {
        self.strength
    }

    fn fisher(&self) -> Option<usize> {
        match self.norm {
            Norm::Weighed { examples } => Some(examples),
            _ => None,
        }
    }

    fn of(&self, weight: &Tensor, start: &Tensor, importance: Option<&Tensor>) -> Result<(f64, Tensor)> {
        let difference = (weight - start)?;
        let sum = |t: Tensor| -> Result<f64> { t.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>() };
        Ok(match self.norm {
            Norm::Absolute => (sum(difference.abs()?)?, difference.sign()?),
            Norm::Squared => (sum(difference.sqr()?)?, (difference * 2.0)?),
            Norm::Weighed { .. } => {
                let Some(importance) = importance else { candle_core::bail!("EWC without importance") };
                let pull = (&difference * importance)?;
                (0.5 * sum((&pull * difference)?)?, pull)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn values_and_gradients_by_hand() {
        let t = |v: &[f32]| Tensor::new(v, &Device::Cpu).unwrap();
        let (w, start, fisher) = (t(&[1.0, -2.0, 0.5]), t(&[0.0, 1.0, 0.5]), t(&[2.0, 0.5, 9.0]));
        let strength = Strength { factor: 1.0, mean: false };
        for (norm, value, gradient) in [
            (Norm::Absolute, 4.0, [1.0, -1.0, 0.0]),
            (Norm::Squared, 10.0, [2.0, -6.0, 0.0]),
            (Norm::Weighed { examples: 1 }, 3.25, [2.0, -1.5, 0.0]),
        ] {
            let found = Distance { name: "d", norm, strength }.of(&w, &start, Some(&fisher)).unwrap();
            assert_eq!((found.0, found.1.to_vec1::<f32>().unwrap()), (value, gradient.to_vec()));
        }
        assert_eq!(strength.on_sum(4), 1.0);
        assert_eq!(Strength { factor: 1.0, mean: true }.on_sum(4), 0.25);
    }
}
