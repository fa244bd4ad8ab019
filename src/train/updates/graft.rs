//! Grafting: of all trained values those that moved most stay, the others go back to the start.
//!
//! This is the base patch of the method's code, one threshold over the whole model; it then learns a soft mask around it,
//! which the papers that compare with it leave out.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor};

use crate::base::config::Section;
use crate::base::registry::Named;
use crate::checkpoint::Tensors;
use crate::train::outputs::Parameters;
use crate::train::parts::{Update, UpdateKind, Updating};
use crate::train::resume::{copies, of, under};

/// The kind.
pub(super) struct GraftKind;

impl Named for GraftKind {
    fn name(&self) -> &'static str {
        "graft"
    }
    fn summary(&self) -> &'static str {
        "at the end, the share `density` (0.1) of all trained values that moved most stays; the others are the start's"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2302.06600, base patch of abhishekpanigrahi1996/Skill-Localization-by-grafting"
    }
}

impl UpdateKind for GraftKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Update> {
        Arc::new(Graft(section.number_in("density", 0.0..=1.0).map_or(0.1, |n| n.value)))
    }
}

#[derive(Debug)]
struct Graft(f64);

impl Update for Graft {
    fn prepare(&self, parameters: &Parameters, _: usize) -> Result<Box<dyn Updating>> {
        Ok(Box::new(Working { density: self.0, start: copies(parameters)? }))
    }
}

struct Working {
    density: f64,
    start: Tensors,
}

/// How far each value of a tensor moved.
fn moved(now: &Tensor, start: &Tensor) -> Result<Vec<f32>> {
    (now - start)?.abs()?.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
}

/// The smallest move among the `count` largest, and how many of exactly that size are among them.
fn threshold(mut moves: Vec<f32>, count: usize) -> (f32, usize) {
    if count == 0 {
        return (f32::INFINITY, 0);
    }
    let (larger, at, _) = moves.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
    let at = *at;
    (at, count - larger.iter().filter(|&&m| m > at).count())
}

impl Updating for Working {
    fn finish(&mut self, parameters: &Parameters) -> Result<()> {
        let all = parameters.iter().map(|(name, var)| moved(&var.as_tensor().detach(), &self.start[name]));
        let all: Vec<Vec<f32>> = all.collect::<Result<_>>()?;
        let whole = all.concat();
        let count = (whole.len() as f64 * self.density).round() as usize;
        let (least, mut equal) = threshold(whole, count);
        for ((name, var), moves) in parameters.iter().zip(&all) {
            let stays = |m: &f32| {
                // Of several that moved equally far, the first ones stay.
                let last = *m == least && equal > 0;
                equal -= usize::from(last);
                f32::from(u8::from(*m > least || last))
            };
            let mask: Vec<f32> = moves.iter().map(stays).collect();
            let mask = Tensor::from_vec(mask, var.shape(), var.device())?;
            let zero = mask.zeros_like()?;
            var.set(&mask.ne(&zero)?.where_cond(&var.as_tensor().detach(), &self.start[name])?)?;
        }
        Ok(())
    }

    fn state(&self) -> Tensors {
        under("start", &self.start)
    }

    fn restore(&mut self, state: &Tensors) {
        self.start = of("start", state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_stay_as_are_asked_for() {
        let moves = vec![0.5, 2.0, 0.5, 0.0, 0.5, 3.0];
        assert_eq!(threshold(moves.clone(), 2), (2.0, 1));
        assert_eq!(threshold(moves.clone(), 4), (0.5, 2));
        assert_eq!(threshold(moves.clone(), 6), (0.0, 1));
        assert_eq!(threshold(moves, 0), (f32::INFINITY, 0));
    }
}
