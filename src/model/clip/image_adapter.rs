//! Two layers after the image tower, mixed into its features (CLIP-Adapter, Gao et al. 2021, arXiv:2110.04544).
//!
//! `(1 - ratio) x + ratio relu(up(relu(down(x))))`, `x` being the features before they are normalised, as in the code of
//! gaopengcuhk/CLIP-Adapter, whose checkpoints hold the two layers and no ratio: it is 0.2 there.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor};

use crate::checkpoint::{TensorInfo, Tensors, Weights, of_tensor, stored_number};
use crate::model::layers::{Built, as_type_of};

/// The adapter of an image tower.
pub struct ImageAdapter {
    down: Tensor,
    up: Tensor,
    ratio: f64,
}

impl ImageAdapter {
    /// First layer, `[bottleneck, features]`.
    pub const DOWN: &str = "image_adapter.down.weight";
    /// Second layer, `[features, bottleneck]`.
    pub const UP: &str = "image_adapter.up.weight";
    /// How much of the second layer's output the features become, one number.
    pub const RATIO: &str = "image_adapter.ratio";
    /// That of the released code, for checkpoints without one.
    pub const USUAL_RATIO: f64 = 0.2;

    /// Whether a tensor is an adapter's.
    #[must_use]
    pub fn owns(name: &str) -> bool {
        name.starts_with("image_adapter.")
    }

    /// The adapter among some weights, if there is one.
    pub fn of(weights: &dyn Weights) -> Built<Option<Self>> {
        if !weights.contains(Self::DOWN) {
            return Ok(None);
        }
        let ratio = Self::ratio_of(weights)?.unwrap_or(Self::USUAL_RATIO);
        Ok(Some(Self { down: weights.load(Self::DOWN)?, up: weights.load(Self::UP)?, ratio }))
    }

    /// The ratio that is stored among some weights, if one is.
    pub fn ratio_of(weights: &dyn Weights) -> Built<Option<f64>> {
        stored_number(weights, Self::RATIO)
    }

    /// Names and shapes of its tensors, given what is stored of the first and the size of features; empty where none is.
    #[must_use]
    pub fn expected(down: Option<&TensorInfo>, features: usize) -> BTreeMap<String, Vec<usize>> {
        let Some(&width) = down.and_then(|d| d.shape.first()) else { return BTreeMap::new() };
        BTreeMap::from([
            (Self::DOWN.to_owned(), vec![width, features]),
            (Self::UP.to_owned(), vec![features, width]),
            (Self::RATIO.to_owned(), Vec::new()),
        ])
    }

    /// One that changes no direction of features, with the first layer and the ratio of another: the way from it to the
    /// other is straight in what they give.
    pub fn neutral(other: &dyn Weights) -> Built<Tensors> {
        let up = other.load(Self::UP)?.zeros_like().map_err(of_tensor(other, Self::UP))?;
        let mut all =
            Tensors::from([(Self::DOWN.to_owned(), other.load(Self::DOWN)?), (Self::UP.to_owned(), up)]);
        if other.contains(Self::RATIO) {
            all.insert(Self::RATIO.to_owned(), other.load(Self::RATIO)?);
        }
        Ok(all)
    }

    /// The tensor of a ratio.
    pub fn stored_ratio(ratio: f64) -> Result<Tensor> {
        Tensor::new(ratio as f32, &Device::Cpu)
    }

    /// Features `[batch, features]`, not normalised, with the adapter mixed in.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let hidden = features.matmul(&as_type_of(&self.down, features)?.t()?)?.relu()?;
        let changed = hidden.matmul(&as_type_of(&self.up, features)?.t()?)?.relu()?;
        (features * (1.0 - self.ratio))? + (changed * self.ratio)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_from_a_neutral_one_is_straight() {
        let t = |v: &[f32], shape: (usize, usize)| Tensor::from_slice(v, shape, &Device::Cpu).unwrap();
        let tuned = Tensors::from([
            (ImageAdapter::DOWN.to_owned(), t(&[1.0, -1.0], (1, 2))),
            (ImageAdapter::UP.to_owned(), t(&[2.0, 0.5], (2, 1))),
            (ImageAdapter::RATIO.to_owned(), ImageAdapter::stored_ratio(0.25).unwrap()),
        ]);
        let neutral = ImageAdapter::neutral(&tuned).unwrap();
        let give = |tensors: &Tensors| {
            let adapter = ImageAdapter::of(tensors).unwrap().unwrap();
            adapter.forward(&t(&[3.0, 1.0], (1, 2))).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        // 3 - 1 = 2 in the middle, 4 and 1 behind it.
        assert_eq!(give(&tuned), [0.75 * 3.0 + 0.25 * 4.0, 0.75 + 0.25]);
        assert_eq!(give(&neutral), [2.25, 0.75]);
        let mut half = tuned.clone();
        half.insert(ImageAdapter::UP.to_owned(), (&tuned[ImageAdapter::UP] * 0.5).unwrap());
        assert_eq!(give(&half), [2.75, 0.875]);
    }
}
