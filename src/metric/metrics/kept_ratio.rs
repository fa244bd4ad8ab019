//! Ratios of sums of numbers that language tasks keep of each example: perplexities, and shares of instructions.

use std::f64::consts::LN_2;

use super::kept_mean::fits;
use crate::base::registry::Named;
use crate::metric::{Columns, Metric, Unit};
use crate::stats::Form;
use crate::task::Task;

/// A sum over another.
pub(super) struct KeptRatio {
    name: &'static str,
    above: &'static str,
    below: &'static str,
    summary: &'static str,
    /// What the ratio is divided by.
    divisor: f64,
    exponent: Option<f64>,
    unit: Unit,
    higher_is_better: bool,
}

const fn loss(
    name: &'static str,
    below: &'static str,
    exponent: Option<f64>,
    summary: &'static str,
) -> KeptRatio {
    let unit = if exponent.is_some() { Unit::Number } else { Unit::Nats };
    KeptRatio { name, above: "nats", below, summary, divisor: 1.0, exponent, unit, higher_is_better: false }
}

const fn followed(name: &'static str, above: &'static str, summary: &'static str) -> KeptRatio {
    KeptRatio {
        name,
        above,
        below: "instructions",
        summary,
        divisor: 1.0,
        exponent: None,
        unit: Unit::Fraction,
        higher_is_better: true,
    }
}

/// e to the mean loss of an example.
pub(super) static PERPLEXITY: Perplexity = Perplexity;
/// By words.
pub(super) static WORD_PERPLEXITY: KeptRatio =
    loss("word_perplexity", "words", Some(1.0), "e to the nats per word; lower is better");
/// By bytes.
pub(super) static BYTE_PERPLEXITY: KeptRatio =
    loss("byte_perplexity", "bytes", Some(1.0), "e to the nats per byte; lower is better");
/// By bytes, in bits.
pub(super) static BITS_PER_BYTE: KeptRatio = KeptRatio {
    divisor: LN_2,
    unit: Unit::Number,
    ..loss("bits_per_byte", "bytes", None, "bits per byte; lower is better")
};
/// By tokens.
pub(super) static TOKEN_LOSS: KeptRatio =
    loss("token_loss", "tokens", None, "nats per token over all examples; lower is better");
/// The geometric mean of the probability of a token.
pub(super) static INVERSE_PERPLEXITY: KeptRatio = KeptRatio {
    unit: Unit::Fraction,
    higher_is_better: true,
    ..loss(
        "inverse_perplexity",
        "tokens",
        Some(-1.0),
        "geometric mean of the probability of a token: one over the perplexity by tokens",
    )
};
/// Instructions followed.
pub(super) static INST_STRICT: KeptRatio =
    followed("inst_level_strict_acc", "followed_strict", "IFEval: share of instructions that are followed");
/// The same in the loose reading.
pub(super) static INST_LOOSE: KeptRatio = followed(
    "inst_level_loose_acc",
    "followed_loose",
    "IFEval: the same, without first or last line or asterisks if that helps",
);

impl Named for KeptRatio {
    fn name(&self) -> &'static str {
        self.name
    }
    fn summary(&self) -> &'static str {
        self.summary
    }
    fn reference(&self) -> &'static str {
        "lm-evaluation-harness 0.4.13, api/metrics.py"
    }
}

impl Metric for KeptRatio {
    fn unit(&self) -> Unit {
        self.unit
    }

    fn higher_is_better(&self) -> bool {
        self.higher_is_better
    }

    fn fits(&self, task: &dyn Task) -> Result<(), String> {
        fits(task, &[self.above, self.below])
    }

    fn form(&self, columns: &Columns) -> Option<Form> {
        let (above, below) = (columns.numbers.get(self.above)?, columns.numbers.get(self.below)?);
        let numerators = above.iter().map(|v| v / self.divisor).collect();
        let total: f64 = below.iter().sum();
        (total > 0.0).then(|| Form::RatioOfSums {
            numerators,
            denominators: below.clone(),
            exponent: self.exponent,
        })
    }
}

/// lambada's perplexity: over examples, not tokens.
pub(super) struct Perplexity;

impl Named for Perplexity {
    fn name(&self) -> &'static str {
        "perplexity"
    }
    fn summary(&self) -> &'static str {
        "e to the mean nats of an example's continuation; lower is better"
    }
    fn reference(&self) -> &'static str {
        "lm-evaluation-harness 0.4.13, api/metrics.py"
    }
}

impl Metric for Perplexity {
    fn unit(&self) -> Unit {
        Unit::Number
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn fits(&self, task: &dyn Task) -> Result<(), String> {
        fits(task, &["nats"])
    }

    fn form(&self, columns: &Columns) -> Option<Form> {
        let numerators = columns.numbers.get("nats").filter(|v| !v.is_empty())?.clone();
        let denominators = vec![1.0; numerators.len()];
        Some(Form::RatioOfSums { numerators, denominators, exponent: Some(1.0) })
    }
}
