//! Distillation from the model at the start: of logits, squared or by Kullback and Leibler, and of features.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::base::config::Section;
use crate::base::registry::named_by_fields;
use crate::train::outputs::{OutputTerm, Outputs, kl};
use crate::train::parts::{Term, TermKind, factor};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    Logits,
    Distributions { temperature: f64 },
    Features,
}

/// A distillation.
pub(super) struct DistillKind {
    name: &'static str,
    summary: &'static str,
    reference: &'static str,
    of: Of,
}

/// Squared logits.
pub(super) static SQUARED: DistillKind = DistillKind {
    name: "kd-logits",
    summary: "`penalty` times the mean over examples of |z - z_start|^2, z being logits",
    reference: "arXiv:2309.06256, section 4.1",
    of: Of::Logits,
};
/// Kullback and Leibler.
pub(super) static KL: DistillKind = DistillKind {
    name: "kd-kl",
    summary: "`penalty` times T^2 KL(start || model), mean over examples, of softmax(z / T), T being `temperature` (1)",
    reference: "arXiv:1503.02531; LwF, arXiv:1606.09282",
    of: Of::Distributions { temperature: 1.0 },
};
/// Features.
pub(super) static FEATURES: DistillKind = DistillKind {
    name: "kd-features",
    summary: "`penalty` times the mean over examples of |f - f_start|^2, f being features of unit norm",
    reference: "feature distillation, arXiv:1412.6550; arXiv:2405.16027",
    of: Of::Features,
};

named_by_fields!(DistillKind);

impl TermKind for DistillKind {
    fn read(&self, section: &Section<'_>) -> Option<Term> {
        let of = match self.of {
            Of::Distributions { temperature } => {
                let given = section.number_in("temperature", 0.01..=1000.0);
                Of::Distributions { temperature: given.map_or(temperature, |t| t.value) }
            }
            other => other,
        };
        let factor = factor(section, "penalty", self.name)?;
        Some(Term::Outputs(Arc::new(Distill { name: self.name, of, factor })))
    }
}

#[derive(Debug)]
struct Distill {
    name: &'static str,
    of: Of,
    factor: f64,
}

impl OutputTerm for Distill {
    fn name(&self) -> &'static str {
        self.name
    }

    fn sum(&self, student: &Outputs, teacher: &Outputs) -> Result<Tensor> {
        let total = match self.of {
            Of::Logits => (&student.logits - &teacher.logits)?.sqr()?.sum_all()?,
            Of::Features => {
                let (Some(own), Some(start)) = (&student.features, &teacher.features) else {
                    candle_core::bail!("this model has no features to distil");
                };
                (own - start)?.sqr()?.sum_all()?
            }
            Of::Distributions { temperature } => {
                let sum =
                    kl(&(&teacher.logits / temperature)?, &(&student.logits / temperature)?)?.sum_all()?;
                (sum * (temperature * temperature))?
            }
        };
        total * self.factor
    }
}
