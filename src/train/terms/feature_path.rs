//! MERGETUNE as its code does it: the path is walked in class embeddings, from those of the fine-tuned prompt.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::loss::cross_entropy;

use crate::base::config::Section;
use crate::base::registry::Named;
use crate::model::normalise_rows;
use crate::train::outputs::{OutputTerm, Outputs};
use crate::train::parts::{PathTerm, Term, TermKind};

/// The kind.
pub(super) struct FeaturePathKind;

impl Named for FeaturePathKind {
    fn name(&self) -> &'static str {
        "feature-path"
    }
    fn summary(&self) -> &'static str {
        "`beta` (1) times the mean cross-entropy with class embeddings at `points` (5) steps from those of the \
         `finetuned` context to the model's"
    }
    fn reference(&self) -> &'static str {
        "Surrey-UP-Lab/MERGETUNE, kgcoop_coop_LMC.py"
    }
}

impl TermKind for FeaturePathKind {
    fn read(&self, section: &Section<'_>) -> Option<Term> {
        let factor = section.number_in("beta", 0.0..=1e9).map_or(1.0, |n| n.value);
        let points = section.count("points").map_or(5, |c| c.value.max(1) as usize);
        Some(Term::Outputs(Arc::new(FeaturePath(PathTerm { factor, points }))))
    }
}

#[derive(Debug)]
struct FeaturePath(PathTerm);

impl OutputTerm for FeaturePath {
    fn name(&self) -> &'static str {
        "feature-path"
    }

    fn sum(&self, student: &Outputs, teacher: &Outputs) -> Result<Tensor> {
        let (Some(own), Some(features), Some(tuned)) = (&student.classes, &student.features, &teacher.tuned)
        else {
            candle_core::bail!("this term needs the context of a `finetuned` checkpoint");
        };
        let difference = (own - tuned)?;
        let places = self.0.places();
        let mut total: Option<Tensor> = None;
        for place in &places {
            let rows = normalise_rows(&(tuned + (&difference * *place)?)?)?;
            let logits = (features.matmul(&rows.t()?)? * student.scale)?;
            let loss = cross_entropy(&logits, &student.targets)?;
            total = Some(match total {
                Some(sum) => (sum + loss)?,
                None => loss,
            });
        }
        let Some(total) = total else { candle_core::bail!("a path without points") };
        let rows = features.dim(0)? as f64;
        total * (self.0.factor * rows / places.len() as f64)
    }
}
