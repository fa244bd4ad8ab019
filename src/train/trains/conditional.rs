//! Learned context, and two layers that shift it by what the image is (CoCoOp, Zhou et al. 2022, arXiv:2203.05557): the encoders
//! stay.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};

use super::context::start_of;
use super::learned::Learned;
use crate::base::config::Section;
use crate::base::registry::Named;
use crate::base::rng::CounterRng;
use crate::model::clip::{CONTEXT, MetaNet};
use crate::train::TrainError;
use crate::train::outputs::Parameters;
use crate::train::parts::{Trained, Trains, TrainsKind};
use crate::train::problem::Problem;

/// The kind.
pub(super) struct ConditionalKind;

impl Named for ConditionalKind {
    fn name(&self) -> &'static str {
        "conditional-context"
    }
    fn summary(&self) -> &'static str {
        "`vectors` (4) context vectors as `context` has them, and two layers from the image's features (a sixteenth of them between) \
         to what is added to each"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2203.05557; KaiyangZhou/CoOp, `trainers/cocoop.py`"
    }
}

impl TrainsKind for ConditionalKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Trains> {
        Arc::new(Conditional { vectors: section.count("vectors").map_or(4, |c| c.value.max(1) as usize) })
    }
}

#[derive(Debug)]
struct Conditional {
    vectors: usize,
}

impl Trains for Conditional {
    /// What the checkpoint has is trained on; else both layers are drawn as PyTorch draws linear ones (uniform within one over the
    /// root of their inputs).
    fn prepare(&self, problem: &dyn Problem, seed: u64) -> std::result::Result<Box<dyn Trained>, TrainError> {
        let context = start_of(problem, self.vectors)?;
        if context.rank() != 2 {
            let what = "an image shifts one context for all classes; this checkpoint has one for each";
            return Err(TrainError::Unfit(what.to_owned()));
        }
        let (features, width) = (problem.feature_size()?, context.dim(1)?);
        let hidden = (features / 16).max(1);
        let rng = CounterRng::new(seed, "meta-net");
        let shapes = [vec![hidden, features], vec![hidden], vec![width, hidden], vec![width]];
        let mut parameters = Parameters::from([(CONTEXT.to_owned(), Var::from_tensor(&context)?)]);
        for (i, (name, shape)) in MetaNet::NAMES.into_iter().zip(shapes).enumerate() {
            let values = match problem.start().get(name) {
                Some(stored) => stored.copy()?,
                None => {
                    let mut own = rng.stream(i as u64);
                    let inputs = if i < 2 { features } else { hidden };
                    let bound = (inputs as f64).powf(-0.5);
                    let count = shape.iter().product();
                    let values: Vec<f32> = (0..count).map(|_| own.range(-bound, bound) as f32).collect();
                    Tensor::from_vec(values, shape, &Device::Cpu)?
                }
            };
            parameters.insert(name.to_owned(), Var::from_tensor(&values)?);
        }
        Ok(Box::new(Learned { parameters, ..Learned::default() }))
    }
}
