//! KgCoOp's term: class embeddings stay near those of the hand-written prompt.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::base::config::Section;
use crate::base::registry::Named;
use crate::model::normalise_rows;
use crate::train::outputs::OutputTerm;
use crate::train::outputs::Outputs;
use crate::train::parts::{Term, TermKind};

/// The kind.
pub(super) struct TextAnchorKind;

impl Named for TextAnchorKind {
    fn name(&self) -> &'static str {
        "text-anchor"
    }
    fn summary(&self) -> &'static str {
        "`anchor` (8) times 1 - the mean over classes of the cosine between a row of the head and the zero-shot one"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2303.13283; htyao89/KgCoOp; Surrey-UP-Lab/MERGETUNE"
    }
}

impl TermKind for TextAnchorKind {
    fn read(&self, section: &Section<'_>) -> Option<Term> {
        let factor = section.number_in("anchor", 0.0..=1e9).map_or(8.0, |n| n.value);
        Some(Term::Outputs(Arc::new(TextAnchor(factor))))
    }
}

#[derive(Debug)]
struct TextAnchor(f64);

impl OutputTerm for TextAnchor {
    fn name(&self) -> &'static str {
        "text-anchor"
    }

    fn sum(&self, student: &Outputs, teacher: &Outputs) -> Result<Tensor> {
        let (Some(own), Some(start)) = (&student.classes, &teacher.classes) else {
            candle_core::bail!("this model has no rows for its classes");
        };
        let cosines = (normalise_rows(own)? * normalise_rows(start)?)?.sum(1)?;
        (1.0 - cosines.mean_all()?)? * self.0
    }

    fn once(&self) -> bool {
        true
    }
}
