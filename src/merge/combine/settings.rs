//! What combinations may be told, in mergekit's names where it has them.

use serde::{Deserialize, Serialize};

/// What a combination may be told; mergekit's parameter names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CombineSettings {
    /// Weight of each checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// Share of each difference that stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub density: Option<Each>,
    /// Multiplies what is added to the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
    /// Share of the largest differences that go as well (breadcrumbs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma: Option<f64>,
    /// How far chances of staying lie from `density` (DELLA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Factor of what lies off the diagonal of products of inputs (RegMean).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_diagonal: Option<f64>,
    /// Share of the mean diagonal of products of inputs that is added to it (Model Tailor).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damp: Option<f64>,
    /// How other weights make up for those that are reset (Model Tailor).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensate: Option<Compensate>,
    /// Whether the sum is divided by the weights that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<bool>,
    /// Whether what stays is scaled to the size of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rescale: Option<Rescale>,
    /// Seed of random choices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// A number for all checkpoints, or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Each {
    /// For all.
    All(f64),
    /// For each.
    List(Vec<f64>),
}

impl Each {
    /// Of a number for each; one alone where they are equal.
    #[must_use]
    pub fn of(all: Vec<f64>) -> Self {
        match all.split_first() {
            Some((first, rest)) if rest.iter().all(|v| v == first) => Self::All(*first),
            _ => Self::List(all),
        }
    }
}

/// How what stays of a difference is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rescale {
    /// It is not.
    None,
    /// To the sum of absolute values before, as mergekit does.
    L1,
    /// By one over `density`, as DARE's paper and code do.
    Density,
}

impl Rescale {
    /// Names used in suite files.
    pub const CHOICES: [(&str, Self); 3] =
        [("none", Self::None), ("l1", Self::L1), ("density", Self::Density)];
}

/// How the weights of a row make up for those that are reset to the base's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compensate {
    /// So that the layer's outputs change least (optimal brain surgeon, as in SparseGPT).
    #[default]
    Obs,
    /// With the sign of Model Tailor's released code, which is the other one.
    Released,
    /// They do not.
    None,
}

impl Compensate {
    /// Names used in suite files.
    pub const CHOICES: [(&str, Self); 3] =
        [("obs", Self::Obs), ("released", Self::Released), ("none", Self::None)];
}
