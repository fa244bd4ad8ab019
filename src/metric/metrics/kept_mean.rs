//! Means of numbers that language tasks keep of each example.

use crate::base::registry::Named;
use crate::metric::{Columns, Metric};
use crate::stats::Form;
use crate::task::Task;

/// The mean of one kept number.
pub(super) struct KeptMean {
    name: &'static str,
    /// Name of the number.
    number: &'static str,
    summary: &'static str,
    /// Whether it is 0 or 1.
    hits: bool,
}

const fn of_hits(name: &'static str, number: &'static str, summary: &'static str) -> KeptMean {
    KeptMean { name, number, summary, hits: true }
}

/// Accuracy by log-likelihood; of one continuation, whether it is the greedy one.
pub(super) static ACC: KeptMean = of_hits("acc", "acc", "share of examples whose likeliest choice is right");
/// By log-likelihood per character.
pub(super) static ACC_NORM: KeptMean =
    of_hits("acc_norm", "acc_norm", "accuracy by log-likelihood over the characters of each choice");
/// By log-likelihood per byte.
pub(super) static ACC_BYTES: KeptMean =
    of_hits("acc_bytes", "acc_bytes", "accuracy by log-likelihood over the UTF-8 bytes of each choice");
/// By what the context adds.
pub(super) static ACC_MUTUAL: KeptMean = of_hits(
    "acc_mutual_info",
    "acc_mutual_info",
    "accuracy by log-likelihood less that of the choice without context",
);
/// Generated texts that are the reference.
pub(super) static EXACT_MATCH: KeptMean =
    of_hits("exact_match", "exact_match", "share of generated texts that equal a reference");
/// All instructions of a prompt followed.
pub(super) static PROMPT_STRICT: KeptMean = of_hits(
    "prompt_level_strict_acc",
    "prompt_strict",
    "IFEval: share of prompts all of whose instructions are followed",
);
/// The same in the loose reading.
pub(super) static PROMPT_LOOSE: KeptMean = of_hits(
    "prompt_level_loose_acc",
    "prompt_loose",
    "IFEval: the same, without first or last line or asterisks if that helps",
);
/// Words in common.
pub(super) static F1: KeptMean = KeptMean {
    name: "f1",
    number: "f1",
    summary: "mean F1 of the words of generated text and reference",
    hits: false,
};
/// Longest common subsequence.
pub(super) static ROUGE_L: KeptMean = KeptMean {
    name: "rougeL",
    number: "rougeL",
    summary: "mean F1 of the longest common subsequence of words",
    hits: false,
};

impl Named for KeptMean {
    fn name(&self) -> &'static str {
        self.name
    }
    fn summary(&self) -> &'static str {
        self.summary
    }
    fn reference(&self) -> &'static str {
        "lm-evaluation-harness 0.4.13"
    }
}

impl Metric for KeptMean {
    fn is_of_hits(&self) -> bool {
        self.hits
    }

    fn fits(&self, task: &dyn Task) -> Result<(), String> {
        fits(task, &[self.number])
    }

    fn form(&self, columns: &Columns) -> Option<Form> {
        columns.numbers.get(self.number).filter(|v| !v.is_empty()).map(|values| Form::Mean(values.clone()))
    }
}

/// Whether a task keeps some numbers.
pub(super) fn fits(task: &dyn Task, numbers: &[&str]) -> Result<(), String> {
    let kept = task.kept().numbers;
    match numbers.iter().find(|n| !kept.contains(n)) {
        Some(missing) => Err(format!("its task keeps no `{missing}`")),
        None => Ok(()),
    }
}
