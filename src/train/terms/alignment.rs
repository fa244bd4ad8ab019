//! CLIP-CITE's two terms on the images of a batch and the captions of their classes: supervised contrast, and distillation of
//! their similarity (Liu, Li and Yu 2024, arXiv:2407.04003, equations 4 and 5).
//!
//! Similarities are cosines times `exp(logit_scale)`, as in the paper's equation 1; its equations 2 and 4 leave the temperature out.
//! Its sums over a batch are means here, as of all terms: the ratio of the terms is the same.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor};

use crate::base::config::Section;
use crate::base::registry::named_by_fields;
use crate::train::outputs::{OutputTerm, Outputs, kl};
use crate::train::parts::{Term, TermKind};

/// Which pairs an image and a caption are told apart from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denominator {
    /// Their own and those of other classes: FLYP's loss where all classes of a batch differ, as the paper says of it.
    WithOwn,
    /// Those of other classes alone, as the paper prints it.
    Printed,
}

impl Denominator {
    const CHOICES: [(&str, Self); 2] = [("with-own", Self::WithOwn), ("printed", Self::Printed)];
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    Contrast(Denominator),
    Similarity,
}

/// A term on images and captions.
pub(super) struct AlignmentKind {
    name: &'static str,
    summary: &'static str,
    reference: &'static str,
    of: Of,
    /// The factor where the recipe gives none: the paper's.
    usual: f64,
}

/// Supervised contrast.
pub(super) static CONTRAST: AlignmentKind = AlignmentKind {
    name: "contrast",
    summary: "`contrast` (0.7) times the mean of -log exp(s_ii) / sum_j exp(s_ij) of an image and its caption, both ways, over \
              captions of other classes and its own (`denominator` = \"with-own\") or of other classes alone (\"printed\")",
    reference: "CLIP-CITE, arXiv:2407.04003, equation 4",
    of: Of::Contrast(Denominator::WithOwn),
    usual: 0.7,
};
/// Distilled similarity.
pub(super) static SIMILARITY: AlignmentKind = AlignmentKind {
    name: "similarity",
    summary: "`similarity` (0.1) times KL(model || start), mean over examples, of an image's softmax over the captions of the batch",
    reference: "CLIP-CITE, arXiv:2407.04003, equation 5",
    of: Of::Similarity,
    usual: 0.1,
};

named_by_fields!(AlignmentKind);

impl TermKind for AlignmentKind {
    fn read(&self, section: &Section<'_>) -> Option<Term> {
        let of = match self.of {
            Of::Contrast(usual) => {
                let given = section.choice("denominator", &Denominator::CHOICES);
                Of::Contrast(given.map_or(usual, |c| c.value))
            }
            Of::Similarity => Of::Similarity,
        };
        let factor = section.number_in(self.name, 0.0..=1e9).map_or(self.usual, |n| n.value);
        Some(Term::Outputs(Arc::new(Alignment { name: self.name, of, factor })))
    }
}

#[derive(Debug)]
struct Alignment {
    name: &'static str,
    of: Of,
    factor: f64,
}

/// Similarities `[images, captions]` of a batch.
fn similarities(of: &Outputs) -> Result<Tensor> {
    let (Some(images), Some(captions)) = (&of.features, &of.captions) else {
        candle_core::bail!("this model has no captions that are the same for all images of a class");
    };
    images.matmul(&captions.t()?)? * of.scale
}

/// What is added to similarities so that pairs of one class do not count: a number that no exponential survives.
fn left_out(targets: &Tensor, denominator: Denominator, dtype: DType) -> Result<Tensor> {
    let same = targets.unsqueeze(1)?.broadcast_eq(&targets.unsqueeze(0)?)?.to_dtype(dtype)?;
    let out = match denominator {
        Denominator::WithOwn => (same - Tensor::eye(targets.dim(0)?, dtype, targets.device())?)?,
        Denominator::Printed => {
            if same.min_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()? > 0.0 {
                candle_core::bail!(
                    "a batch has examples of one class alone, which nothing can be told apart from: with `denominator = \"printed\"` \
                     each needs two, so raise `batch`"
                );
            }
            same
        }
    };
    out * -1e30
}

impl OutputTerm for Alignment {
    fn name(&self) -> &'static str {
        self.name
    }

    fn sum(&self, student: &Outputs, teacher: &Outputs) -> Result<Tensor> {
        let own = similarities(student)?;
        let total = match self.of {
            Of::Contrast(denominator) => {
                let apart = (&own + left_out(&student.targets, denominator, own.dtype())?)?;
                let pairs = (&own * Tensor::eye(own.dim(0)?, own.dtype(), own.device())?)?.sum_all()?;
                let both = (apart.log_sum_exp(1)?.sum_all()? + apart.log_sum_exp(0)?.sum_all()?)?;
                (both - (pairs * 2.0)?)?
            }
            Of::Similarity => kl(&own, &similarities(teacher)?)?.sum_all()?,
        };
        total * self.factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Pairs of unit vectors with the classes `targets`.
    fn outputs(targets: &[u32]) -> Outputs {
        let rows = |phase: f64| {
            let all: Vec<f64> = (0..targets.len() * 3).map(|i| (i as f64 * 2.1 + phase).sin()).collect();
            let all = Tensor::from_vec(all, (targets.len(), 3), &Device::Cpu).unwrap();
            crate::model::normalise_rows(&all).unwrap()
        };
        Outputs {
            logits: rows(0.0),
            features: Some(rows(0.3)),
            classes: None,
            captions: Some(rows(1.1)),
            tuned: None,
            scale: 4.0,
            targets: Tensor::new(targets, &Device::Cpu).unwrap(),
        }
    }

    fn value(of: Of, outputs: &Outputs) -> Result<f64> {
        Alignment { name: "x", of, factor: 1.0 }.sum(outputs, outputs)?.to_scalar::<f64>()
    }

    #[test]
    fn where_all_classes_differ_it_is_the_contrastive_loss_both_ways() {
        let outputs = outputs(&[0, 1, 2, 3]);
        let s = similarities(&outputs).unwrap().to_vec2::<f64>().unwrap();
        let mut sum = 0.0;
        for i in 0..4 {
            let (row, column): (f64, f64) =
                (s[i].iter().map(|v| v.exp()).sum(), s.iter().map(|r| r[i].exp()).sum());
            sum += row.ln() + column.ln() - 2.0 * s[i][i];
        }
        let found = value(Of::Contrast(Denominator::WithOwn), &outputs).unwrap();
        assert!((found - sum).abs() < 1e-12, "{found} {sum}");
        assert!(value(Of::Similarity, &outputs).unwrap().abs() < 1e-12);
    }

    #[test]
    fn captions_of_the_same_class_are_not_told_apart() {
        let two = outputs(&[5, 5]);
        assert!(value(Of::Contrast(Denominator::WithOwn), &two).unwrap().abs() < 1e-12);
        let message = value(Of::Contrast(Denominator::Printed), &two).unwrap_err().to_string();
        assert!(message.contains("one class alone"), "{message}");
    }
}
