//! Jinja templates over documents, with lm-eval's environment: undefined names are errors, the final newline stays,
//! Python's methods work, and `regex_replace` is there (lm-eval 0.4.13, `lm_eval/utils.py`).

use fancy_regex::Regex;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value as Jinja};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde_json::Value;

use super::python::literal;

/// The templates of one task.
pub struct Templates {
    environment: Environment<'static>,
}

/// Plain data as a template sees it.
pub fn jinja<T: serde::Serialize>(value: &T) -> Jinja {
    Jinja::from(Serde(value))
}

fn failed(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}

/// Methods of Python's lists that `minijinja-contrib` does not have, then its own.
fn methods(state: &mut State, value: &Jinja, method: &str, arguments: &[Jinja]) -> Result<Jinja, Error> {
    match (method, value.kind(), arguments) {
        ("index", ValueKind::Seq, [wanted]) => {
            let place = value.try_iter()?.position(|v| v == *wanted);
            place.map(Jinja::from).ok_or_else(|| failed(format!("{wanted} is not in the list")))
        }
        ("index", ValueKind::String, [wanted]) => {
            let (text, part) = (value.as_str().unwrap_or_default(), wanted.as_str().unwrap_or_default());
            let byte = text.find(part).ok_or_else(|| failed(format!("`{part}` is not in the text")))?;
            Ok(Jinja::from(text[..byte].chars().count()))
        }
        _ => unknown_method_callback(state, value, method, arguments),
    }
}

/// Python's `re.sub`: `\1` and `\g<1>` stand for groups.
fn regex_replace(text: &str, pattern: &str, by: &str) -> Result<String, Error> {
    let regex = Regex::new(pattern).map_err(|e| failed(format!("`{pattern}` is no pattern: {e}")))?;
    let groups = Regex::new(r"\\(?:g<)?(\d+)>?").map_err(|e| failed(e.to_string()))?;
    let by = by.replace('$', "$$");
    let by = groups.replace_all(&by, "$${${1}}").into_owned();
    let replaced = regex.try_replacen(text, 0, by.as_str());
    Ok(replaced.map_err(|e| failed(e.to_string()))?.into_owned())
}

impl Templates {
    /// An environment without templates.
    pub fn new() -> Result<Self, String> {
        let mut environment = Environment::new();
        let syntax =
            SyntaxConfig::builder().keep_trailing_newline(true).build().map_err(|e| e.to_string())?;
        environment.set_syntax(syntax);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_unknown_method_callback(methods);
        environment.add_filter("regex_replace", |text: String, pattern: String, by: String| {
            regex_replace(&text, &pattern, &by)
        });
        environment
            .add_filter("python_literal", |text: String| literal(&text).map(|v| jinja(&v)).map_err(failed));
        Ok(Self { environment })
    }

    /// Compiles a template under a name.
    pub fn add(&mut self, name: &'static str, source: &str) -> Result<(), String> {
        let added = self.environment.add_template_owned(name, source.to_owned());
        added.map_err(|e| format!("`{name}` cannot be read: {e:#}"))
    }

    /// The text of a template for a document.
    pub fn render(&self, name: &str, document: &Jinja) -> Result<String, String> {
        let wrap = |e: Error| format!("`{name}` fails: {e:#}");
        self.environment.get_template(name).map_err(wrap)?.render(document).map_err(wrap)
    }

    /// The value of a source that is one expression in double braces and nothing else, white space included; `None` if it is
    /// something else.
    pub fn value(&self, name: &str, source: &str, document: &Jinja) -> Result<Option<Value>, String> {
        let inner = source.strip_prefix("{{").and_then(|s| s.strip_suffix("}}"));
        let Some(inner) = inner.filter(|i| !i.contains("{{") && !i.contains("{%")) else { return Ok(None) };
        let wrap = |e: Error| format!("`{name}` fails: {e:#}");
        let expression = self.environment.compile_expression(inner).map_err(wrap)?;
        let value = expression.eval(document).map_err(wrap)?;
        if value.is_undefined() {
            return Err(format!("`{name}` is undefined for this document"));
        }
        serde_json::to_value(&value).map(Some).map_err(|e| format!("`{name}` fails: {e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(source: &str, document: &Value) -> Result<String, String> {
        let mut templates = Templates::new().unwrap();
        templates.add("t", source)?;
        templates.render("t", &jinja(document))
    }

    #[test]
    fn python_in_jinja() {
        let doc = json!({"text": "one two three", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": " B",
                         "label": "2"});
        for (source, right) in [
            ("{{text.split(' ')[:-1]|join(' ')}}", "one two"),
            ("{{choices.label.index(answerKey.lstrip())}}", "1"),
            ("Q: {{ text.strip().capitalize() }}\n", "Q: One two three\n"),
            ("{{ (label|int) - 1 }}", "1"),
            ("{{ text.replace('two', '2') | regex_replace('(o)n(e)', '\\\\2-\\\\1') }}", "e-o 2 three"),
            ("{{ text.split('o', 1)[1] }}", "ne two three"),
            ("{{ text[:3] }}{{ text.index('two') }}", "one4"),
        ] {
            assert_eq!(render(source, &doc).unwrap(), right, "{source}");
        }
        // White space around an expression belongs to the text.
        assert_eq!(render(" {{text[:3]}}", &doc).unwrap(), " one");
        let mut templates = Templates::new().unwrap();
        templates.add("t", " {{text}}").unwrap();
        assert_eq!(templates.value("t", " {{text}}", &jinja(&doc)).unwrap(), None);
        assert_eq!(templates.value("t", "{{text}}", &jinja(&doc)).unwrap(), Some(doc["text"].clone()));
        assert!(render("{{ nothing }}", &doc).unwrap_err().contains("undefined"));
    }
}
