//! Learned context before the class names (CoOp, Zhou et al. 2022, arXiv:2109.01134): the encoders stay.

use std::sync::Arc;

use candle_core::{Tensor, Var};

use super::learned::Learned;
use crate::base::config::Section;
use crate::base::registry::Named;
use crate::model::clip::CONTEXT;
use crate::train::TrainError;
use crate::train::outputs::Parameters;
use crate::train::parts::{Trained, Trains, TrainsKind};
use crate::train::problem::Problem;

/// The kind.
pub(super) struct ContextKind;

impl Named for ContextKind {
    fn name(&self) -> &'static str {
        "context"
    }
    fn summary(&self) -> &'static str {
        "`vectors` (4) context vectors before the class names, one set for all classes, from \"a photo of a\""
    }
    fn reference(&self) -> &'static str {
        "arXiv:2109.01134; KaiyangZhou/CoOp"
    }
}

impl TrainsKind for ContextKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Trains> {
        Arc::new(Context { vectors: section.count("vectors").map_or(4, |c| c.value.max(1) as usize) })
    }
}

#[derive(Debug)]
struct Context {
    vectors: usize,
}

impl Trains for Context {
    fn prepare(&self, problem: &dyn Problem, _: u64) -> std::result::Result<Box<dyn Trained>, TrainError> {
        let start = start_of(problem, self.vectors)?;
        let parameters = Parameters::from([(CONTEXT.to_owned(), Var::from_tensor(&start)?)]);
        Ok(Box::new(Learned { parameters, ..Learned::default() }))
    }
}

/// The context that the checkpoint has, or so many vectors at their start.
pub(super) fn start_of(problem: &dyn Problem, vectors: usize) -> std::result::Result<Tensor, TrainError> {
    Ok(match problem.start().get(CONTEXT) {
        Some(stored) => stored.copy()?,
        None => problem.context(vectors)?,
    })
}
