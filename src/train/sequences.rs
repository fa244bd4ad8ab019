//! Training texts: token sequences whose ends are to be learned, from the same task files that evaluate.

use std::ops::Range;
use std::sync::Arc;

use super::inputs::{OpenData, open_data};
use super::problem::Use;
use super::{Recipe, TrainError};
use crate::base::digest::Digest;
use crate::catalog::Catalog;
use crate::data::Record;
use crate::model::lm::{Scored, Sequences, TextReader};
use crate::model::{Input, Reader as _, Reading};
use crate::task::Task as _;
use crate::task::language::{Columns, LanguageTask, Setting};

/// Every example of a recipe's data: prompt and target, the target scored.
pub struct TrainingTexts {
    /// One sequence each.
    pub all: Vec<Scored>,
    /// Examples of each data set, and what they are for.
    pub parts: Vec<(Range<usize>, Use)>,
    /// Digest of each data set's files.
    pub digests: Vec<Digest>,
}

impl TrainingTexts {
    /// Reads the data. Of a multiple-choice task the right choice is the target.
    pub fn load(recipe: &Recipe, catalog: &Catalog, reader: &TextReader) -> Result<Self, TrainError> {
        let (mut all, mut parts, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        for (part, purpose) in recipe.all_data() {
            let file = part.task.as_ref().ok_or_else(|| {
                recipe.mistake(format!(
                    "data set `{}` needs a `task`, which says what is learned",
                    part.dataset
                ))
            })?;
            let wrong = |reason: String| recipe.mistake(format!("task `{file}`: {reason}"));
            let OpenData { open, definition, .. } = open_data(recipe, part, catalog)?;
            let definition = definition.ok_or_else(|| wrong("it cannot be read".to_owned()))?;
            let data = open.data;
            let records = data.read(0..data.examples().len())?;
            let ids = data.examples().iter().map(|e| e.id.clone());
            let documents: Vec<(String, Columns)> =
                ids.zip(records.into_iter().map(Record::into_document)).collect();
            // Demonstrations come from the training data themselves (FTICL, arXiv:2403.09162).
            let shown = part.few_shot.unwrap_or(0);
            let setting = Setting { few_shot: Some(shown), chat: part.chat, ..Setting::default() };
            let mut pool = (Vec::new(), None);
            if shown > 0 {
                pool = (documents.iter().map(|d| d.1.clone()).collect(), Some(open.digest.clone()));
            }
            let task = LanguageTask::new(Arc::new(definition), setting, &documents, pool);
            let task = task.map_err(wrong)?;
            let first = all.len();
            for (i, example) in data.examples().iter().enumerate() {
                let question = task.question(i, Record::default()).map_err(wrong)?;
                let reading = Reading { most_pixels: 0, border: 0 };
                let Input::Score(Sequences { all: mut found, .. }) =
                    reader.read(question, reading).map_err(wrong)?
                else {
                    return Err(wrong("it generates; only likelihoods can be learned".to_owned()));
                };
                if found.len() > 1 && task.asks_choices() {
                    let right = task.target(i, example).unwrap_or(0) as usize;
                    found = vec![found.swap_remove(right)];
                }
                all.extend(found.into_iter().map(|s| shortened(s, recipe.length)));
            }
            parts.push((first..all.len(), purpose));
            digests.push(open.digest);
        }
        if all.is_empty() {
            return Err(recipe.mistake("no training example"));
        }
        Ok(Self { all, parts, digests })
    }
}

/// At most so many tokens: the end of a long target goes, then the beginning of a long prompt.
fn shortened(mut sequence: Scored, length: Option<usize>) -> Scored {
    let Some(length) = length.filter(|&l| l < sequence.tokens.len()) else { return sequence };
    let prompt = sequence.tokens.len() - sequence.scored;
    let kept = prompt.min(length / 2);
    sequence.tokens.drain(..prompt - kept);
    sequence.tokens.truncate(length);
    sequence.scored = sequence.tokens.len() - kept;
    sequence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sequences_lose_the_end_of_their_target_first() {
        let sequence = |n: u32, scored| Scored { tokens: (0..n).collect(), scored };
        assert_eq!(shortened(sequence(10, 6), Some(8)), Scored { tokens: (0..8).collect(), scored: 4 });
        assert_eq!(shortened(sequence(10, 2), Some(4)), Scored { tokens: vec![6, 7, 8, 9], scored: 2 });
        assert_eq!(shortened(sequence(3, 2), None), sequence(3, 2));
    }
}
