//! PromptSRC's agreement with the model without prompts (Khattak et al. 2023, arXiv:2307.06948): features of texts and images by their
//! absolute difference, distributions by Kullback and Leibler.
//!
//! As muzairkhattak/PromptSRC, `trainers/promptsrc.py`, reduces them: means over all values of the features, the divergence over
//! examples times classes. The texts agreed with are those of the data's templates, each of unit norm before their mean; there sixty of
//! ImageNet's, whose mean is taken first.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::base::config::Section;
use crate::base::registry::Named;
use crate::model::normalise_rows;
use crate::train::outputs::{OutputTerm, Outputs, kl};
use crate::train::parts::{Term, TermKind};

/// The kind.
pub(super) struct AgreementKind;

impl Named for AgreementKind {
    fn name(&self) -> &'static str {
        "agreement"
    }
    fn summary(&self) -> &'static str {
        "`agree_text` (25) and `agree_image` (10) times the mean absolute differences of text and image features to those at the start, and \
         KL(start || model) over examples times classes"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2307.06948; muzairkhattak/PromptSRC, `trainers/promptsrc.py`"
    }
}

impl TermKind for AgreementKind {
    fn read(&self, section: &Section<'_>) -> Option<Term> {
        let factor = |key, usual| section.number_in(key, 0.0..=1e9).map_or(usual, |n| n.value);
        let (text, image) = (factor("agree_text", 25.0), factor("agree_image", 10.0));
        Some(Term::Outputs(Arc::new(Agreement { text, image })))
    }
}

#[derive(Debug)]
struct Agreement {
    text: f64,
    image: f64,
}

impl OutputTerm for Agreement {
    fn name(&self) -> &'static str {
        "agreement"
    }

    fn sum(&self, student: &Outputs, teacher: &Outputs) -> Result<Tensor> {
        let (Some(texts), Some(first_texts)) = (&student.classes, &teacher.classes) else {
            candle_core::bail!("this model has no rows for its classes");
        };
        let (Some(images), Some(first_images)) = (&student.features, &teacher.features) else {
            candle_core::bail!("this model has no features to agree on");
        };
        let texts = (normalise_rows(texts)? - normalise_rows(first_texts)?)?.abs()?.mean_all()?;
        let images = (images - first_images)?.abs()?.mean_all()?;
        let divergence =
            (kl(&teacher.logits, &student.logits)?.sum_all()? / student.logits.elem_count() as f64)?;
        ((texts * self.text)? + (images * self.image)?)? + divergence
    }

    fn once(&self) -> bool {
        true
    }
}
