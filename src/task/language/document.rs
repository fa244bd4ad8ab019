//! From a document to a prompt: fields, few-shot examples, context (lm-eval 0.4.13, `ConfigurableTask.fewshot_context`).

use std::sync::Arc;

use serde_json::{Map, Value};

use super::definition::{Definition, Field};
use super::few_shot::Sampler;
use super::python::literal;
use super::template::{Templates, jinja};
use crate::task::{Context, Message, Role};

/// A document's columns.
pub type Columns = Map<String, Value>;

/// How prompts are put together, beyond what the task file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// Few-shot examples, if not as many as the file says.
    pub few_shot: Option<usize>,
    /// Whether prompts are conversations in the checkpoint's chat template.
    pub chat: bool,
    /// Instructions before everything.
    pub system: Option<String>,
    /// Whether few-shot examples are drawn as lm-eval draws them, one document after the other.
    pub parity: bool,
}

/// Makes prompts of documents.
pub struct Prompter {
    /// The task.
    pub definition: Arc<Definition>,
    templates: Templates,
    setting: Setting,
    sampler: Sampler,
}

/// A document's own part of a prompt and the parts before it.
struct Turns {
    system: String,
    /// Question with what follows it, answer with what follows it.
    examples: Vec<(Turn, Turn)>,
}

/// A text, and what comes after it where texts are joined.
struct Turn {
    text: String,
    after: String,
}

impl Prompter {
    /// Compiles the templates. `pool` holds the documents that few-shot examples come from.
    pub fn new(definition: Arc<Definition>, setting: Setting, pool: Vec<Columns>) -> Result<Self, String> {
        let mut templates = Templates::new()?;
        let mut add = |name: &'static str, field: Option<&Field>| match field {
            Some(Field::Text(source)) => templates.add(name, source),
            _ => Ok(()),
        };
        add("doc_to_text", Some(&definition.text))?;
        add("doc_to_target", Some(&definition.target))?;
        add("doc_to_choice", definition.choice.as_ref())?;
        templates.add("description", &definition.description)?;
        templates.add("gen_prefix", definition.gen_prefix.as_deref().unwrap_or_default())?;
        templates.add("count_on", definition.counted.as_deref().unwrap_or_default())?;
        let count = setting.few_shot.unwrap_or(definition.few_shot.count);
        let sampler = Sampler::new(&definition, count, setting.parity, pool)?;
        Ok(Self { definition, templates, setting, sampler })
    }

    fn field(&self, name: &'static str, field: &Field, document: &Columns) -> Result<Value, String> {
        let source = match field {
            Field::Fixed(value) => return Ok(value.clone()),
            Field::Text(source) => source,
        };
        if let Some(value) = document.get(source) {
            return Ok(value.clone());
        }
        let document = jinja(document);
        let text = match self.templates.value(name, source, &document)? {
            Some(list @ Value::Array(_)) => return Ok(list),
            Some(Value::String(text)) => text,
            Some(Value::Bool(true)) => "True".to_owned(),
            Some(Value::Bool(false)) => "False".to_owned(),
            Some(other) => other.to_string(),
            None => self.templates.render(name, &document)?,
        };
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        if digits && self.definition.choice.is_some() {
            return text.parse::<u64>().map(Value::from).map_err(|e| format!("`{name}` gives `{text}`: {e}"));
        }
        if name != "doc_to_text" && text.starts_with('[') && text.ends_with(']') && text.len() > 1 {
            return Ok(literal(&text).unwrap_or(Value::String(text)));
        }
        Ok(Value::String(text))
    }

    /// The question: a text, or the number of the right context where choices are contexts.
    pub fn text(&self, document: &Columns) -> Result<Value, String> {
        self.field("doc_to_text", &self.definition.text, document)
    }

    /// The answer: a text, the number of a choice, or several.
    pub fn target(&self, document: &Columns) -> Result<Value, String> {
        self.field("doc_to_target", &self.definition.target, document)
    }

    /// The choices, if the task has some.
    pub fn choices(&self, document: &Columns) -> Result<Option<Vec<String>>, String> {
        let Some(field) = &self.definition.choice else { return Ok(None) };
        let value = self.field("doc_to_choice", field, document)?;
        let all: Option<Vec<String>> = value
            .as_array()
            .map(|a| a.iter().map(|v| v.as_str().map(str::to_owned)).collect())
            .unwrap_or_default();
        match all {
            Some(all) if !all.is_empty() => Ok(Some(all)),
            _ => Err(format!("`doc_to_choice` gives {value}, which is no list of texts")),
        }
    }

    /// The text that words and bytes are counted on, if it is not the target.
    pub fn counted(&self, document: &Columns) -> Result<Option<String>, String> {
        if self.definition.counted.is_none() {
            return Ok(None);
        }
        self.templates.render("count_on", &jinja(document)).map(Some)
    }

    fn gen_prefix(&self, document: &Columns) -> Result<String, String> {
        match &self.definition.gen_prefix {
            None => Ok(String::new()),
            Some(source) => match document.get(source).and_then(Value::as_str) {
                Some(text) => Ok(text.to_owned()),
                None => self.templates.render("gen_prefix", &jinja(document)),
            },
        }
    }

    /// What comes between question and choice.
    #[must_use]
    pub fn delimiter(&self) -> &str {
        let prefixed = self.definition.gen_prefix.as_ref().is_some_and(|p| !p.ends_with(char::is_whitespace));
        if self.setting.chat && !prefixed { "" } else { &self.definition.target_delimiter }
    }

    /// Whether prompts are conversations.
    #[must_use]
    pub const fn is_chat(&self) -> bool {
        self.setting.chat
    }

    fn turns(&mut self, id: &str, document: &Columns) -> Result<Turns, String> {
        let description = match document.get(&self.definition.description).and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => self.templates.render("description", &jinja(document))?,
        };
        let system = self.setting.system.as_deref().unwrap_or_default();
        let system = delimited(system, &description, &self.definition.fewshot_delimiter);
        let drawn = self.sampler.draw(id, document);
        let examples = drawn.iter().map(|d| self.example(d)).collect::<Result<Vec<_>, _>>()?;
        Ok(Turns { system, examples })
    }

    /// A few-shot example: its question and its answer.
    fn example(&self, document: &Columns) -> Result<(Turn, Turn), String> {
        let (text, target, choices) = (self.text(document)?, self.target(document)?, self.choices(document)?);
        let prefix = self.gen_prefix(document)?;
        let number = |value: &Value| value.as_u64().map(|n| n as usize);
        let (question, choices) = match (number(&text), choices) {
            // Choices are contexts: the right one is the question.
            (Some(right), Some(all)) => (all.get(right).cloned().ok_or("its answer is no choice")?, None),
            (_, all) => (text_of(&text)?, all),
        };
        let answer = match (&target, &choices) {
            (Value::Number(_), Some(all)) => {
                let place = number(&target).ok_or("its answer is no choice")?;
                all.get(place).cloned().ok_or("its answer is no choice")?
            }
            (Value::Array(all), _) => text_of(all.first().ok_or("it has no answer")?)?,
            (other, _) => text_of(other)?,
        };
        let delimiter = &self.definition.target_delimiter;
        let apart = prefix.is_empty() || needs_space(&question, &prefix);
        let after = if apart { delimiter.clone() } else { String::new() };
        let answer = delimited(&prefix, &answer, " ");
        let fewshot = self.definition.fewshot_delimiter.clone();
        Ok((Turn { text: question, after }, Turn { text: answer, after: fewshot }))
    }

    /// The contexts of some questions of one document; they share what comes before them.
    pub fn contexts(
        &mut self,
        id: &str,
        document: &Columns,
        questions: &[String],
    ) -> Result<Vec<Arc<Context>>, String> {
        let turns = self.turns(id, document)?;
        let prefix = self.gen_prefix(document)?;
        let one = |question: &String| {
            if self.setting.chat {
                return conversation(&turns, question, &prefix);
            }
            let before = turns.examples.iter().flat_map(|(q, a)| [&q.text, &q.after, &a.text, &a.after]);
            let shared: String = std::iter::once(&turns.system).chain(before).map(String::as_str).collect();
            let between =
                if needs_space(question, &prefix) { self.definition.target_delimiter.as_str() } else { "" };
            Context::Text { shared, own: format!("{question}{between}{prefix}") }
        };
        Ok(questions.iter().map(|q| Arc::new(one(q))).collect())
    }
}

fn conversation(turns: &Turns, question: &str, prefix: &str) -> Context {
    let mut messages = Vec::new();
    let mut say = |role, text: &str| messages.push(Message { role, text: text.to_owned() });
    if !turns.system.is_empty() {
        say(Role::System, &turns.system);
    }
    for (question, answer) in &turns.examples {
        say(Role::User, &question.text);
        say(Role::Assistant, &answer.text);
    }
    say(Role::User, question);
    Context::Chat { messages, prefix: prefix.to_owned() }
}

fn text_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("{other} is no text")),
    }
}

/// Whether neither side has white space where two texts meet.
fn needs_space(before: &str, after: &str) -> bool {
    let open = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
    open(before.chars().last()) && open(after.chars().next())
}

fn delimited(before: &str, after: &str, by: &str) -> String {
    let between = if needs_space(before, after) { by } else { "" };
    format!("{before}{between}{after}")
}
