//! The head of a combination by differences to a base that has no classifier.

use std::sync::Arc;

use candle_core::Tensor;

use super::classifier::Classifier;
use crate::checkpoint::{Tensors, Weights};
use crate::merge::Combination;
use crate::model::{Architecture, HeadRows, ModelError};
use crate::task::Candidates;

/// Classifiers combined by their differences to the base's zero-shot head: fine-tuning began there (WiSE-FT, Wortsman et al. 2022,
/// arXiv:2109.01903, section 3), so that these are the updates that task arithmetic and its kin combine.
pub struct CombinedHead {
    /// The rule.
    pub combination: Arc<Combination>,
    /// The base, whose head is computed for the classes of a probe.
    pub base: Arc<dyn Architecture>,
    /// Where the classifiers are, all of the same classes.
    pub of: Vec<Arc<dyn Weights>>,
}

impl CombinedHead {
    /// The head for candidates that have these rows in the classifiers.
    pub fn head(
        &self,
        rows: &[u32],
        candidates: &Candidates,
        made: &mut dyn FnMut(usize),
    ) -> Result<HeadRows, ModelError> {
        let base = self.base.head(&**self.base.weights(), candidates, made)?;
        let Some(start) = base.shared() else {
            let text =
                "classifiers cannot be combined by their differences to a head that depends on the image";
            return Err(ModelError::Unlike(text.to_owned()));
        };
        let of: Vec<HeadRows> =
            self.of.iter().map(|w| Classifier::head(&**w, rows)).collect::<Result<_, _>>()?;
        let weights: Vec<Tensor> = of.iter().filter_map(|head| head.shared().cloned()).collect();
        let combined = self.combination.of_values(Classifier::WEIGHT, &weights, start)?;
        if base.bias.is_none() && of.iter().all(|head| head.bias.is_none()) {
            return Ok(HeadRows::fixed(combined, None));
        }
        // As on a path, a bias that is not there is zero.
        let bias = |head: &HeadRows| match &head.bias {
            Some(bias) => Ok(bias.clone()),
            None => start.zeros_like()?.narrow(1, 0, 1)?.squeeze(1),
        };
        let of = of.iter().map(bias).collect::<candle_core::Result<Vec<_>>>();
        let (of, base) = of.and_then(|of| Ok((of, bias(&base)?))).map_err(ModelError::compute("head"))?;
        let bias = self.combination.of_values(Classifier::BIAS, &of, &base)?;
        Ok(HeadRows::fixed(combined, Some(bias)))
    }

    /// The tensors of a classifier of all classes, given the templates of the base's zero-shot head.
    pub fn whole(&self, classifier: &Classifier, templates: &[String]) -> Result<Tensors, ModelError> {
        let list = classifier.classes.clone();
        let places: Vec<usize> = (0..list.len()).collect();
        let rows: Vec<u32> = (0..list.len() as u32).collect();
        let candidates = Candidates { names: list.clone(), templates: templates.to_vec(), list, places };
        let head = self.head(&rows, &candidates, &mut |_| {})?;
        let mut tensors = Tensors::new();
        tensors.extend(head.shared().map(|rows| (Classifier::WEIGHT.to_owned(), rows.clone())));
        tensors.extend(head.bias.map(|bias| (Classifier::BIAS.to_owned(), bias)));
        Ok(tensors)
    }
}
