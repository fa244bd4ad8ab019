//! Adapters in the blocks of both towers with a layer in common (MMA, Yang et al., CVPR 2024).
//!
//! As in ZjjConan/Multi-Modal-Adapter, `clip/model.py`: beside attention and perceptron a block adds
//! `scale up(relu(shared(relu(down(norm1(x))))))`, `x` being what the block is given. Its checkpoints hold the layers; the scale is
//! 0.001 in its configurations. The shared layer of a block lies in both towers here.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::config::ClipConfig;
use crate::checkpoint::{Share, TensorInfo, Tensors, Weights, of_tensor, stored_number};
use crate::model::layers::{Built, Linear, Loader};

/// The adapter of a block.
pub struct BlockAdapter {
    layers: [Linear; 3],
    scale: f64,
}

/// Its layers, in the order in which they are applied.
const LAYERS: [&str; 3] = ["down", "shared", "up"];

impl BlockAdapter {
    /// What is added is multiplied by this number.
    pub const SCALE: &str = "multimodal_adapter.scale";
    /// That of the released configurations, for checkpoints without one.
    pub const USUAL_SCALE: f64 = 0.001;

    /// The adapter of the block below `prefix`, of so many values a token, if it has one.
    pub fn load(weights: &Loader<'_>, prefix: &str, width: usize) -> Built<Option<Self>> {
        let first = weights.weights.info(&tensor(prefix, LAYERS[0], "weight"));
        let Some(&inner) = first.as_ref().and_then(|i| i.shape.first()) else { return Ok(None) };
        let layer = |i: usize, from, to| weights.linear(&format!("{prefix}.adapter.{}", LAYERS[i]), from, to);
        let layers = [layer(0, width, inner)?, layer(1, inner, inner)?, layer(2, inner, width)?];
        Ok(Some(Self { layers, scale: Self::scale_of(weights.weights)?.unwrap_or(Self::USUAL_SCALE) }))
    }

    /// The scale that is stored among some weights, if one is.
    pub fn scale_of(weights: &dyn Weights) -> Built<Option<f64>> {
        stored_number(weights, Self::SCALE)
    }

    /// What is added for the block's inputs after its first norm.
    pub fn forward(&self, normed: &Tensor) -> Result<Tensor> {
        let [down, shared, up] = &self.layers;
        up.forward(&shared.forward(&down.forward(normed)?.relu()?)?.relu()?)? * self.scale
    }

    /// Whether a tensor is an adapter's.
    #[must_use]
    pub fn owns(name: &str) -> bool {
        name.contains(".adapter.") || name == Self::SCALE
    }

    /// Names and shapes of all adapters' tensors, given what is stored of them.
    #[must_use]
    pub fn expected(
        config: &ClipConfig,
        stored: impl Fn(&str) -> Option<TensorInfo>,
    ) -> BTreeMap<String, Vec<usize>> {
        let mut all = BTreeMap::new();
        let towers =
            [("vision_model", &config.vision_config.tower), ("text_model", &config.text_config.tower)];
        for (tower, config) in towers {
            for layer in 0..config.num_hidden_layers {
                let prefix = format!("{tower}.encoder.layers.{layer}");
                let any = LAYERS.iter().find_map(|l| stored(&tensor(&prefix, l, "bias")));
                let first = stored(&tensor(&prefix, LAYERS[0], "weight"));
                let Some(&inner) = first.or(any).as_ref().and_then(|i| i.shape.first()) else { continue };
                all.extend(Self::tensors(&prefix, config.hidden_size, inner));
            }
        }
        if !all.is_empty() {
            all.insert(Self::SCALE.to_owned(), Vec::new());
        }
        all
    }

    /// Names and shapes of the tensors of the adapter of the block below `prefix`, of so many values a token and so many inside: those
    /// of the way down, of what both towers share, and of the way up.
    #[must_use]
    pub fn tensors(prefix: &str, width: usize, inner: usize) -> [(String, Vec<usize>); 6] {
        let [down, shared, up] = LAYERS;
        let weight = |layer, to, from| (tensor(prefix, layer, "weight"), vec![to, from]);
        let bias = |layer, to| (tensor(prefix, layer, "bias"), vec![to]);
        [
            weight(down, inner, width),
            bias(down, inner),
            weight(shared, inner, inner),
            bias(shared, inner),
            weight(up, width, inner),
            bias(up, width),
        ]
    }

    /// Whether a tensor is of the layer that lies in both towers.
    #[must_use]
    pub fn is_shared(name: &str) -> bool {
        name.contains(".adapter.shared.")
    }

    /// Adapters that add nothing, with the layers of others but the last: the way to those is straight in what each adds to what it
    /// is given.
    pub fn neutral(other: &dyn Weights) -> Built<Tensors> {
        let of = |name: &str| -> Built<(String, Tensor)> {
            let tensor = other.load(name)?;
            let up = name.contains(".adapter.up.");
            let tensor = if up { tensor.zeros_like().map_err(of_tensor(other, name))? } else { tensor };
            Ok((name.to_owned(), tensor))
        };
        other.names().into_iter().filter(|n| Self::owns(n)).map(of).collect()
    }
}

fn tensor(prefix: &str, layer: &str, part: &str) -> String {
    format!("{prefix}.adapter.{layer}.{part}")
}

/// What a tensor of the released code becomes; `None` for what is none. Blocks are counted from 1 there.
pub(super) fn translated(name: &str) -> Option<Vec<(String, Share)>> {
    let (kind, rest) = name.split_once('.')?;
    let (number, rest) = rest.split_once('.')?;
    let block = number.parse::<usize>().ok()?.checked_sub(1)?;
    let (towers, layer): (&[&str], _) = match (kind, rest.rsplit_once('.')?) {
        ("text_adapter", (layer, _)) => (&["text_model"], layer),
        ("visual_adapter", (layer, _)) => (&["vision_model"], layer),
        ("shared_adapter", (layer, _)) => (&["text_model", "vision_model"], layer),
        _ => return None,
    };
    let layer = match (kind, layer) {
        ("shared_adapter", "0") => "shared",
        ("shared_adapter", _) => return None,
        (_, "down.0") => "down",
        (_, "up") => "up",
        _ => return None,
    };
    let part = rest.rsplit_once('.')?.1;
    let at = |tower: &&str| (tensor(&format!("{tower}.encoder.layers.{block}"), layer, part), Share::Whole);
    Some(towers.iter().map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_released_code() {
        let name =
            |stored: &str| translated(stored).map(|all| all.into_iter().map(|n| n.0).collect::<Vec<_>>());
        let block = |tower: &str, tail: &str| format!("{tower}.encoder.layers.4.adapter.{tail}");
        assert_eq!(name("text_adapter.5.down.0.weight"), Some(vec![block("text_model", "down.weight")]));
        assert_eq!(name("visual_adapter.5.up.bias"), Some(vec![block("vision_model", "up.bias")]));
        let both = ["text_model", "vision_model"].map(|t| block(t, "shared.weight")).to_vec();
        assert_eq!(name("shared_adapter.5.0.weight"), Some(both));
        // Of the embedding, and of layers that are none of it.
        for other in [
            "text_adapter.0.down.0.weight",
            "text_adapter.5.0.weight",
            "visual.proj",
            "text_adapter.x.up.bias",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
