//! Reads questions of texts: token sequences to score, or a prompt to continue.

use std::sync::Arc;

use serde_json::json;

use super::encoding::{fit, pair, rolling};
use super::forest::{Scored, Sequences};
use super::tokenizer::LanguageTokenizer;
use crate::base::digest::Digest;
use crate::model::{Input, Kept, Reader, Reading};
use crate::task::{Ask, Context, Question};

/// A prompt that is continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Texts that end the continuation.
    pub until: Vec<String>,
    /// New tokens at most.
    pub limit: usize,
}

/// Shared leading tokens that are fewer are not worth a segment of their own.
const WORTH: usize = 16;

/// Tokenizes, and renders conversations by the checkpoint's template.
pub struct TextReader {
    /// The tokenizer.
    pub tokenizer: Arc<LanguageTokenizer>,
    /// Positions of the model.
    pub length: usize,
}

impl TextReader {
    fn text(&self, context: &Context) -> Result<String, String> {
        match context {
            Context::Text { shared, own } => Ok(format!("{shared}{own}")),
            Context::Chat { messages, prefix } => {
                let template = self.tokenizer.chat.as_ref().ok_or("the checkpoint has no chat template")?;
                let special = |t: &Option<(u32, String)>| t.as_ref().map(|t| t.1.clone()).unwrap_or_default();
                let (bos, eos) = (special(&self.tokenizer.bos), special(&self.tokenizer.eos));
                Ok(template.render(messages, &bos, &eos, true)? + prefix)
            }
        }
    }

    /// How many leading tokens of all sequences come from what the contexts share with other questions.
    fn prefix(&self, contexts: &[&Context], all: &[Scored]) -> Result<usize, String> {
        let mut shared: Option<&str> = None;
        for context in contexts {
            let Context::Text { shared: text, .. } = context else { return Ok(0) };
            if *shared.get_or_insert(text) != text {
                return Ok(0);
            }
        }
        let Some(text) = shared.filter(|t| !t.is_empty()) else { return Ok(0) };
        let tokens = self.tokenizer.encode(text).map_err(|e| e.to_string())?;
        let common = |s: &Scored| tokens.iter().zip(&s.tokens).take_while(|(a, b)| a == b).count();
        let inside =
            |s: &Scored| common(s).min(s.tokens.len() - s.scored).min(s.tokens.len().saturating_sub(2));
        let length = all.iter().map(inside).min().unwrap_or(0);
        Ok(if length < WORTH { 0 } else { length })
    }
}

impl Reader for TextReader {
    fn read(&self, question: Question, _: Reading) -> Result<Input, String> {
        match question.ask {
            Ask::Choose(_) => Err("the model reads texts and scores their continuations".to_owned()),
            Ask::Likelihood(requests) => {
                let mut all = Vec::with_capacity(requests.len());
                for request in &requests {
                    let context = self.text(&request.context)?;
                    all.push(fit(pair(&self.tokenizer, &context, &request.continuation)?, self.length)?);
                }
                let contexts: Vec<&Context> = requests.iter().map(|r| &*r.context).collect();
                let prefix = self.prefix(&contexts, &all)?;
                Ok(Input::Score(Sequences { all, prefix }))
            }
            Ask::Rolling(text) => {
                Ok(Input::Score(Sequences { all: rolling(&self.tokenizer, &text, self.length)?, prefix: 0 }))
            }
            Ask::Generate { context, until, limit } => {
                let mut tokens = self.tokenizer.encode(&self.text(&context)?).map_err(|e| e.to_string())?;
                // As many as leave room for the answer, the last ones (HFLM.generate_until).
                let room = self.length.saturating_sub(limit);
                if room == 0 {
                    let positions = self.length;
                    return Err(format!(
                        "{limit} new tokens leave no room for a prompt in {positions} positions"
                    ));
                }
                tokens.drain(..tokens.len().saturating_sub(room));
                if tokens.is_empty() {
                    tokens.extend(self.tokenizer.prefix().map(|p| p.0));
                }
                Ok(Input::Generate(Prompt { tokens, until, limit }))
            }
        }
    }

    fn digest(&self) -> Digest {
        Digest::of_value(&(self.tokenizer.digest(), self.length))
    }

    fn record(&self) -> serde_json::Value {
        json!({"tokenizer": self.tokenizer.digest(), "positions": self.length})
    }

    fn kept(&self) -> Option<Kept> {
        None
    }
}
