//! The keys as a page of Markdown.

use std::fmt::Write as _;

use super::{FileKeys, Key, Kind, Table, Times};

impl Kind {
    /// What a value may be, in words.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Choice(all) => all.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", "),
            Self::Named(_) => "a name".to_owned(),
            Self::Count => "whole number".to_owned(),
            Self::Number(low, high) => match (low > -1e300, high < 1e8) {
                (true, true) => format!("number, {low} to {high}"),
                (true, false) => format!("number, at least {low}"),
                _ => "number".to_owned(),
            },
            Self::Flag => "true or false".to_owned(),
            Self::Texts => "list of texts".to_owned(),
            Self::Numbers => "list of numbers".to_owned(),
            Self::NumbersOrText => "list of numbers, or text".to_owned(),
            Self::Any => "text or list".to_owned(),
            Self::NumberOrNumbers => "number, or list of numbers".to_owned(),
        }
    }
}

impl Table {
    /// Its heading, as it stands in a file.
    #[must_use]
    pub fn heading(&self) -> String {
        if self.path.is_empty() {
            return "at the top".to_owned();
        }
        let path = self.path.replacen('*', "NAME", 1).replacen('*', "SPLIT", 1);
        // The tables of a registry are named, not numbered.
        if self.times == Times::Many && !self.path.ends_with('*') {
            format!("[[{path}]]")
        } else {
            format!("[{path}]")
        }
    }
}

impl FileKeys {
    /// All tables with their keys and examples.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("## {}\n\nA {} says {}.\n", self.name, self.name, self.summary);
        for table in self.tables {
            let heading = match self.language {
                "toml" => format!("`{}`", table.heading()),
                _ if table.path.is_empty() => table.heading(),
                _ => format!("`{}`", table.path),
            };
            let _ = write!(text, "\n### {heading}\n\n{}\n\n", table.summary);
            text.push_str("| key | value | without it | what it is for |\n| --- | --- | --- | --- |\n");
            for key in table.all() {
                let Key { name, kind, default, summary } = key;
                let without = default.unwrap_or("**needed**");
                let _ = writeln!(text, "| `{name}` | {} | {without} | {summary} |", kind.words());
            }
            if !table.example.is_empty() {
                let _ = write!(text, "\n```{}\n{}```\n", self.language, table.example);
            }
        }
        text
    }
}
