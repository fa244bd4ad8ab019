//! The loss at places drawn between the start and the model: stochastic WiSE-FT, a way whose every point has been trained.
//!
//! No paper of that name could be had. It is what the words say of WiSE-FT (arXiv:2109.01903), and learning a line of networks
//! (Wortsman et al. 2021, arXiv:2102.10472, algorithm 1) with one end held at the start.

use crate::base::config::Section;
use crate::base::registry::Named;
use crate::base::rng::CounterRng;
use crate::train::parts::{DrawnPlace, Term, TermKind};

/// The kind.
pub(super) struct DrawnPathKind;

impl Named for DrawnPathKind {
    fn name(&self) -> &'static str {
        "drawn-path"
    }
    fn summary(&self) -> &'static str {
        "the loss, terms on outputs included, is that of (1 - a) start + a model, a drawn anew each step from `from_alpha` (0) to \
         `to_alpha` (1)"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2102.10472, algorithm 1, with one end held; arXiv:2109.01903"
    }
}

impl TermKind for DrawnPathKind {
    fn read(&self, section: &Section<'_>) -> Option<Term> {
        let from = section.number_in("from_alpha", 0.0..=1.0).map_or(0.0, |n| n.value);
        let to = section.number_in("to_alpha", 0.0..=1.0).map_or(1.0, |n| n.value);
        if from > to {
            section.note(section.span.clone(), "`from_alpha` is larger than `to_alpha`", None);
            return None;
        }
        Some(Term::Drawn(DrawnPlace { from, to }))
    }
}

impl DrawnPlace {
    /// The place of a step: 0 is the start, 1 the model.
    #[must_use]
    pub fn at(&self, rng: &CounterRng, step: usize) -> f64 {
        rng.stream(step as u64).range(self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_of_the_step_and_fill_what_they_are_drawn_from() {
        let rng = CounterRng::new(3, "path");
        let place = DrawnPlace { from: 0.2, to: 0.6 };
        let all: Vec<f64> = (0..1000).map(|step| place.at(&rng, step)).collect();
        assert_eq!(all[17], place.at(&rng, 17));
        assert!(all.iter().all(|a| (0.2..0.6).contains(a)));
        let mean = all.iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.4).abs() < 0.02, "{mean}");
        assert_eq!(DrawnPlace { from: 1.0, to: 1.0 }.at(&rng, 5), 1.0);
    }
}
