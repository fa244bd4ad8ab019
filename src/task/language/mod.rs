//! Tasks for language models, defined by data files with lm-eval's field names and Jinja templates.
//!
//! A kind of tasks is a file with a [`LanguageKind`] and a line in `KINDS`.

mod comparison;
mod definition;
mod document;
mod few_shot;
mod filter;
mod generate;
pub mod ifeval;
mod kind;
mod loglikelihood;
mod multiple_choice;
mod python;
mod rolling;
mod template;

use std::sync::Arc;

pub use comparison::{rouge_l, token_f1};
pub use definition::{Definition, Field, OutputType, TaskFileError};
pub use document::{Columns, Setting};
pub use kind::LanguageKind;

use document::Prompter;
use kind::Prepared;

use super::{Answer, AskKind, Candidates, Judged, Kept, Question, Task};
use crate::base::digest::Digest;
use crate::data::{Example, Record};

/// The kinds of language tasks.
pub(super) static MULTIPLE_CHOICE: multiple_choice::MultipleChoice = multiple_choice::MultipleChoice;
/// One continuation.
pub(super) static LOGLIKELIHOOD: loglikelihood::Loglikelihood = loglikelihood::Loglikelihood;
/// A whole text.
pub(super) static ROLLING: rolling::Rolling = rolling::Rolling;
/// What the model writes.
pub(super) static GENERATE: generate::GenerateUntil = generate::GenerateUntil;

/// All kinds.
static KINDS: [&dyn LanguageKind; 4] = [&MULTIPLE_CHOICE, &LOGLIKELIHOOD, &ROLLING, &GENERATE];

fn kind_of(output: OutputType) -> &'static dyn LanguageKind {
    KINDS.into_iter().find(|k| k.output() == output).expect("every output type has its kind")
}

/// A task with its documents, ready to be asked.
pub struct LanguageTask {
    definition: Arc<Definition>,
    kind: &'static dyn LanguageKind,
    chat: bool,
    documents: Vec<Prepared>,
    outputs: Vec<String>,
    inputs: Digest,
    prompt: Digest,
}

impl LanguageTask {
    /// Prepares documents, in order; `ids` name them in messages and in draws of examples. `pool` holds what few-shot
    /// examples are drawn from, and `pool_digest` identifies it.
    pub fn new(
        definition: Arc<Definition>,
        setting: Setting,
        documents: &[(String, Columns)],
        pool: (Vec<Columns>, Option<Digest>),
    ) -> Result<Self, String> {
        let kind = kind_of(definition.output);
        let chat = setting.chat;
        let key = (&definition.digest, setting.few_shot, chat, &setting.system, setting.parity, &pool.1);
        let inputs = Digest::of_value(&key);
        // A pass asks what all its probes ask: those that have other documents are passes of their own.
        let prompt = Digest::of_value(&(&inputs, documents.len()));
        let mut prompter = Prompter::new(Arc::clone(&definition), setting, pool.0)?;
        let prepare = |(id, document): &(String, Columns)| {
            kind.prepare(&mut prompter, id, document).map_err(|e| format!("document `{id}`: {e}"))
        };
        let documents: Vec<Prepared> = documents.iter().map(prepare).collect::<Result<_, _>>()?;
        let most = documents.iter().map(|d| choices(&d.ask)).max().unwrap_or(0);
        Ok(Self { outputs: kind.outputs(most), definition, kind, chat, documents, inputs, prompt })
    }

    /// Whether each document has several choices, one of them right.
    #[must_use]
    pub fn asks_choices(&self) -> bool {
        self.definition.output == OutputType::MultipleChoice
    }

    /// What the task's file says.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }
}

fn choices(ask: &super::Ask) -> usize {
    match ask {
        super::Ask::Likelihood(requests) => requests.len(),
        _ => 0,
    }
}

impl Task for LanguageTask {
    fn question(&self, position: usize, _: Record) -> Result<Question, String> {
        let document = self.documents.get(position).ok_or("the document was not prepared")?;
        Ok(Question { prompt: Vec::new(), ask: document.ask.clone() })
    }

    fn asks(&self) -> AskKind {
        if self.chat { AskKind::Chat } else { self.kind.asks() }
    }

    fn kept(&self) -> Kept {
        self.kind.kept(&self.definition)
    }

    fn prompt(&self) -> Digest {
        self.prompt.clone()
    }

    fn target(&self, position: usize, _: &Example) -> Option<u32> {
        self.documents.get(position).map(|d| d.judge.target())
    }

    fn candidates(&self) -> Option<&Arc<Candidates>> {
        None
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn known_labels(&self) -> usize {
        usize::MAX
    }

    fn judge(&self, position: usize, _: u32, answer: &Answer) -> Option<Judged> {
        self.documents.get(position)?.judge.judge(answer)
    }

    fn inputs(&self) -> Vec<(&'static str, Digest)> {
        vec![("task", self.inputs.clone())]
    }
}
