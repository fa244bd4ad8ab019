//! How likely one continuation is: the next word (lambada), or the answer to an instruction.

use super::definition::{Definition, OutputType};
use super::document::{Columns, Prompter};
use super::kind::{Judge, LanguageKind, Prepared, right_or_wrong, verdict};
use crate::base::registry::Named;
use crate::task::{Answer, Ask, AskKind, Judged, Kept, Request, TaskKind};

/// The kind.
pub struct Loglikelihood;

impl Named for Loglikelihood {
    fn name(&self) -> &'static str {
        "loglikelihood"
    }
    fn summary(&self) -> &'static str {
        "how likely a given continuation is, and whether greedy generation would give it"
    }
    fn reference(&self) -> &'static str {
        "lm-evaluation-harness 0.4.13, api/task.py"
    }
}

impl TaskKind for Loglikelihood {}

impl LanguageKind for Loglikelihood {
    fn output(&self) -> OutputType {
        OutputType::Loglikelihood
    }

    fn asks(&self) -> AskKind {
        AskKind::Likelihood
    }

    fn outputs(&self, _: usize) -> Vec<String> {
        right_or_wrong()
    }

    fn kept(&self, _: &Definition) -> Kept {
        Kept { numbers: vec!["acc", "nats", "tokens"], lists: Vec::new(), text: false, hits: true }
    }

    fn prepare(&self, prompter: &mut Prompter, id: &str, document: &Columns) -> Result<Prepared, String> {
        let text = prompter.text(document)?;
        let question = text.as_str().ok_or("`doc_to_text` is no text")?.to_owned();
        let target = prompter.target(document)?;
        let continuation = target.as_str().ok_or("`doc_to_target` is no text")?.to_owned();
        let context = prompter.contexts(id, document, &[question])?.remove(0);
        let ask = Ask::Likelihood(vec![Request { context, continuation }]);
        Ok(Prepared { ask, judge: Box::new(Continuation) })
    }
}

struct Continuation;

impl Judge for Continuation {
    fn judge(&self, answer: &Answer) -> Option<Judged> {
        let Answer::Likelihoods(all) = answer else { return None };
        let [one] = &all[..] else { return None };
        let (nats, tokens) = (-one.nats, f64::from(one.tokens));
        if !nats.is_finite() {
            return None;
        }
        let greedy = f64::from(u8::from(one.greedy));
        let choice = verdict(one.greedy, (-nats / tokens).exp(), nats);
        Some(Judged { choice, numbers: vec![greedy, nats, tokens], lists: Vec::new(), text: None })
    }
}
