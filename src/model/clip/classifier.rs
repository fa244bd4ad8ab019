//! The fine-tuned linear head of a checkpoint.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::meta_net::MetaNet;
use super::names::CONTEXT;
use crate::checkpoint::Weights;
use crate::model::{HeadRows, ModelError};

/// What `classifier.json` says of a fine-tuned classifier (tensors `classifier.weight`
/// `[classes, projection_dim]` and perhaps `classifier.bias` `[classes]` in the weights file).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    /// Class names, row by row.
    pub classes: Vec<String>,
}

impl Classifier {
    /// The tensor with one row per class.
    pub const WEIGHT: &str = "classifier.weight";
    /// The tensor with one value per class.
    pub const BIAS: &str = "classifier.bias";

    /// Its tensors among some weights.
    #[must_use]
    pub fn tensors(weights: &dyn Weights) -> Vec<String> {
        [Self::WEIGHT, Self::BIAS].into_iter().filter(|n| weights.contains(n)).map(str::to_owned).collect()
    }

    /// The head of some of its rows.
    ///
    /// # Errors
    /// If its tensors cannot be read, or have no such rows.
    pub fn head(weights: &dyn Weights, rows: &[u32]) -> Result<HeadRows, ModelError> {
        let wrap = |e| ModelError::compute("classifier")(e);
        let index = Tensor::from_slice(rows, rows.len(), &Device::Cpu).map_err(wrap)?;
        let pick = |name: &str| -> Result<Tensor, ModelError> {
            weights.load(name)?.index_select(&index, 0).map_err(wrap)
        };
        let bias = weights.contains(Self::BIAS).then(|| pick(Self::BIAS)).transpose()?;
        Ok(HeadRows::fixed(pick(Self::WEIGHT)?, bias))
    }

    /// The rows for some classes of a list. Rows are positions: where the head was trained on that very list, they
    /// are used as they stand; otherwise names say which row is which, if they are unique on both sides.
    ///
    /// # Errors
    /// The names that have no row of their own.
    pub fn rows(&self, list: &[String], chosen: &[usize]) -> Result<Vec<u32>, Vec<String>> {
        if self.classes == list {
            return Ok(chosen.iter().map(|&i| i as u32).collect());
        }
        let count = |names: &[String], name: &String| names.iter().filter(|n| *n == name).count();
        let mut places: BTreeMap<&String, u32> = BTreeMap::new();
        for (place, name) in self.classes.iter().enumerate() {
            places.insert(name, place as u32);
        }
        let mut rows = Vec::with_capacity(chosen.len());
        let mut missing = Vec::new();
        for &i in chosen {
            match places.get(&list[i]) {
                Some(&row) if count(&self.classes, &list[i]) == 1 && count(list, &list[i]) == 1 => {
                    rows.push(row);
                }
                _ => missing.push(list[i].clone()),
            }
        }
        if missing.is_empty() { Ok(rows) } else { Err(missing) }
    }
}

/// Whether a tensor belongs to a head: a classifier, or learned context.
#[must_use]
pub fn is_head(name: &str) -> bool {
    name == Classifier::WEIGHT || name == Classifier::BIAS || name == CONTEXT || MetaNet::owns(name)
}
