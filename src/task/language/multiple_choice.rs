//! Multiple choice by log-likelihood (lm-eval 0.4.13, `ConfigurableTask.process_results`).

use serde_json::Value;

use super::definition::{Definition, OutputType};
use super::document::{Columns, Prompter};
use super::kind::{Judge, LanguageKind, Prepared};
use crate::base::registry::Named;
use crate::task::classify::choice;
use crate::task::{Answer, Ask, AskKind, Context, Judged, Kept, Request, TaskKind};

/// The kind.
pub struct MultipleChoice;

impl Named for MultipleChoice {
    fn name(&self) -> &'static str {
        "multiple_choice"
    }
    fn summary(&self) -> &'static str {
        "the likeliest of some continuations, or of some contexts of one continuation"
    }
    fn reference(&self) -> &'static str {
        "lm-evaluation-harness 0.4.13, api/task.py"
    }
}

impl TaskKind for MultipleChoice {}

/// Letters name the outputs.
fn letter(i: usize) -> String {
    char::from_u32('A' as u32 + i as u32)
        .filter(char::is_ascii_uppercase)
        .map_or_else(|| i.to_string(), String::from)
}

fn has_mutual(definition: &Definition) -> bool {
    definition.metrics.iter().any(|m| m.name == "acc_mutual_info")
}

impl LanguageKind for MultipleChoice {
    fn output(&self) -> OutputType {
        OutputType::MultipleChoice
    }

    fn asks(&self) -> AskKind {
        AskKind::Likelihood
    }

    fn outputs(&self, most: usize) -> Vec<String> {
        (0..most).map(letter).collect()
    }

    fn kept(&self, definition: &Definition) -> Kept {
        let mut kept = Kept {
            numbers: vec!["acc", "acc_norm", "acc_bytes", "gold_greedy"],
            lists: vec!["loglikelihoods", "tokens", "characters", "bytes"],
            text: false,
            hits: true,
        };
        if has_mutual(definition) {
            kept.numbers.push("acc_mutual_info");
            kept.lists.push("unconditional");
        }
        kept
    }

    fn prepare(&self, prompter: &mut Prompter, id: &str, document: &Columns) -> Result<Prepared, String> {
        let choices = prompter.choices(document)?.ok_or("the task has no choices")?;
        let (text, target) = (prompter.text(document)?, prompter.target(document)?);
        let delimiter = prompter.delimiter().to_owned();
        let (mut requests, gold) = if text.is_number() {
            // The choices are contexts, and what follows is the same for all.
            let contexts = prompter.contexts(id, document, &choices)?;
            let target = target.as_str().ok_or("`doc_to_target` is no text")?;
            let request = |context| Request { context, continuation: format!("{delimiter}{target}") };
            (contexts.into_iter().map(request).collect::<Vec<_>>(), text)
        } else {
            let question = text.as_str().ok_or("`doc_to_text` is no text")?.to_owned();
            let context = prompter.contexts(id, document, &[question])?.remove(0);
            let request =
                |c: &String| Request { context: context.clone(), continuation: format!("{delimiter}{c}") };
            (choices.iter().map(request).collect(), target)
        };
        let gold = places(&gold, &choices)?;
        let mutual = has_mutual(&prompter.definition);
        if mutual {
            let nothing = std::sync::Arc::new(Context::Text { shared: String::new(), own: String::new() });
            let alone =
                |c: &String| Request { context: nothing.clone(), continuation: format!("{delimiter}{c}") };
            requests.extend(choices.iter().map(alone));
        }
        let judge = Choices {
            gold,
            characters: choices.iter().map(|c| c.chars().count() as f64).collect(),
            bytes: choices.iter().map(|c| c.len() as f64).collect(),
            mutual,
        };
        Ok(Prepared { ask: Ask::Likelihood(requests), judge: Box::new(judge) })
    }
}

/// Places of the right choices.
fn places(gold: &Value, choices: &[String]) -> Result<Vec<usize>, String> {
    let one = |value: &Value| {
        let place = match value {
            Value::String(text) => choices.iter().position(|c| c == text),
            other => other.as_u64().map(|n| n as usize).filter(|&n| n < choices.len()),
        };
        place.ok_or_else(|| format!("the answer {value} is none of the {} choices", choices.len()))
    };
    let all = match gold {
        Value::Array(all) => all.iter().map(one).collect::<Result<Vec<_>, _>>()?,
        other => vec![one(other)?],
    };
    if all.is_empty() { Err("there is no right choice".to_owned()) } else { Ok(all) }
}

struct Choices {
    gold: Vec<usize>,
    characters: Vec<f64>,
    bytes: Vec<f64>,
    mutual: bool,
}

/// The first of the largest.
fn largest(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (i, value) in values.enumerate() {
        if value > best.1 {
            best = (i, value);
        }
    }
    best.0
}

impl Judge for Choices {
    fn target(&self) -> u32 {
        self.gold[0] as u32
    }

    fn judge(&self, answer: &Answer) -> Option<Judged> {
        let Answer::Likelihoods(all) = answer else { return None };
        let n = self.characters.len();
        let (own, alone) = all.split_at_checked(n)?;
        if alone.len() != if self.mutual { n } else { 0 } {
            return None;
        }
        let nats: Vec<f64> = own.iter().map(|l| l.nats).collect();
        let logits: Vec<f32> = nats.iter().map(|&v| v as f32).collect();
        let mut found = choice(self.target(), &logits)?;
        let hit = |place: usize| f64::from(u8::from(self.gold.contains(&place)));
        let best = largest(nats.iter().copied());
        // Of several right choices any is right; the first stands for all.
        found.prediction = if self.gold.contains(&best) { self.target() } else { best as u32 };
        let by = |lengths: &[f64]| hit(largest(nats.iter().zip(lengths).map(|(v, l)| v / l)));
        let greedy = self.gold.iter().any(|&g| own[g].greedy);
        let mut numbers = vec![hit(best), by(&self.characters), by(&self.bytes), f64::from(u8::from(greedy))];
        let tokens = own.iter().map(|l| f64::from(l.tokens)).collect();
        let mut lists = vec![nats.clone(), tokens, self.characters.clone(), self.bytes.clone()];
        if self.mutual {
            let less = nats.iter().zip(alone).map(|(v, a)| v - a.nats);
            numbers.push(hit(largest(less)));
            lists.push(alone.iter().map(|a| a.nats).collect());
        }
        Some(Judged { choice: found, numbers, lists, text: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Likelihood;

    #[test]
    fn four_accuracies_by_hand() {
        // -4 / 2 = -2, -6 / 6 = -1, -5 / 2: by the sum the first, by characters the second.
        let judge = Choices {
            gold: vec![1],
            characters: vec![2.0, 6.0, 2.0],
            bytes: vec![2.0, 2.0, 4.0],
            mutual: true,
        };
        let l = |nats| Likelihood { nats, tokens: 1, greedy: false };
        let all = vec![l(-4.0), l(-6.0), l(-5.0), l(-1.0), l(-9.0), l(-5.0)];
        let judged = judge.judge(&Answer::Likelihoods(all)).unwrap();
        // By bytes -2, -3, -1.25; less the unconditional ones -3, 3, 0.
        assert_eq!(judged.numbers, [0.0, 1.0, 0.0, 0.0, 1.0]);
        assert_eq!(judged.choice.prediction, 0);
        let right = 2.0 + (1.0f32 + (-2.0f32).exp() + (-1.0f32).exp()).ln();
        assert!((judged.choice.loss - right).abs() < 1e-6);
        let nan = vec![l(f64::NAN), l(0.0), l(0.0), l(0.0), l(0.0), l(0.0)];
        assert!(judge.judge(&Answer::Likelihoods(nan)).is_none());
    }

    #[test]
    fn answers_are_places_letters_or_lists() {
        let choices = ["A".to_owned(), "B".to_owned()];
        assert_eq!(places(&"B".into(), &choices).unwrap(), [1]);
        assert_eq!(places(&serde_json::json!([0, 1]), &choices).unwrap(), [0, 1]);
        assert!(places(&2.into(), &choices).unwrap_err().contains("none of the 2 choices"));
    }
}
