//! Context that depends on the image (CoCoOp, Zhou et al. 2022, arXiv:2203.05557, section 3.2).
//!
//! Two layers turn the image's features, of unit norm, into one vector that is added to every context vector; the rows of the head
//! are then those of that image alone. As in KaiyangZhou/CoOp, `trainers/cocoop.py`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Device, Result, Tensor};

use super::text::TextTower;
use crate::checkpoint::{TensorInfo, Weights};
use crate::model::layers::{Built, Linear};
use crate::model::{ImageRows, normalise_rows};

/// What turns features of an image into a shift of the context.
pub struct MetaNet {
    hidden: Linear,
    out: Linear,
}

impl MetaNet {
    /// Names of its tensors: weight and bias of the first layer, then of the second.
    pub const NAMES: [&str; 4] = [
        "prompt.meta_net.linear1.weight",
        "prompt.meta_net.linear1.bias",
        "prompt.meta_net.linear2.weight",
        "prompt.meta_net.linear2.bias",
    ];

    /// Whether a tensor is one of its.
    #[must_use]
    pub fn owns(name: &str) -> bool {
        Self::NAMES.contains(&name)
    }

    /// Whether it is among some weights.
    #[must_use]
    pub fn is_in(weights: &dyn Weights) -> bool {
        weights.contains(Self::NAMES[0])
    }

    /// Names and shapes of its tensors, given what is stored of the first; empty where nothing is.
    #[must_use]
    pub fn expected(
        first: Option<&TensorInfo>,
        features: usize,
        width: usize,
    ) -> BTreeMap<String, Vec<usize>> {
        let Some(&hidden) = first.and_then(|f| f.shape.first()) else { return BTreeMap::new() };
        let shapes = [vec![hidden, features], vec![hidden], vec![width, hidden], vec![width]];
        Self::NAMES.into_iter().map(str::to_owned).zip(shapes).collect()
    }

    /// Takes its tensors.
    pub fn of(weights: &dyn Weights) -> Built<Self> {
        let layer = |i: usize| -> Built<Linear> {
            Ok(Linear::new(weights.load(Self::NAMES[i])?, Some(weights.load(Self::NAMES[i + 1])?)))
        };
        Ok(Self { hidden: layer(0)?, out: layer(2)? })
    }

    /// `context` `[n, width]` for an image with features `[1, features]` of unit norm.
    pub fn shifted(&self, context: &Tensor, features: &Tensor) -> Result<Tensor> {
        context.broadcast_add(&self.out.forward(&self.hidden.forward(features)?.relu()?)?)
    }
}

/// Rows that are kept of images seen last, in bytes: all variants of a sweep ask for those of one batch.
const KEPT: usize = 64 << 20;

/// The rows of one image, once they are made.
type Slot = Arc<Mutex<Option<Tensor>>>;

/// Rows from learned context and the image.
pub(super) struct ConditionalRows {
    pub(super) tower: TextTower,
    pub(super) meta: MetaNet,
    /// `[n, width]`.
    pub(super) context: Tensor,
    /// Texts of the classes with places for context.
    pub(super) texts: Vec<Vec<u32>>,
    /// What rows of unit norm are multiplied by.
    pub(super) scale: Tensor,
    pub(super) kept: Mutex<VecDeque<(Vec<u32>, Slot)>>,
}

impl ConditionalRows {
    /// The place of an image's rows, which somebody else may be making.
    fn slot(&self, features: &Tensor) -> Result<Slot> {
        let bits: Vec<u32> = features.flatten_all()?.to_vec1::<f32>()?.iter().map(|v| v.to_bits()).collect();
        let most = (KEPT / (4 * bits.len() * self.texts.len()).max(1)).max(1);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = kept.iter().find(|(key, _)| *key == bits) {
            return Ok(Arc::clone(slot));
        }
        let slot = Slot::default();
        kept.push_back((bits, Arc::clone(&slot)));
        while kept.len() > most {
            kept.pop_front();
        }
        Ok(slot)
    }
}

impl ImageRows for ConditionalRows {
    fn rows(&self, features: &Tensor) -> Result<Tensor> {
        let features = features.to_device(&Device::Cpu)?;
        let slot = self.slot(&features)?;
        let mut made = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = &*made {
            return Ok(rows.clone());
        }
        let context = self.meta.shifted(&self.context, &features)?;
        let rows = self.tower.forward_all(&self.texts, Some(&context), &mut |_| {})?;
        let rows = normalise_rows(&rows)?.broadcast_mul(&self.scale)?;
        *made = Some(rows.clone());
        Ok(rows)
    }
}
