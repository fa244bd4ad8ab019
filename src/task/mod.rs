//! What is asked of a model, what would be right, what was answered: the waist between data and models, made of plain
//! data. A task turns a record into a question and judges the answer.
//!
//! To add a task, write a file with a `Task` and a `TaskKind`, and list it here.

mod classify;
pub mod language;

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
    /// How likely some continuations are.
    Likelihood(Vec<Request>),
    /// How likely a whole text is, token by token.
    Rolling(String),
    /// To continue a text, always by the likeliest token.
    Generate {
        /// What it continues.
        context: Context,
        /// Texts that end the continuation.
        until: Vec<String>,
        /// New tokens at most.
        limit: usize,
    },
}

/// What a model must be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskKind {
    /// Score shared candidates.
    Choose,
    /// Score continuations or whole texts.
    Likelihood,
    /// Continue texts.
    Generate,
    /// Read conversations.
    Chat,
}

/// One continuation of a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What comes before.
    pub context: Arc<Context>,
    /// What is scored.
    pub continuation: String,
}

/// What comes before a continuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Context {
    /// A text; the first part is shared by many questions (description, few-shot examples).
    Text {
        /// Shared part.
        shared: String,
        /// The question's own.
        own: String,
    },
    /// A conversation, which the checkpoint's template makes a text of.
    Chat {
        /// The messages.
        messages: Vec<Message>,
        /// The beginning of the answer.
        prefix: String,
    },
}

impl Context {
    /// What a reader of results sees.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Text { shared, own } => format!("{shared}{own}"),
            Self::Chat { messages, prefix } => {
                let all = messages.iter().map(|m| format!("[{}] {}\n", m.role.name(), m.text));
                all.chain(std::iter::once(prefix.clone())).collect()
            }
        }
    }
}

/// Who says something in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The instructions before it.
    System,
    /// Who asks.
    User,
    /// Who answers.
    Assistant,
}

impl Role {
    /// As chat templates call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: String,
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
    /// One for each continuation, or each window of a whole text.
    Likelihoods(Vec<Likelihood>),
    /// A continuation.
    Text(Generated),
}

impl Answer {
    /// Scores made of these and another model's of the same candidates; none if there are no scores.
    #[must_use]
    pub fn blend(&self, other: &Self, both: impl Fn(&[f32], &[f32]) -> Vec<f32>) -> Option<Self> {
        match (self, other) {
            (Self::Scores(a), Self::Scores(b)) if a.len() == b.len() => Some(Self::Scores(both(a, b))),
            _ => None,
        }
    }
}

/// How likely a continuation is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// Log-likelihood, in nats.
    pub nats: f64,
    /// Its tokens.
    pub tokens: u32,
    /// Whether each token is the likeliest one.
    pub greedy: bool,
}

/// A generated text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The text, without what ended it.
    pub text: String,
    /// Its tokens.
    pub tokens: u32,
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

/// What is stored of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The choice; of a text or a likelihood, output 0 if it is right, 1 if not.
    pub choice: Choice,
    /// Numbers that metrics read, in the order of [`Kept::numbers`].
    pub numbers: Vec<f64>,
    /// Lists of one length, in the order of [`Kept::lists`].
    pub lists: Vec<Vec<f64>>,
    /// The text, if it is one.
    pub text: Option<String>,
}

impl From<Choice> for Judged {
    fn from(choice: Choice) -> Self {
        Self { choice, numbers: Vec::new(), lists: Vec::new(), text: None }
    }
}

/// Names of what a task keeps of each answer besides the choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Numbers, one an example.
    pub numbers: Vec<&'static str>,
    /// Lists, one value for each choice of an example.
    pub lists: Vec<&'static str>,
    /// Whether there is a text.
    pub text: bool,
    /// Whether an answer is right or wrong.
    pub hits: bool,
}

/// A task, set up for one data set.
pub trait Task: Send + Sync {
    /// What is asked of the example at a position.
    fn question(&self, position: usize, record: Record) -> Result<Question, String>;

    /// What a model must be able to do.
    fn asks(&self) -> AskKind;

    /// What is kept of each answer besides the choice.
    fn kept(&self) -> Kept {
        Kept { hits: true, ..Kept::default() }
    }

    /// Digest of how records become prompts, whatever is asked of them: tasks that share it are read once.
    fn prompt(&self) -> Digest;

    /// The right output; `None` where the probe does not use the example.
    fn target(&self, position: usize, example: &Example) -> Option<u32>;

    /// What questions choose from, if they all choose from the same.
    fn candidates(&self) -> Option<&Arc<Candidates>>;

    /// Names of what predictions and targets count.
    fn outputs(&self) -> &[String];

    /// How many different labels the data may have.
    fn known_labels(&self) -> usize;

    /// Judges an answer to the example at a position, whose right output is `target`. `None` if a score is not a finite
    /// number.
    fn judge(&self, position: usize, target: u32, answer: &Answer) -> Option<Judged>;

    /// Digests of what predictions depend on, by what messages call it.
    fn inputs(&self) -> Vec<(&'static str, Digest)>;
}

/// A kind of task.
pub trait TaskKind: Named + Sync {}

/// All kinds of tasks.
pub static TASKS: Registry<dyn TaskKind> = Registry {
    kind: "task",
    items: &[
        &classify::Classification,
        &language::GENERATE,
        &language::LOGLIKELIHOOD,
        &language::ROLLING,
        &language::MULTIPLE_CHOICE,
    ],
};
