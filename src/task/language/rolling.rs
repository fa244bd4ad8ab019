//! How likely a whole text is: perplexity by words, bytes and tokens.

use super::definition::{Definition, OutputType};
use super::document::{Columns, Prompter};
use super::kind::{Judge, LanguageKind, Prepared, right_or_wrong, verdict};
use crate::base::registry::Named;
use crate::task::{Answer, Ask, AskKind, Judged, Kept, TaskKind};

/// The kind.
pub struct Rolling;

impl Named for Rolling {
    fn name(&self) -> &'static str {
        "loglikelihood_rolling"
    }
    fn summary(&self) -> &'static str {
        "how likely a whole text is, each token predicted once from as much as the model reads"
    }
    fn reference(&self) -> &'static str {
        "lm-evaluation-harness 0.4.13, api/task.py, utils.get_rolling_token_windows"
    }
}

impl TaskKind for Rolling {}

impl LanguageKind for Rolling {
    fn output(&self) -> OutputType {
        OutputType::Rolling
    }

    fn asks(&self) -> AskKind {
        AskKind::Likelihood
    }

    fn outputs(&self, _: usize) -> Vec<String> {
        right_or_wrong()
    }

    fn kept(&self, _: &Definition) -> Kept {
        Kept {
            numbers: vec!["nats", "tokens", "words", "bytes"],
            lists: Vec::new(),
            text: false,
            hits: false,
        }
    }

    fn prepare(&self, prompter: &mut Prompter, _: &str, document: &Columns) -> Result<Prepared, String> {
        let target = prompter.target(document)?;
        let text = target.as_str().ok_or("`doc_to_target` is no text")?.to_owned();
        let counted = prompter.counted(document)?.unwrap_or_else(|| text.clone());
        let judge = Whole { words: words(&counted) as f64, bytes: counted.len() as f64 };
        Ok(Prepared { ask: Ask::Rolling(text), judge: Box::new(judge) })
    }
}

/// As many as `re.split(r"\s+", text)` gives: stretches of white space, and one.
fn words(text: &str) -> usize {
    let mut inside = false;
    let starts = text.chars().filter(|c| {
        let start = c.is_whitespace() && !inside;
        inside = c.is_whitespace();
        start
    });
    starts.count() + 1
}

struct Whole {
    words: f64,
    bytes: f64,
}

impl Judge for Whole {
    fn judge(&self, answer: &Answer) -> Option<Judged> {
        let Answer::Likelihoods(all) = answer else { return None };
        let nats: f64 = all.iter().map(|l| -l.nats).sum();
        let tokens: f64 = all.iter().map(|l| f64::from(l.tokens)).sum();
        if !nats.is_finite() {
            return None;
        }
        let choice = verdict(true, (-nats / tokens).exp(), nats);
        let numbers = vec![nats, tokens, self.words, self.bytes];
        Some(Judged { choice, numbers, lists: Vec::new(), text: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_as_python_splits_them() {
        for (text, right) in [("a b", 2), (" a  b\n", 4), ("", 1), ("one", 1)] {
            assert_eq!(words(text), right, "{text:?}");
        }
    }
}
