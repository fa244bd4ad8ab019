//! Weights themselves: all of the model, its body, its head, or its last blocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Result, Var};

use crate::base::config::Section;
use crate::base::registry::named_by_fields;
use crate::checkpoint::Tensors;
use crate::train::TrainError;
use crate::train::outputs::Parameters;
use crate::train::parts::{Trained, Trains, TrainsKind};
use crate::train::problem::{Part, Problem};

/// Which weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Everything,
    Head,
    Body,
    Projector,
    /// The last blocks, the final norm, and the head where it is a classifier's.
    Last(usize),
}

/// A choice of weights.
pub(super) struct WholeKind {
    name: &'static str,
    summary: &'static str,
    reference: &'static str,
    which: Which,
}

/// Everything.
pub(super) static FULL: WholeKind = WholeKind {
    name: "full",
    summary: "every weight that the task uses: image tower and head, or the whole language model",
    reference: "arXiv:2109.01903; mlfoundations/wise-ft",
    which: Which::Everything,
};
/// The head alone.
pub(super) static HEAD: WholeKind = WholeKind {
    name: "head",
    summary: "the linear head on frozen features",
    reference: "arXiv:2103.00020, section 3.2",
    which: Which::Head,
};
/// Everything but the head.
pub(super) static TOWER: WholeKind = WholeKind {
    name: "tower",
    summary: "everything but the head, which stays as it starts",
    reference: "arXiv:2202.10054",
    which: Which::Body,
};
/// The map into the joint space alone.
pub(super) static PROJECTOR: WholeKind = WholeKind {
    name: "projector",
    summary: "the linear map from the image tower into the space that it shares with texts",
    reference: "arXiv:2410.05270; astra-vision/ProLIP",
    which: Which::Projector,
};
/// The last blocks.
pub(super) static LAST: WholeKind = WholeKind {
    name: "last-n",
    summary: "the last `last` (1) blocks, the final norm, and a classifier's head",
    reference: "arXiv:2411.10928, code `tune_decoder_layer`",
    which: Which::Last(1),
};

named_by_fields!(WholeKind);

impl TrainsKind for WholeKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Trains> {
        Arc::new(Whole(match self.which {
            Which::Last(usual) => Which::Last(section.count("last").map_or(usual, |c| c.value as usize)),
            other => other,
        }))
    }
}

#[derive(Debug)]
struct Whole(Which);

impl Trains for Whole {
    fn prepare(&self, problem: &dyn Problem, _: u64) -> std::result::Result<Box<dyn Trained>, TrainError> {
        let blocks = problem.blocks();
        let chosen = |name: &String| match (self.0, problem.part(name)) {
            (_, Part::Other) => false,
            (Which::Everything, _) => true,
            (Which::Head, part) => part == Part::Head,
            (Which::Body, part) => part != Part::Head,
            (Which::Last(n), Part::Block(i)) => i + n >= blocks,
            (Which::Projector, part) => part == Part::Projector,
            (Which::Last(_), Part::Final | Part::Projector) => true,
            // A classifier is new; a language model's vocabulary stays.
            (Which::Last(_), Part::Head) => problem.has_classifier(),
            (Which::Last(_), Part::Embedding) => false,
        };
        let mut parameters = BTreeMap::new();
        for (name, tensor) in problem.start().iter().filter(|(name, _)| chosen(name)) {
            parameters.insert(name.clone(), Var::from_tensor(&tensor.copy()?)?);
        }
        if parameters.is_empty() {
            return Err(TrainError::Unfit("nothing of this model would be trained".to_owned()));
        }
        Ok(Box::new(Weights(parameters)))
    }
}

struct Weights(Parameters);

impl Trained for Weights {
    fn parameters(&self) -> &Parameters {
        &self.0
    }

    fn weights(&self, start: &Tensors) -> Result<Tensors> {
        let mut all = start.clone();
        all.extend(self.0.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())));
        Ok(all)
    }
}
