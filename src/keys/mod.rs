//! Every key of a suite, a recipe, the registry and a task file: its kind, its default, what it is for. A test holds this against what the
//! readers ask for, so that neither can go without the other.

mod markdown;
mod recipe;
mod registry;
mod schema;
mod suite;
mod task;

pub use recipe::RECIPE;
pub use registry::REGISTRY;
pub use suite::SUITE;
pub use task::TASK;

/// A kind of file.
#[derive(Debug)]
pub struct FileKeys {
    /// "suite", "recipe", "registry", "task".
    pub name: &'static str,
    /// What such a file is.
    pub summary: &'static str,
    /// Its tables.
    pub tables: &'static [Table],
    /// What it is written in.
    pub language: &'static str,
}

/// All kinds of files.
pub static FILES: [&FileKeys; 4] = [&SUITE, &RECIPE, &REGISTRY, &TASK];

/// A table of a file.
#[derive(Debug)]
pub struct Table {
    /// Its name, with those of the tables it lies in: `sweep.group`; `*` is a name of the user's, and nothing is the top.
    pub path: &'static str,
    /// How often it stands.
    pub times: Times,
    /// What it is for.
    pub summary: &'static str,
    /// Its keys.
    pub keys: &'static [&'static [Key]],
    /// A table as it may stand in a file.
    pub example: &'static str,
}

/// How often a table stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Once.
    Once,
    /// Once, or not at all.
    AtMostOnce,
    /// As often as wanted: `[[table]]`.
    Many,
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// What counts where it is not given; `None` if it must be.
    pub default: Option<&'static str>,
    /// What it is for.
    pub summary: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A text.
    Text,
    /// One of some texts.
    Choice(&'static [&'static str]),
    /// The name of something that is registered.
    Named(fn() -> Vec<&'static str>),
    /// A whole number, 0 or more.
    Count,
    /// A number within bounds.
    Number(f64, f64),
    /// Yes or no.
    Flag,
    /// A list of texts.
    Texts,
    /// A list of numbers.
    Numbers,
    /// A list of numbers, or a text that stands for one.
    NumbersOrText,
    /// A number or a list of numbers.
    NumberOrNumbers,
    /// A text, a number, a list or a table.
    Any,
}

/// A key that may be left out.
const fn key(name: &'static str, kind: Kind, default: &'static str, summary: &'static str) -> Key {
    Key { name, kind, default: Some(default), summary }
}

/// A key that must be there.
const fn must(name: &'static str, kind: Kind, summary: &'static str) -> Key {
    Key { name, kind, default: None, summary }
}

impl Table {
    /// All keys.
    pub fn all(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().copied().flatten()
    }
}

#[cfg(test)]
mod tests;
