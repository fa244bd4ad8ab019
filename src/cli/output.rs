//! Standard output for results, standard error for everything else.

use std::io::{IsTerminal as _, Write as _};

use super::args::{ColorArg, Global};

/// Where text goes and how it looks.
#[derive(Clone)]
pub struct Output {
    pub quiet: bool,
    pub verbose: bool,
    pub json: bool,
    /// Whether standard error is a terminal.
    pub terminal: bool,
    colour: bool,
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
        Self { quiet: global.quiet, verbose: global.verbose, json: global.json, terminal, colour }
    }

    /// A result. A reader that has gone away (`| head`) is no error.
    pub fn result(&self, text: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
    }

    /// A remark, unless quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.raw(text);
        }
    }

    /// A remark for those who want detail.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.raw(text);
        }
    }

    pub fn warning(&self, text: &str) {
        if !self.quiet {
            self.raw(&format!("{}: {text}", self.paint("warning", "33")));
        }
    }

    pub fn error(&self, text: &str) {
        // Diagnostics of files bring their own "error:".
        if text.starts_with("error") {
            self.raw(text);
        } else {
            self.raw(&format!("{}: {text}", self.paint("error", "31")));
        }
    }

    fn raw(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\u{1b}[1;{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
