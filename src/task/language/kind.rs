//! What the kinds of language tasks have in common.

use super::definition::{Definition, OutputType};
use super::document::{Columns, Prompter};
use crate::task::{Answer, Ask, AskKind, Choice, Judged, Kept, TOP, TaskKind};

/// One document, ready to be asked.
pub struct Prepared {
    /// What is asked.
    pub ask: Ask,
    /// What is right.
    pub judge: Box<dyn Judge>,
}

/// Knows what would be right for one document.
pub trait Judge: Send + Sync {
    /// The right output.
    fn target(&self) -> u32 {
        0
    }

    /// Judges an answer; `None` if it is not of this kind or not finite.
    fn judge(&self, answer: &Answer) -> Option<Judged>;
}

/// A kind of language tasks.
pub trait LanguageKind: TaskKind {
    /// The output type that it implements.
    fn output(&self) -> OutputType;

    /// What a model must be able to do.
    fn asks(&self) -> AskKind;

    /// Names of the outputs of a task, the longest list of choices having `most`.
    fn outputs(&self, most: usize) -> Vec<String>;

    /// What is kept of each answer.
    fn kept(&self, definition: &Definition) -> Kept;

    /// Prepares a document.
    fn prepare(&self, prompter: &mut Prompter, id: &str, document: &Columns) -> Result<Prepared, String>;
}

/// Outputs of tasks whose answers are right or wrong.
pub fn right_or_wrong() -> Vec<String> {
    vec!["right".to_owned(), "wrong".to_owned()]
}

/// The choice of an answer that is right or wrong, with its loss.
pub fn verdict(right: bool, score: f64, loss: f64) -> Choice {
    let prediction = u32::from(!right);
    let mut top_classes = [u32::MAX; TOP];
    let mut top_logits = [f32::NEG_INFINITY; TOP];
    (top_classes[0], top_classes[1]) = (prediction, 1 - prediction);
    (top_logits[0], top_logits[1]) = (1.0, 0.0);
    Choice { prediction, score: score as f32, loss: loss as f32, top_classes, top_logits }
}
