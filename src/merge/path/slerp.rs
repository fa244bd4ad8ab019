//! Spherical interpolation, tensor by tensor: along the great circle between the directions of two tensors.
//!
//! Shoemake 1985; as mergekit computes it: where the directions are nearly one, or opposite, the straight line.

use std::ops::RangeInclusive;

use crate::base::registry::Named;
use crate::merge::PathMethod;

/// The path.
pub(super) struct Slerp;

/// Cosines beyond which the straight line is taken.
const STRAIGHT: f64 = 0.9995;

impl Named for Slerp {
    fn name(&self) -> &'static str {
        "slerp"
    }
    fn summary(&self) -> &'static str {
        "sin((1 - alpha) w) / sin w * pretrained + sin(alpha w) / sin w * fine-tuned, w being the angle between the tensors"
    }
    fn reference(&self) -> &'static str {
        "mergekit `slerp`"
    }
}

impl PathMethod for Slerp {
    fn alphas(&self) -> RangeInclusive<f64> {
        0.0..=1.0
    }

    fn needs_whole_tensors(&self) -> bool {
        true
    }

    fn factors(&self, alpha: f64, from: &[f32], to: &[f32]) -> [f32; 2] {
        let product = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let norm = |v: &[f32]| Some(product(v, v).sqrt()).filter(|n| *n > 1e-8).unwrap_or(1.0);
        let cosine = (product(from, to) / (norm(from) * norm(to))).clamp(-1.0, 1.0);
        if cosine.abs() > STRAIGHT {
            return [(1.0 - alpha) as f32, alpha as f32];
        }
        let angle = cosine.acos();
        [((1.0 - alpha) * angle).sin() / angle.sin(), (alpha * angle).sin() / angle.sin()].map(|f| f as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halfway_between_two_axes() {
        let half = Slerp.factors(0.5, &[1.0, 0.0], &[0.0, 1.0]);
        assert!(half.iter().all(|f| (f - 0.5f32.sqrt()).abs() < 1e-6), "{half:?}");
        // Nearly one direction: the straight line.
        assert_eq!(Slerp.factors(0.25, &[1.0, 0.0], &[2.0, 0.0]), [0.75, 0.25]);
    }
}
