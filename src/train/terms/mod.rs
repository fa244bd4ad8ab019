//! What is added to the loss. To add a term, write a file with a `TermKind` and list it here.

mod agreement;
mod alignment;
mod distance;
mod distill;
mod drawn_path;
mod feature_path;
mod path;
mod text_anchor;

use super::parts::TermKind;
use crate::base::registry::Registry;

/// All terms.
pub static TERMS: Registry<dyn TermKind> = Registry {
    kind: "term",
    items: &[
        &agreement::AgreementKind,
        &alignment::CONTRAST,
        &drawn_path::DrawnPathKind,
        &distance::EWC,
        &feature_path::FeaturePathKind,
        &distill::FEATURES,
        &distill::KL,
        &distill::SQUARED,
        &distance::L1,
        &distance::L2,
        &path::PathKind,
        &alignment::SIMILARITY,
        &text_anchor::TextAnchorKind,
    ],
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candle_core::{Device, Result, Tensor, Var};

    use super::*;
    use crate::base::config::Document;
    use crate::train::outputs::Outputs;
    use crate::train::parts::Term;

    /// Some values of f64, far from 0 where an absolute value bends.
    fn values(shape: (usize, usize), phase: f64) -> Tensor {
        let all: Vec<f64> = (0..shape.0 * shape.1).map(|i| (i as f64 * 1.37 + phase).sin() + 0.013).collect();
        Tensor::from_vec(all, shape, &Device::Cpu).unwrap()
    }

    /// The largest difference between a gradient and central differences of `loss`, value by value of `at`.
    fn off(at: &Var, gradient: &Tensor, loss: &dyn Fn() -> Result<f64>) -> f64 {
        const STEP: f64 = 1e-5;
        let start = at.as_tensor().copy().unwrap();
        let flat = start.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let right = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let mut worst = 0.0f64;
        for (i, right) in right.iter().enumerate() {
            let side = |step: f64| {
                let mut moved = flat.clone();
                moved[i] += step;
                at.set(&Tensor::from_vec(moved, start.dims(), &Device::Cpu).unwrap()).unwrap();
                loss().unwrap()
            };
            worst = worst.max(((side(STEP) - side(-STEP)) / (2.0 * STEP) - right).abs());
        }
        at.set(&start).unwrap();
        worst
    }

    /// Of outputs: what the term says of logits, features and rows, and what candle derives.
    fn of_outputs(name: &str, term: &dyn crate::train::outputs::OutputTerm) -> f64 {
        let targets = Tensor::new(&[0u32, 2, 1], &Device::Cpu).unwrap();
        let parts = [values((3, 4), 0.1), values((3, 5), 0.7), values((4, 5), 1.9), values((3, 5), 2.9)];
        let vars = parts.map(|t| Var::from_tensor(&t).unwrap());
        let outputs = |[logits, features, classes, captions]: [Tensor; 4], tuned| Outputs {
            logits,
            features: Some(features),
            classes: Some(classes),
            captions: Some(captions),
            tuned,
            scale: 3.0,
            targets: targets.clone(),
        };
        let start = [values((3, 4), 2.3), values((3, 5), 3.1), values((4, 5), 4.7), values((3, 5), 5.3)];
        let teacher = outputs(start, Some(values((4, 5), 0.4)));
        let sum = || term.sum(&outputs(vars.each_ref().map(|v| v.as_tensor().clone()), None), &teacher);
        let gradients = sum().unwrap().backward().unwrap();
        let moved = vars.iter().filter_map(|v| Some((v, gradients.get(v.as_tensor())?)));
        let all: Vec<f64> = moved.map(|(v, g)| off(v, g, &|| sum()?.to_scalar::<f64>())).collect();
        assert!(!all.is_empty(), "{name} depends on nothing");
        all.into_iter().fold(0.0, f64::max)
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for kind in TERMS.items {
            let text = "penalty = 0.7\ntemperature = 2.0\n".to_owned();
            let document = Document::from_text(Path::new("term.toml"), text);
            let table = document.parse().unwrap();
            let term = kind.read(&document.root(table.get_ref())).unwrap();
            let worst = match &term {
                Term::Outputs(term) => of_outputs(kind.name(), &**term),
                Term::Weights(term) => {
                    let (var, start) = (Var::from_tensor(&values((3, 4), 0.5)).unwrap(), values((3, 4), 2.6));
                    let importance = values((3, 4), 1.1).abs().unwrap();
                    let of = || term.of(&var.as_tensor().detach(), &start, Some(&importance));
                    off(&var, &of().unwrap().1, &|| Ok(of()?.0))
                }
                // The task's own loss, elsewhere.
                Term::Path(_) | Term::Drawn(_) => continue,
            };
            assert!(worst < 1e-6, "{}: {worst}", kind.name());
        }
    }
}
