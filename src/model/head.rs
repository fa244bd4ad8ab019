//! Heads: what turns a model's features into one score per candidate.

use std::fmt;

use candle_core::{D, DType, Device, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Kind of a checkpoint's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// The fine-tuned classifier.
    Classifier,
    /// The text tower on class names after learned context.
    Context,
    /// The text tower on class names in templates.
    ZeroShot,
}

impl fmt::Display for HeadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classifier => "classifier",
            Self::Context => "learned context",
            Self::ZeroShot => "zero-shot",
        })
    }
}

/// Which head a checkpoint uses for some candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadChoice {
    /// Which it is.
    pub kind: HeadKind,
    /// Rows of the classifier, if it is that.
    pub rows: Vec<u32>,
    /// Candidates for which a classifier that is there has no row of its own, so that it is not used.
    pub missing: Vec<String>,
}

/// Rows divided by their Euclidean norm.
pub fn normalise_rows(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)
}

/// A head's rows `[classes, projection_dim]` and bias `[classes]`.
pub struct HeadRows {
    /// One row per class.
    pub rows: Tensor,
    /// One value per class.
    pub bias: Option<Tensor>,
}

impl HeadRows {
    /// Combines two heads over the same classes; a bias that only one has is combined with zeros.
    pub fn blend(&self, other: &Self, merge: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Self> {
        let rows = merge(&self.rows, &other.rows)?;
        let bias = match (&self.bias, &other.bias) {
            (None, None) => None,
            (a, b) => {
                let zero = Tensor::zeros(rows.dim(0)?, DType::F32, &Device::Cpu)?;
                Some(merge(a.as_ref().unwrap_or(&zero), b.as_ref().unwrap_or(&zero))?)
            }
        };
        Ok(Self { rows, bias })
    }
}

/// `logits = features W^T + b` on normalised features.
#[derive(Clone)]
pub struct Head {
    /// `[projection_dim, classes]`, contiguous.
    weight: Tensor,
    /// `[classes]`.
    bias: Option<Tensor>,
}

impl Head {
    /// Takes rows and bias to a device.
    pub fn new(rows: &Tensor, bias: Option<Tensor>, device: &Device) -> Result<Self> {
        let bias = bias.map(|b| b.to_device(device)).transpose()?;
        Ok(Self { weight: rows.t()?.contiguous()?.to_device(device)?, bias })
    }

    /// Logits `[batch, classes]` of normalised features `[batch, projection_dim]`.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        let logits = features.matmul(&self.weight)?;
        match &self.bias {
            Some(bias) => logits.broadcast_add(bias),
            None => Ok(logits),
        }
    }
}
