//! Two layers from the features of an image tower to the width of another model's (PromptKD, Li et al., CVPR 2024,
//! arXiv:2403.02781): what is trained elsewhere is evaluated here.
//!
//! `second(relu(norm(first(x))))`, `x` being the features before they are normalised, as in zhengli97/PromptKD,
//! `trainers/promptkd.py`: convolutions of one pixel with a batch norm between them, which uses its running statistics. The head is
//! made of the texts of the model that was distilled, so a checkpoint with a projector needs one ([`super::borrowed_head`]).

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};

use crate::checkpoint::{Share, TensorInfo, Weights, of_tensor};
use crate::model::layers::{Built, as_type_of};

/// The projector of an image tower.
pub struct ImageProjector {
    /// `[hidden, features]` and `[hidden]`, with the norm in them.
    first: (Tensor, Tensor),
    /// `[out, hidden]` and `[out]`.
    second: (Tensor, Tensor),
}

const FIRST: &str = "image_projector.first.weight";
const SECOND: &str = "image_projector.second.weight";

/// Added to the variances.
const EPS: f64 = 1e-5;

impl ImageProjector {
    /// Whether a tensor is a projector's.
    #[must_use]
    pub fn owns(name: &str) -> bool {
        name.starts_with("image_projector.")
    }

    /// The width of what a projector among some weights gives, if there is one.
    #[must_use]
    pub fn width(weights: &dyn Weights) -> Option<usize> {
        weights.info(SECOND)?.shape.first().copied()
    }

    /// The projector among some weights, if there is one.
    pub fn of(weights: &dyn Weights) -> Built<Option<Self>> {
        if !weights.contains(SECOND) {
            return Ok(None);
        }
        let part = |name: &str| weights.load(&format!("image_projector.{name}"));
        let (first, second) =
            ((part("first.weight")?, part("first.bias")?), (part("second.weight")?, part("second.bias")?));
        let norm =
            [part("norm.weight")?, part("norm.bias")?, part("norm.running_mean")?, part("norm.running_var")?];
        let made = || -> Result<Self> {
            let [weight, bias, mean, variance] = norm;
            let factor = (weight / (variance + EPS)?.sqrt()?)?;
            let rows = first.0.flatten_from(1)?.broadcast_mul(&factor.unsqueeze(1)?)?;
            let shift = ((first.1 - mean)? * factor)? + bias;
            Ok(Self { first: (rows, shift?), second: (second.0.flatten_from(1)?, second.1) })
        };
        made().map(Some).map_err(of_tensor(weights, FIRST))
    }

    /// Names and shapes of its tensors, given what is stored of them and the size of features; empty where none is.
    #[must_use]
    pub fn expected(
        stored: impl Fn(&str) -> Option<TensorInfo>,
        features: usize,
    ) -> BTreeMap<String, Vec<usize>> {
        let rows = |name: &str| stored(name).and_then(|i| i.shape.first().copied());
        let any = rows(FIRST).or_else(|| rows(SECOND)).or_else(|| rows("image_projector.norm.weight"));
        let Some(hidden) = any else { return BTreeMap::new() };
        let out = rows(SECOND).unwrap_or(hidden);
        let mut all = BTreeMap::from([
            (FIRST.to_owned(), vec![hidden, features, 1, 1]),
            ("image_projector.first.bias".to_owned(), vec![hidden]),
            (SECOND.to_owned(), vec![out, hidden, 1, 1]),
            ("image_projector.second.bias".to_owned(), vec![out]),
        ]);
        for part in ["weight", "bias", "running_mean", "running_var"] {
            all.insert(format!("image_projector.norm.{part}"), vec![hidden]);
        }
        all
    }

    /// Features `[batch, features]`, not normalised, as features of the other width.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let layer = |x: &Tensor, (weight, bias): &(Tensor, Tensor)| {
            let y = x.matmul(&as_type_of(weight, x)?.t()?)?;
            y.broadcast_add(&as_type_of(bias, &y)?.reshape((1, y.dim(D::Minus1)?))?)
        };
        layer(&layer(features, &self.first)?.relu()?, &self.second)
    }
}

/// What a tensor of the released code becomes; `None` for what is none.
pub(super) fn translated(name: &str) -> Option<Vec<(String, Share)>> {
    let (layer, part) = name.strip_prefix("VPT_image_trans.conv1.")?.split_once('.')?;
    let layer = match layer {
        "0" => "first",
        "1" => "norm",
        "3" => "second",
        _ => return None,
    };
    Some(vec![(format!("image_projector.{layer}.{part}"), Share::Whole)])
}
