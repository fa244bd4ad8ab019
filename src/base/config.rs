//! TOML files whose every problem is reported at once, with file, line and column.
//!
//! A [`Document`] is parsed with spans; [`Section`]s are read key by key. Whatever is wrong (a
//! missing key, a wrong type, an unknown key, anything a later check finds) is noted with its span
//! and reading goes on; [`Document::finish`] turns the notes into one [`ConfigError`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fs::{FileError, read_text};
use super::registry::{Named, Registry, advice};

/// A byte range in the file.
pub type Span = Range<usize>;

/// A value and where it stands in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Located<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: f(self.value), span: self.span }
    }
}

/// One problem of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Where.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// All problems of a file.
#[derive(Debug)]
pub struct ConfigError {
    /// The file, as it was named.
    pub path: PathBuf,
    text: String,
    /// The problems in the order of the file.
    pub issues: Vec<Issue>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display().to_string();
        let renderer = Renderer::plain();
        for (i, issue) in self.issues.iter().enumerate() {
            let span = issue.span.start.min(self.text.len())..issue.span.end.min(self.text.len());
            let snippet =
                Snippet::source(&self.text).path(&path).annotation(AnnotationKind::Primary.span(span));
            let mut group = Level::ERROR.primary_title(&*issue.message).element(snippet);
            if let Some(help) = &issue.help {
                group = group.element(Level::HELP.message(&**help));
            }
            let separator = if i == 0 { "" } else { "\n\n" };
            write!(f, "{separator}{}", renderer.render(&[group]))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// A parsed TOML file that collects problems.
pub struct Document {
    path: PathBuf,
    text: String,
    issues: RefCell<Vec<Issue>>,
    asked: RefCell<BTreeMap<(String, &'static str), String>>,
}

impl Document {
    /// Reads a file; parsing happens in [`Document::parse`].
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Ok(Self::from_text(path, read_text(path)?))
    }

    /// A document from text that is already in memory; `path` is for messages.
    #[must_use]
    pub fn from_text(path: &Path, text: String) -> Self {
        Self { path: path.to_owned(), text, issues: RefCell::default(), asked: RefCell::default() }
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Parses the text. Syntax errors end the reading.
    pub fn parse(&self) -> Result<Spanned<DeTable<'_>>, ConfigError> {
        DeTable::parse(&self.text).map_err(|e| ConfigError {
            path: self.path.clone(),
            text: self.text.clone(),
            issues: vec![Issue {
                span: e.span().unwrap_or(0..0),
                message: e.message().trim().to_owned(),
                help: None,
            }],
        })
    }

    /// The top level of the file as a section.
    pub fn root<'d>(&'d self, table: &'d DeTable<'d>) -> Section<'d> {
        let (name, place) = (String::new(), String::new());
        Section { document: self, table, span: 0..0, name, place, seen: RefCell::default() }
    }

    /// Every key that was asked for so far, by table (`*` for a name of the user's) and key, with what its value may be.
    #[must_use]
    pub fn asked(&self) -> BTreeMap<(String, &'static str), String> {
        self.asked.borrow().clone()
    }

    /// Notes a problem.
    pub fn note(&self, span: Span, message: impl Into<String>, help: Option<String>) {
        self.issues.borrow_mut().push(Issue { span, message: message.into(), help });
    }

    /// All problems noted so far, each once, if there are any.
    pub fn finish(&self) -> Result<(), ConfigError> {
        let mut issues: Vec<Issue> = Vec::new();
        for issue in self.issues.borrow().iter() {
            if !issues.contains(issue) {
                issues.push(issue.clone());
            }
        }
        if issues.is_empty() {
            return Ok(());
        }
        issues.sort_by_key(|i| i.span.start);
        Err(ConfigError { path: self.path.clone(), text: self.text.clone(), issues })
    }
}

/// What [`Document::asked`] says of a key that is a table.
pub const TABLE: &str = "a table";

/// A table of a document, read key by key.
pub struct Section<'d> {
    document: &'d Document,
    table: &'d DeTable<'d>,
    /// Where the table's header stands.
    pub span: Span,
    name: String,
    /// The same in any file: `*` for a name of the user's.
    place: String,
    seen: RefCell<BTreeSet<&'static str>>,
}

impl<'d> Section<'d> {
    fn get(&self, key: &'static str, kind: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.seen.borrow_mut().insert(key);
        self.ask(key, kind);
        self.table.get(key)
    }

    fn ask(&self, key: &'static str, kind: &str) {
        self.document.asked.borrow_mut().insert((self.place.clone(), key), kind.to_owned());
    }

    /// Whether a key is there, of whatever type.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes a problem.
    pub fn note(&self, span: Span, message: impl Into<String>, help: Option<String>) {
        self.document.note(span, message, help);
    }

    fn wrong(&self, span: Span, key: &str, expected: &str, found: &DeValue<'_>) {
        self.note(span, format!("`{key}` must be {expected}, not {}", found.type_str()), None);
    }

    fn typed<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<Located<T>> {
        let value = self.get(key, expected)?;
        let found = read(value.get_ref());
        if found.is_none() {
            self.wrong(value.span(), key, expected, value.get_ref());
        }
        found.map(|v| Located { value: v, span: value.span() })
    }

    /// An optional text.
    pub fn text(&self, key: &'static str) -> Option<Located<String>> {
        self.typed(key, "a text", |v| v.as_str().map(str::to_owned))
    }

    /// An optional number (integer or not).
    pub fn number(&self, key: &'static str) -> Option<Located<f64>> {
        self.typed(key, "a number", as_number)
    }

    /// An optional non-negative integer.
    pub fn count(&self, key: &'static str) -> Option<Located<u64>> {
        self.typed(key, "a whole number, 0 or more", as_count)
    }

    /// An optional truth value.
    pub fn flag(&self, key: &'static str) -> Option<Located<bool>> {
        self.typed(key, "true or false", DeValue::as_bool)
    }

    /// An optional number within an inclusive range.
    pub fn number_in(&self, key: &'static str, range: std::ops::RangeInclusive<f64>) -> Option<Located<f64>> {
        let found = self.number(key);
        self.ask(key, &format!("a number, {} to {}", range.start(), range.end()));
        let found = found?;
        if !range.contains(&found.value) {
            let message =
                format!("`{key} = {}` is outside {} to {}", found.value, range.start(), range.end());
            self.note(found.span, message, None);
            return None;
        }
        Some(found)
    }

    /// An optional list of texts.
    pub fn texts(&self, key: &'static str) -> Option<Vec<Located<String>>> {
        let value = self.get(key, "a list of texts")?;
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(value.span(), key, "a list of texts", value.get_ref());
            return None;
        };
        let read = |v: &Spanned<DeValue<'_>>| {
            let text = v.get_ref().as_str();
            if text.is_none() {
                self.wrong(v.span(), key, "a list of texts", v.get_ref());
            }
            text.map(|t| Located { value: t.to_owned(), span: v.span() })
        };
        Some(list.iter().filter_map(read).collect())
    }

    /// A list of glob patterns, empty if there is none.
    pub fn globs(&self, key: &'static str) -> Vec<String> {
        let list = self.texts(key).unwrap_or_default();
        for pattern in &list {
            if let Err(e) = glob::Pattern::new(&pattern.value) {
                self.note(pattern.span.clone(), format!("not a glob: {e}"), None);
            }
        }
        list.into_iter().map(|p| p.value).collect()
    }

    /// An optional list of numbers, or a text that the caller understands.
    pub fn numbers_or_text(&self, key: &'static str) -> Option<Located<Result<Vec<f64>, String>>> {
        let value = self.get(key, "a list of numbers or a text")?;
        if let Some(text) = value.get_ref().as_str() {
            return Some(Located { value: Err(text.to_owned()), span: value.span() });
        }
        self.typed(key, "a list of numbers or a text", |v| {
            v.as_array()?.iter().map(|x| as_number(x.get_ref())).collect::<Option<Vec<_>>>()
        })
        .map(|l| l.map(Ok))
    }

    /// Whether a key holds a list.
    #[must_use]
    pub fn is_list(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|v| v.get_ref().as_array().is_some())
    }

    /// A text that must be there.
    pub fn required_text(&self, key: &'static str) -> Option<Located<String>> {
        self.required(key, self.text(key))
    }

    /// Notes that a key is missing.
    fn required<T>(&self, key: &'static str, found: Option<T>) -> Option<T> {
        if found.is_none() && !self.table.contains_key(key) {
            self.note(self.span.clone(), format!("{} lacks `{key}`", self.title()), None);
        }
        found
    }

    /// An optional text that must be one of `choices`.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<Located<T>> {
        let found = self.text(key);
        self.ask(key, &choices.iter().map(|c| c.0).collect::<Vec<_>>().join(", "));
        let found = found?;
        let hit = choices.iter().find(|(name, _)| *name == found.value);
        if hit.is_none() {
            let help = advice(&found.value, choices.iter().map(|c| c.0));
            self.note(found.span.clone(), format!("unknown {key} `{}`", found.value), Some(help));
        }
        hit.map(|(_, value)| Located { value: *value, span: found.span })
    }

    /// A choice that must be made.
    pub fn required_choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<Located<T>> {
        self.required(key, self.choice(key, choices))
    }

    /// The item of a registry that a name means, or a note.
    pub fn known<T: Named + ?Sized>(
        &self,
        name: &Located<String>,
        registry: &Registry<T>,
    ) -> Option<&'static T> {
        let found = registry.get(&name.value);
        if found.is_none() {
            let (message, help) = registry.unknown(&name.value);
            self.note(name.span.clone(), message, Some(help));
        }
        found
    }

    /// An optional sub-table.
    pub fn section(&self, key: &'static str) -> Option<Section<'d>> {
        let value = self.get(key, TABLE)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong(value.span(), key, "a table", value.get_ref());
        }
        table.map(|t| self.child(t, value.span(), format!("[{}]", self.path_of(key)), key))
    }

    /// A sub-table that must be there.
    pub fn required_section(&self, key: &'static str) -> Option<Section<'d>> {
        self.required(key, self.section(key))
    }

    /// The tables of `[[key]]`, none if there are none.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'d>> {
        let Some(value) = self.get(key, TABLE) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(value.span(), key, &format!("a list of tables (`[[{key}]]`)"), value.get_ref());
            return Vec::new();
        };
        let name = format!("[[{}]]", self.path_of(key));
        let read = |v: &'d Spanned<DeValue<'d>>| {
            let table = v.get_ref().as_table();
            if table.is_none() {
                self.wrong(v.span(), key, "a list of tables", v.get_ref());
            }
            table.map(|t| self.child(t, v.span(), name.clone(), key))
        };
        list.iter().filter_map(read).collect()
    }

    /// All sub-tables by name, for tables whose keys are the user's own names.
    pub fn named_sections(&self) -> Vec<(Located<String>, Section<'d>)> {
        let mut all = Vec::new();
        for (key, value) in self.table {
            let name = Located { value: key.get_ref().to_string(), span: key.span() };
            match value.get_ref().as_table() {
                Some(table) => {
                    let title = format!("[{}]", self.path_of(&name.value));
                    all.push((name, self.child(table, key.span(), title, "*")));
                }
                None => self.wrong(value.span(), &name.value, "a table", value.get_ref()),
            }
        }
        all
    }

    fn child(&self, table: &'d DeTable<'d>, span: Span, name: String, key: &str) -> Section<'d> {
        let place = if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) };
        Section { document: self.document, table, span, name, place, seen: RefCell::default() }
    }

    fn path_of(&self, key: &str) -> String {
        let own = self.name.trim_matches(['[', ']']);
        if own.is_empty() { key.to_owned() } else { format!("{own}.{key}") }
    }

    fn title(&self) -> String {
        if self.name.is_empty() { "the file".to_owned() } else { format!("`{}`", self.name) }
    }

    /// Notes every key that nobody asked for.
    pub fn finish(&self) {
        let seen = self.seen.borrow();
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !seen.contains(name) {
                let help = advice(name, seen.iter().copied());
                self.note(key.span(), format!("unknown key `{name}` in {}", self.title()), Some(help));
            }
        }
    }
}

fn as_number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix()).ok().map(|v| v as f64),
        DeValue::Float(f) => f.as_str().parse().ok(),
        _ => None,
    }
}

fn as_count(value: &DeValue<'_>) -> Option<u64> {
    value.as_integer().and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str, read: impl FnOnce(&Section<'_>)) -> String {
        let document = Document::from_text(Path::new("x.toml"), text.to_owned());
        match document.parse() {
            Err(e) => e.to_string(),
            Ok(table) => {
                let root = document.root(table.get_ref());
                read(&root);
                root.finish();
                document.finish().err().map(|e| e.to_string()).unwrap_or_default()
            }
        }
    }

    #[test]
    fn all_problems_at_once_with_line_and_column() {
        let text = "name = 3\ncuont = 1\n\n[stats]\nlevel = 1.5\n";
        let report = problems(text, |root| {
            root.required_text("name");
            root.count("count");
            root.required_text("track");
            let stats = root.section("stats").unwrap();
            stats.number_in("level", 0.0..=1.0);
            stats.finish();
        });
        for expected in [
            "x.toml:1:8",
            "`name` must be a text, not integer",
            "x.toml:2:1",
            "did you mean `count`?",
            "x.toml:5:9",
            "outside 0 to 1",
            "the file lacks `track`",
        ] {
            assert!(report.contains(expected), "{expected} not in\n{report}");
        }
    }

    #[test]
    fn syntax_errors_have_a_place() {
        let report = problems("a = \n", |_| {});
        assert!(report.contains("x.toml:1:"), "{report}");
    }
}
