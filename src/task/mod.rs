//! What is asked of a model, what would be right, what was answered: the waist between data and models, made of plain
//! data. A task turns a record into a question and judges the answer.
//!
//! To add a task, write a file with a `Task` and a `TaskKind`, and list it here.

mod classify;

use std::sync::Arc;

pub use classify::{ClassRule, Classify};

use crate::base::digest::Digest;
use crate::base::registry::{Named, Registry};
use crate::data::{Example, RawImage, Record};

/// A part of a question.
#[derive(Clone, Debug)]
pub enum Piece {
    /// An image, not decoded yet.
    Image(RawImage),
    /// A text.
    Text(String),
}

/// What a model is shown, and what it is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// What it is shown, in order.
    pub prompt: Vec<Piece>,
    /// What it is asked.
    pub ask: Ask,
}

/// What a model is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// To score candidates.
    Choose(Arc<Candidates>),
}

/// Candidates that all questions of a probe share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Their names.
    pub names: Vec<String>,
    /// Texts that a name is put into; `{}` stands for it.
    pub templates: Vec<String>,
    /// The whole list that the names are taken from.
    pub list: Vec<String>,
    /// Place of each name in that list.
    pub places: Vec<usize>,
}

/// What a model answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One score (logit) for each candidate.
    Scores(Vec<f32>),
}

/// What would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This output.
    Output(u32),
}

impl Target {
    /// Place of the right output.
    #[must_use]
    pub const fn output(&self) -> u32 {
        match self {
            Self::Output(place) => *place,
        }
    }
}

/// How many of the largest logits are kept.
pub const TOP: usize = 5;

/// A judged choice: what is stored of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The output with the largest logit; the first of equals.
    pub prediction: u32,
    /// Its softmax probability.
    pub score: f32,
    /// Negative log-likelihood of the target, in nats.
    pub loss: f32,
    /// Outputs of the largest logits, best first; `u32::MAX` where there are fewer.
    pub top_classes: [u32; TOP],
    /// The largest logits.
    pub top_logits: [f32; TOP],
}

/// A task, set up for one data set.
pub trait Task: Send + Sync {
    /// What is asked of a record.
    fn question(&self, record: Record) -> Result<Question, String>;

    /// Digest of how records become prompts, whatever is asked of them: tasks that share it are read once.
    fn prompt(&self) -> Digest;

    /// What would be right; `None` where the probe does not use the example.
    fn target(&self, example: &Example) -> Option<Target>;

    /// What questions choose from.
    fn candidates(&self) -> &Arc<Candidates>;

    /// Names of what predictions and targets count.
    fn outputs(&self) -> &[String];

    /// How many different labels the data may have.
    fn known_labels(&self) -> usize;

    /// Judges an answer. `None` if a score is not a finite number.
    fn judge(&self, target: &Target, answer: &Answer) -> Option<Choice>;

    /// Digests of what predictions depend on, by what messages call it.
    fn inputs(&self) -> Vec<(&'static str, Digest)>;
}

/// A kind of task.
pub trait TaskKind: Named + Sync {}

/// All kinds of tasks.
pub static TASKS: Registry<dyn TaskKind> = Registry { kind: "task", items: &[&classify::Classification] };
