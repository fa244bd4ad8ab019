//! Weights of a new model.

use candle_core::{Device, Tensor};

use super::config::{DecoderConfig, NormKind};
use crate::base::rng::CounterRng;
use crate::checkpoint::Tensors;
use crate::model::ModelError;

/// Standard deviation of a new weight.
const SPREAD: f64 = 0.02;

/// Matrices drawn as GPT-2's (normal, 0.02; what a block adds to its input less by the root of twice the blocks), norms one,
/// biases zero.
pub fn new_weights(config: &DecoderConfig, rng: &CounterRng) -> Result<Tensors, ModelError> {
    let depth = (2.0 * config.layers as f64).sqrt();
    let outs = [config.names.out, config.names.down].map(|n| format!(".{n}.weight"));
    let mut all = Tensors::new();
    for (i, (name, shape)) in config.tensors().into_iter().enumerate() {
        let mut own = rng.stream(i as u64);
        let n: usize = shape.iter().product();
        let values: Vec<f32> = if shape.len() >= 2 {
            let spread =
                if outs.iter().any(|o| name.ends_with(o.as_str())) { SPREAD / depth } else { SPREAD };
            (0..n).map(|_| (own.normal() * spread) as f32).collect()
        } else {
            let one = name.ends_with(".weight") && config.norm != NormKind::RmsPlusOne;
            vec![if one { 1.0 } else { 0.0 }; n]
        };
        let tensor =
            Tensor::from_vec(values, shape, &Device::Cpu).map_err(ModelError::compute("new weights"))?;
        all.insert(name, tensor);
    }
    Ok(all)
}
