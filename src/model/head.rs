//! Heads: what turns a model's features into one score per candidate.

use std::fmt;
use std::sync::Arc;

use candle_core::{D, Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::layers::product;

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

/// Rows of a head that depend on the image (CoCoOp, arXiv:2203.05557).
pub trait ImageRows: Send + Sync {
    /// Rows `[classes, projection_dim]` for an image with features `[1, projection_dim]` of unit norm, on the CPU.
    fn rows(&self, features: &Tensor) -> Result<Tensor>;
}

/// A head's rows `[classes, projection_dim]` and bias `[classes]`.
#[derive(Clone)]
pub struct HeadRows {
    rows: Rows,
    /// One value per class.
    pub bias: Option<Tensor>,
}

/// One row per class.
#[derive(Clone)]
enum Rows {
    /// The same for all images.
    Fixed(Tensor),
    /// Those of an image.
    OfImage(Arc<dyn ImageRows>),
}

impl Rows {
    fn of(&self, features: &Tensor) -> Result<Tensor> {
        match self {
            Self::Fixed(rows) => Ok(rows.clone()),
            Self::OfImage(rows) => rows.rows(features),
        }
    }
}

/// How two tensors become one.
type Merge = dyn Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync;

/// Rows of two heads, combined for each image.
struct Blended {
    ends: [Rows; 2],
    merge: Box<Merge>,
}

impl ImageRows for Blended {
    fn rows(&self, features: &Tensor) -> Result<Tensor> {
        (self.merge)(&self.ends[0].of(features)?, &self.ends[1].of(features)?)
    }
}

impl HeadRows {
    /// The same rows for all images.
    #[must_use]
    pub const fn fixed(rows: Tensor, bias: Option<Tensor>) -> Self {
        Self { rows: Rows::Fixed(rows), bias }
    }

    /// Rows that depend on the image.
    #[must_use]
    pub fn of_image(rows: Arc<dyn ImageRows>, bias: Option<Tensor>) -> Self {
        Self { rows: Rows::OfImage(rows), bias }
    }

    /// The rows, if they are the same for all images.
    #[must_use]
    pub const fn shared(&self) -> Option<&Tensor> {
        match &self.rows {
            Rows::Fixed(rows) => Some(rows),
            Rows::OfImage(_) => None,
        }
    }

    /// Combines two heads over the same classes; a bias that only one has is combined with zeros.
    pub fn blend(
        &self,
        other: &Self,
        merge: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Self> {
        let bias = match (&self.bias, &other.bias) {
            (None, None) => None,
            (a, b) => {
                let known = a.as_ref().or(b.as_ref()).map(Tensor::zeros_like).transpose()?;
                let of = |bias: &Option<Tensor>| bias.clone().or_else(|| known.clone());
                of(a).zip(of(b)).map(|(a, b)| merge(&a, &b)).transpose()?
            }
        };
        let rows = match (&self.rows, &other.rows) {
            (Rows::Fixed(a), Rows::Fixed(b)) => Rows::Fixed(merge(a, b)?),
            (a, b) => {
                Rows::OfImage(Arc::new(Blended { ends: [a.clone(), b.clone()], merge: Box::new(merge) }))
            }
        };
        Ok(Self { rows, bias })
    }
}

/// `logits = features W^T + b` on normalised features.
#[derive(Clone)]
pub struct Head {
    weight: Weight,
    /// `[classes]`.
    bias: Option<Tensor>,
}

/// What features are multiplied by.
#[derive(Clone)]
enum Weight {
    /// `[projection_dim, classes]`, contiguous.
    Fixed(Tensor),
    /// The rows of an image.
    OfImage(Arc<dyn ImageRows>),
}

impl Head {
    /// Takes rows and bias to a device; what depends on the image stays on the CPU.
    pub fn new(head: &HeadRows, device: &Device) -> Result<Self> {
        let (weight, device) = match &head.rows {
            Rows::Fixed(rows) => (Weight::Fixed(rows.t()?.contiguous()?.to_device(device)?), device),
            Rows::OfImage(rows) => (Weight::OfImage(Arc::clone(rows)), &Device::Cpu),
        };
        Ok(Self { weight, bias: head.bias.as_ref().map(|b| b.to_device(device)).transpose()? })
    }

    /// Logits `[batch, classes]` of normalised features `[batch, projection_dim]`.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        let logits = match &self.weight {
            Weight::Fixed(weight) => product(features, weight)?,
            Weight::OfImage(rows) => {
                let features = features.to_device(&Device::Cpu)?;
                let of = |i: usize| {
                    let one = features.narrow(0, i, 1)?;
                    one.matmul(&rows.rows(&one)?.t()?)
                };
                // Variants of a sweep want the rows of the same images at a time: each thread begins at another one, so that none
                // waits for what another is making.
                let n = features.dim(0)?;
                let first = n * rayon::current_thread_index().unwrap_or(0) / rayon::current_num_threads();
                let mut logits = (first..n).chain(0..first).map(of).collect::<Result<Vec<_>>>()?;
                logits.rotate_right(first);
                Tensor::cat(&logits, 0)?
            }
        };
        match &self.bias {
            Some(bias) => logits.broadcast_add(bias),
            None => Ok(logits),
        }
    }
}
