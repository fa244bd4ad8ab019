//! MERGETUNE's path term in weight space: the loss stays low on the way from the fine-tuned model to the one under training.

use crate::base::config::Section;
use crate::base::registry::Named;
use crate::train::parts::{PathTerm, Term, TermKind};

/// The kind.
pub(super) struct PathKind;

impl Named for PathKind {
    fn name(&self) -> &'static str {
        "path"
    }
    fn summary(&self) -> &'static str {
        "`beta` (0.5) times the mean loss at `points` (5) even steps from the `finetuned` checkpoint to the model"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2601.10497"
    }
}

impl TermKind for PathKind {
    fn read(&self, section: &Section<'_>) -> Option<Term> {
        let factor = section.number_in("beta", 0.0..=1e9).map_or(0.5, |n| n.value);
        let points = section.count("points").map_or(5, |c| c.value.max(1) as usize);
        Some(Term::Path(PathTerm { factor, points }))
    }
}

impl PathTerm {
    /// Places on the way, from the fine-tuned end to the model under training: `arange(0.1, 1.01, 1 / points)` of the
    /// released code.
    #[must_use]
    pub fn places(&self) -> Vec<f64> {
        let step = 1.0 / self.points as f64;
        (0..).map(|i| 0.1 + f64::from(i) * step).take_while(|t| *t < 1.01).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_released_code() {
        let places = |points| {
            let all = PathTerm { factor: 1.0, points }.places();
            all.iter().map(|t| (t * 10.0).round() as u32).collect::<Vec<_>>()
        };
        assert_eq!(places(5), [1, 3, 5, 7, 9]);
        assert_eq!(places(10), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }
}
