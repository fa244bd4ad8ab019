//! Two layers after the image tower (CLIP-Adapter, Gao et al. 2021, arXiv:2110.04544): the towers stay.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor, Var};

use super::learned::Learned;
use crate::base::config::Section;
use crate::base::registry::Named;
use crate::base::rng::CounterRng;
use crate::checkpoint::Tensors;
use crate::model::clip::ImageAdapter;
use crate::train::TrainError;
use crate::train::outputs::Parameters;
use crate::train::parts::{Trained, Trains, TrainsKind};
use crate::train::problem::Problem;

/// The kind.
pub(super) struct AdapterKind;

impl Named for AdapterKind {
    fn name(&self) -> &'static str {
        "adapter"
    }
    fn summary(&self) -> &'static str {
        "two layers without bias after the image tower, narrower by `adapter_reduction` (4), mixed in by `adapter_ratio` (0.2)"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2110.04544; gaopengcuhk/CLIP-Adapter"
    }
}

impl TrainsKind for AdapterKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Trains> {
        let ratio = section.number_in("adapter_ratio", 0.0..=1.0);
        Arc::new(Adapter {
            ratio: ratio.map_or(ImageAdapter::USUAL_RATIO, |n| n.value),
            reduction: section.count("adapter_reduction").map_or(4, |c| c.value.max(1) as usize),
        })
    }
}

#[derive(Debug)]
struct Adapter {
    ratio: f64,
    reduction: usize,
}

impl Trains for Adapter {
    /// One that the checkpoint has is trained on; else both layers are drawn as PyTorch draws linear ones (uniform within one
    /// over the root of their inputs).
    fn prepare(&self, problem: &dyn Problem, seed: u64) -> std::result::Result<Box<dyn Trained>, TrainError> {
        let features = problem.feature_size()?;
        let width = (features / self.reduction).max(1);
        let rng = CounterRng::new(seed, "adapter");
        let layer = |name: &str, stream: u64, (to, from): (usize, usize)| -> Result<(String, Var)> {
            let values = match problem.start().get(name) {
                Some(stored) => stored.copy()?,
                None => {
                    let mut own = rng.stream(stream);
                    let bound = (from as f64).powf(-0.5);
                    let values: Vec<f32> = (0..to * from).map(|_| own.range(-bound, bound) as f32).collect();
                    Tensor::from_vec(values, (to, from), &Device::Cpu)?
                }
            };
            Ok((name.to_owned(), Var::from_tensor(&values)?))
        };
        let parameters = Parameters::from([
            layer(ImageAdapter::DOWN, 0, (width, features))?,
            layer(ImageAdapter::UP, 1, (features, width))?,
        ]);
        let ratio = match problem.start().get(ImageAdapter::RATIO) {
            Some(stored) => stored.clone(),
            None => ImageAdapter::stored_ratio(self.ratio)?,
        };
        let fixed = Tensors::from([(ImageAdapter::RATIO.to_owned(), ratio)]);
        Ok(Box::new(Learned { parameters, fixed, copies: Vec::new() }))
    }
}
