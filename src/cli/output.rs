//! Standard output for results, standard error for everything else.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

use super::answers::{Answer, format_of};
use super::args::{ColorArg, Global};

/// Where text goes and how it looks.
#[derive(Clone)]
pub struct Output {
    pub quiet: bool,
    pub verbose: bool,
    pub json: bool,
    /// Whether standard error is a terminal.
    pub terminal: bool,
    /// Columns of standard output, where it is a terminal or `COLUMNS` says so.
    pub width: Option<usize>,
    colour: bool,
    /// Whether results are coloured as well: standard output is a terminal, or it was asked for.
    colour_results: bool,
    /// Whether a machine-readable result was given.
    answered: Arc<AtomicBool>,
    /// Why standard output could not be written to.
    failed: Arc<Mutex<Option<String>>>,
}

impl Output {
    pub fn new(global: &Global) -> Self {
        let terminal = std::io::stderr().is_terminal();
        #[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let colour = match global.color {
            ColorArg::Always => true,
            ColorArg::Never => false,
            ColorArg::Auto => terminal && !no_colour,
        };
        let colour_results = match global.color {
            ColorArg::Auto => std::io::stdout().is_terminal() && !no_colour,
            ColorArg::Always | ColorArg::Never => colour,
        };
        #[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
        let stated = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).filter(|&c| c > 0);
        let found = || console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        Self {
            width: stated.or_else(|| std::io::stdout().is_terminal().then(found).flatten()),
            quiet: global.quiet,
            verbose: global.verbose,
            json: global.json,
            terminal,
            colour,
            colour_results,
            answered: Arc::default(),
            failed: Arc::default(),
        }
    }

    /// A result. A reader that has gone away (`| head`) is no error; a full disk is, see [`Output::failure`].
    pub fn result(&self, text: &str) {
        self.write(&printable(text.trim_end()));
    }

    /// A result in which some words are good news (green) or bad (red).
    pub fn verdicts(&self, text: &str, good: &[&str], bad: &[&str]) {
        let text = printable(text.trim_end());
        if !self.colour_results {
            return self.write(&text);
        }
        let painted = |line: &str| {
            let of = |words: &[&str], code: &str| {
                let word = words.iter().find(|w| line.contains(**w))?;
                Some(line.replacen(word, &coloured(word, code), 1))
            };
            of(bad, "31").or_else(|| of(good, "32")).unwrap_or_else(|| line.to_owned())
        };
        self.write(&text.lines().map(painted).collect::<Vec<_>>().join("\n"));
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{text}").and_then(|()| out.flush());
        if let Err(error) = written
            && error.kind() != std::io::ErrorKind::BrokenPipe
            && let Ok(mut failed) = self.failed.lock()
        {
            failed.get_or_insert_with(|| error.to_string());
        }
    }

    /// A machine-readable result: an object that begins with its `format`.
    pub fn json<T: Answer>(&self, answer: &T) {
        self.answered.store(true, Ordering::Relaxed);
        let mut all = Map::from_iter([("format".to_owned(), format_of(T::KIND).into())]);
        let value = serde_json::to_value(answer).expect("plain data always has a JSON form");
        if let Value::Object(map) = value {
            all.extend(map);
        }
        self.result(&Value::Object(all).to_string());
    }

    /// Whether a machine-readable result was given.
    pub fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Why a result could not be written, if one could not.
    pub fn failure(&self) -> Option<String> {
        self.failed.lock().ok().and_then(|f| f.clone())
    }

    /// A remark, unless quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.raw(&printable(text));
        }
    }

    /// A remark for those who want detail.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.raw(&printable(text));
        }
    }

    pub fn warning(&self, text: &str) {
        if !self.quiet {
            self.raw(&format!("{}: {}", self.paint("warning", "33"), printable(text)));
        }
    }

    pub fn error(&self, text: &str) {
        // Diagnostics of files bring their own "error:".
        let text = printable(text);
        if text.starts_with("error") {
            self.raw(&text);
        } else {
            self.raw(&format!("{}: {text}", self.paint("error", "31")));
        }
    }

    fn raw(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { coloured(text, code) } else { text.to_owned() }
    }
}

fn coloured(text: &str, code: &str) -> String {
    format!("\u{1b}[1;{code}m{text}\u{1b}[0m")
}

/// Text that cannot move the cursor or change colours: names come from files that anybody may have written.
pub fn printable(text: &str) -> String {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    text.chars().map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\r\nc\td\u{7}"), "a\u{fffd}[31mb\u{fffd}\nc\td\u{fffd}");
    }
}
