//! Adapters in the blocks of both towers with a layer in common (MMA, Yang et al., CVPR 2024): the towers themselves stay.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};

use super::learned::Learned;
use crate::base::config::Section;
use crate::base::registry::Named;
use crate::base::rng::CounterRng;
use crate::checkpoint::Tensors;
use crate::model::clip::BlockAdapter;
use crate::train::TrainError;
use crate::train::outputs::Parameters;
use crate::train::parts::{Trained, Trains, TrainsKind};
use crate::train::problem::Problem;

/// The kind.
pub(super) struct MultimodalAdapterKind;

impl Named for MultimodalAdapterKind {
    fn name(&self) -> &'static str {
        "multimodal-adapter"
    }
    fn summary(&self) -> &'static str {
        "adapters of width `adapter_width` (32) in the blocks of both towers from the `adapter_first`-th (5) on, with a layer in common, \
         times `adapter_scale` (0.001); the head is made of the data's templates"
    }
    fn reference(&self) -> &'static str {
        "Yang et al., CVPR 2024; ZjjConan/Multi-Modal-Adapter, `trainers/mmadapter.py`"
    }
}

impl TrainsKind for MultimodalAdapterKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Trains> {
        let size = |key: &'static str, usual| section.count(key).map_or(usual, |c| c.value.max(1) as usize);
        let scale = section.number_in("adapter_scale", 0.0..=1.0);
        Arc::new(MultimodalAdapter {
            first: size("adapter_first", 5),
            width: size("adapter_width", 32),
            scale: scale.map_or(BlockAdapter::USUAL_SCALE, |n| n.value),
        })
    }
}

#[derive(Debug)]
struct MultimodalAdapter {
    /// The first block that has one, counted from 1.
    first: usize,
    width: usize,
    scale: f64,
}

/// The towers; the second holds copies of what both share.
const TOWERS: [&str; 2] = ["vision_model", "text_model"];

impl Trains for MultimodalAdapter {
    /// Those that the checkpoint has are trained on, with its scale; else weights are normal with a variance of two over their outputs, and biases
    /// zero (He et al. 2015 by fan-out, as the released code).
    fn prepare(&self, problem: &dyn Problem, seed: u64) -> std::result::Result<Box<dyn Trained>, TrainError> {
        let start = problem.start();
        if TOWERS.iter().any(|tower| !start.keys().any(|n| n.starts_with(tower))) {
            return Err(TrainError::Unfit("adapters of both towers are of image-text models".to_owned()));
        }
        let mut parameters: Parameters = Parameters::new();
        for (name, stored) in start.iter().filter(|(n, _)| BlockAdapter::owns(n) && *n != BlockAdapter::SCALE)
        {
            if !(BlockAdapter::is_shared(name) && name.starts_with(TOWERS[1])) {
                parameters.insert(name.clone(), Var::from_tensor(&stored.copy()?)?);
            }
        }
        let scale = if parameters.is_empty() {
            parameters = self.drawn(start, seed)?;
            self.scale
        } else {
            BlockAdapter::scale_of(start)?.unwrap_or(BlockAdapter::USUAL_SCALE)
        };
        let scale = Tensor::new(scale as f32, &Device::Cpu)?;
        let shared = parameters.keys().filter(|name| BlockAdapter::is_shared(name));
        let copies = shared.map(|name| (name.clone(), name.replacen(TOWERS[0], TOWERS[1], 1))).collect();
        let fixed = Tensors::from([(BlockAdapter::SCALE.to_owned(), scale)]);
        Ok(Box::new(Learned { parameters, fixed, copies }))
    }
}

impl MultimodalAdapter {
    fn drawn(&self, start: &Tensors, seed: u64) -> std::result::Result<Parameters, TrainError> {
        let rng = CounterRng::new(seed, "multimodal-adapter");
        let mut parameters = Parameters::new();
        for block in self.first - 1.. {
            let prefixes = TOWERS.map(|tower| format!("{tower}.encoder.layers.{block}"));
            let norms = prefixes.each_ref().map(|p| start.get(&format!("{p}.layer_norm1.bias")));
            let [Some(image), Some(text)] = norms else { break };
            for (tower, (prefix, norm)) in prefixes.iter().zip([image, text]).enumerate() {
                for (i, (name, shape)) in
                    BlockAdapter::tensors(prefix, norm.elem_count(), self.width).into_iter().enumerate()
                {
                    if tower == 1 && BlockAdapter::is_shared(&name) {
                        continue;
                    }
                    let mut own = rng.stream((block * 12 + tower * 6 + i) as u64);
                    let spread = if shape.len() == 2 { (2.0 / shape[0] as f64).sqrt() } else { 0.0 };
                    let count = shape.iter().product();
                    let values: Vec<f32> = (0..count).map(|_| (own.normal() * spread) as f32).collect();
                    parameters
                        .insert(name, Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)?);
                }
            }
        }
        if parameters.is_empty() {
            return Err(TrainError::Unfit(format!(
                "`adapter_first` is {}, and not both towers have so many blocks",
                self.first
            )));
        }
        Ok(parameters)
    }
}
