//! What the model writes, compared with references or scored by a scorer.

use serde_json::Value;

use super::comparison::{Comparison, rouge_l, token_f1};
use super::definition::{Definition, OutputType};
use super::document::{Columns, Prompter};
use super::filter::Filter;
use super::ifeval;
use super::kind::{Judge, LanguageKind, Prepared, right_or_wrong, verdict};
use crate::base::registry::Named;
use crate::task::{Answer, Ask, AskKind, Judged, Kept, TaskKind};

/// The kind.
pub struct GenerateUntil;

impl Named for GenerateUntil {
    fn name(&self) -> &'static str {
        "generate_until"
    }
    fn summary(&self) -> &'static str {
        "what the model writes, greedily: exact match, F1, ROUGE-L after filters, or IFEval's checks"
    }
    fn reference(&self) -> &'static str {
        "lm-evaluation-harness 0.4.13, api/task.py; arXiv:2311.07911"
    }
}

impl TaskKind for GenerateUntil {}

impl LanguageKind for GenerateUntil {
    fn output(&self) -> OutputType {
        OutputType::Generate
    }

    fn asks(&self) -> AskKind {
        AskKind::Generate
    }

    fn outputs(&self, _: usize) -> Vec<String> {
        right_or_wrong()
    }

    fn kept(&self, definition: &Definition) -> Kept {
        if definition.scorer.is_some() {
            let (numbers, lists) = (ifeval::NUMBERS.to_vec(), ifeval::LISTS.to_vec());
            return Kept { numbers, lists, text: true, hits: true };
        }
        Kept {
            numbers: vec!["exact_match", "f1", "rougeL", "tokens"],
            lists: Vec::new(),
            text: true,
            hits: true,
        }
    }

    fn prepare(&self, prompter: &mut Prompter, id: &str, document: &Columns) -> Result<Prepared, String> {
        let text = prompter.text(document)?;
        let question = text.as_str().ok_or("`doc_to_text` is no text")?.to_owned();
        let context = prompter.contexts(id, document, &[question])?.remove(0);
        let (until, limit) = (prompter.definition.until.clone(), prompter.definition.limit);
        let ask = Ask::Generate { context: (*context).clone(), until, limit };
        if prompter.definition.scorer.is_some() {
            return Ok(Prepared { ask, judge: Box::new(ifeval::Instructions::read(document)?) });
        }
        let target = prompter.target(document)?;
        let references = match (prompter.choices(document)?, target) {
            (Some(choices), target) => {
                let place = target.as_u64().and_then(|n| choices.get(n as usize).cloned());
                vec![place.ok_or_else(|| format!("the answer {target} is no choice"))?]
            }
            (None, Value::Array(all)) => all.iter().map(text_of).collect(),
            (None, other) => vec![text_of(&other)],
        };
        let definition = &prompter.definition;
        let exact = definition.metrics.iter().find(|m| m.name == "exact_match");
        let judge = References {
            references,
            filters: definition.filters.clone(),
            comparison: exact.map(Comparison::new).transpose()?.unwrap_or_default(),
        };
        Ok(Prepared { ask, judge: Box::new(judge) })
    }
}

/// As Python's `str` gives it.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

struct References {
    references: Vec<String>,
    filters: Vec<Filter>,
    comparison: Comparison,
}

impl Judge for References {
    fn judge(&self, answer: &Answer) -> Option<Judged> {
        let Answer::Text(found) = answer else { return None };
        let text = self.filters.iter().fold(found.text.clone(), |text, filter| filter.apply(&text));
        let best = |score: &dyn Fn(&str) -> f64| self.references.iter().map(|r| score(r)).fold(0.0, f64::max);
        let exact = best(&|r| f64::from(u8::from(self.comparison.equal(&text, r))));
        let (f1, rouge) = (best(&|r| token_f1(&text, r)), best(&|r| rouge_l(&text, r)));
        let choice = verdict(exact == 1.0, 1.0, 1.0 - exact);
        let numbers = vec![exact, f1, rouge, f64::from(found.tokens)];
        Some(Judged { choice, numbers, lists: Vec::new(), text: Some(found.text.clone()) })
    }
}
