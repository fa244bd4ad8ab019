//! Learned context before the class names (CoOp, Zhou et al. 2022, arXiv:2109.01134): the encoders stay.

use std::sync::Arc;

use candle_core::{Result, Tensor, Var};

use crate::base::config::Section;
use crate::base::registry::Named;
use crate::checkpoint::Tensors;
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
        Ok(Box::new(Learned(Parameters::from([(CONTEXT.to_owned(), Var::from_tensor(&start)?)]))))
    }
}

/// The context that the checkpoint has, or so many vectors at their start.
pub(super) fn start_of(problem: &dyn Problem, vectors: usize) -> std::result::Result<Tensor, TrainError> {
    Ok(match problem.start().get(CONTEXT) {
        Some(stored) => stored.copy()?,
        None => problem.context(vectors)?,
    })
}

/// Values that are learned beside the weights: a part on top of the checkpoint.
pub(super) struct Learned(pub(super) Parameters);

impl Learned {
    fn tensors(&self) -> Tensors {
        self.0.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect()
    }
}

impl Trained for Learned {
    fn parameters(&self) -> &Parameters {
        &self.0
    }

    fn weights(&self, start: &Tensors) -> Result<Tensors> {
        let mut all = start.clone();
        all.extend(self.tensors());
        Ok(all)
    }

    fn part(&self) -> Option<Tensors> {
        Some(self.tensors())
    }

    fn are_weights(&self) -> bool {
        false
    }
}
