//! Sentences as NLTK's Punkt finds them (Kiss and Strunk 2006, doi:10.1162/coli.2006.32.4.485; `nltk.sent_tokenize`), with
//! its parameters for English.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::LazyLock;

use fancy_regex::Regex;

/// Abbreviations, starts of sentences, pairs that belong together, and how words are written.
struct Parameters {
    abbreviations: BTreeSet<&'static str>,
    starters: BTreeSet<&'static str>,
    pairs: BTreeSet<(&'static str, &'static str)>,
    written: BTreeMap<&'static str, u8>,
}

/// Places where a word was seen: with a capital at the start of a sentence, inside one, anywhere; and with a small letter.
const CAPITAL_INSIDE: u8 = 4;
const CAPITAL: u8 = 2 | 4 | 8;
const SMALL_AT_START: u8 = 16;
const SMALL: u8 = 16 | 32 | 64;

static ENGLISH: LazyLock<Parameters> = LazyLock::new(|| {
    let mut all = Parameters {
        abbreviations: BTreeSet::new(),
        starters: BTreeSet::new(),
        pairs: BTreeSet::new(),
        written: BTreeMap::new(),
    };
    for line in include_str!("punkt_english.tsv").lines() {
        let mut parts = line.split('\t');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("A"), Some(word), _) => _ = all.abbreviations.insert(word),
            (Some("S"), Some(word), _) => _ = all.starters.insert(word),
            (Some("C"), Some(word), Some(next)) => _ = all.pairs.insert((word, next)),
            (Some("O"), Some(word), Some(flags)) => {
                all.written.insert(word, flags.parse().unwrap_or_default());
            }
            _ => {}
        }
    }
    all
});

/// Ends of words.
const AFTER: &str = r#"[)";}\]*:@'({\[‘’“”«»?!]"#;
const SEVERAL: &str = r"(?:-{2,}|\.{2,}|(?:\.\s){2,}\.)";

/// Words, and punctuation other than points.
static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    let ends = format!(r"\s|$|{AFTER}|{SEVERAL}|,(?=$|\s|{AFTER}|{SEVERAL})");
    pattern(&format!(r#"{SEVERAL}|(?=[^("`{{\[:;&#*@)}}\]\-,])\S+?(?={ends})|\S"#))
});

/// What closes a sentence after its point.
static CLOSING: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(?m)\A["')\]}‘’“”«»]+?(?:\s+|(?=--)|$)"#));

/// A pattern that is written here.
pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is one")
}

/// A word of a context.
struct Token<'a> {
    text: &'a str,
    kind: String,
    ends: bool,
    abbreviated: bool,
    dots: bool,
}

fn is_number(word: &str) -> bool {
    let rest = word.strip_prefix('-').unwrap_or(word);
    let rest = rest.strip_prefix(['.', ',']).unwrap_or(rest);
    let digit = |c: char| c.is_ascii_digit() || c.is_numeric() && is_decimal(c);
    rest.starts_with(digit) && rest.chars().all(|c| digit(c) || ",.-".contains(c))
}

/// Decimal digits of other scripts.
fn is_decimal(c: char) -> bool {
    static DIGIT: LazyLock<Regex> = LazyLock::new(|| pattern(r"\A\d\z"));
    let mut buffer = [0; 4];
    DIGIT.is_match(c.encode_utf8(&mut buffer)).unwrap_or(false)
}

impl<'a> Token<'a> {
    /// Judged by the word alone.
    fn new(text: &'a str) -> Self {
        let lower = text.to_lowercase();
        let kind = if is_number(&lower) { "##number##".to_owned() } else { lower };
        let mut token = Self { text, kind, ends: false, abbreviated: false, dots: false };
        if [".", "?", "!"].contains(&text) {
            token.ends = true;
        } else if text.len() > 1 && text.bytes().all(|b| b == b'.') {
            token.dots = true;
        } else if text.ends_with('.') && !text.ends_with("..") {
            let stem = text[..text.len() - 1].to_lowercase();
            let last = stem.rsplit('-').next().unwrap_or_default();
            let known = &ENGLISH.abbreviations;
            token.abbreviated = known.contains(stem.as_str()) || known.contains(last);
            token.ends = !token.abbreviated;
        }
        token
    }

    fn without_point(&self) -> &str {
        let short = self.kind.strip_suffix('.').filter(|k| !k.is_empty());
        short.unwrap_or(&self.kind)
    }

    /// The kind, without the point that ends its sentence.
    fn plain(&self) -> &str {
        if self.ends { self.without_point() } else { &self.kind }
    }

    fn is_initial(&self) -> bool {
        let mut chars = self.text.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_') && chars.as_str() == "."
    }

    fn first_is(&self, case: fn(char) -> bool) -> bool {
        self.text.chars().next().is_some_and(case)
    }

    /// Whether the word looks as if it began a sentence, if its spelling tells.
    fn begins(&self) -> Option<bool> {
        if [";", ":", ",", ".", "!", "?"].contains(&self.text) {
            return Some(false);
        }
        let written = ENGLISH.written.get(self.plain()).copied().unwrap_or_default();
        if self.first_is(char::is_uppercase) && written & SMALL != 0 && written & CAPITAL_INSIDE == 0 {
            return Some(true);
        }
        let never_first = written & CAPITAL != 0 || written & SMALL_AT_START == 0;
        (self.first_is(char::is_lowercase) && never_first).then_some(false)
    }

    /// Judged again by the word that follows.
    fn before(&mut self, next: &Self) {
        if !self.text.ends_with('.') {
            return;
        }
        let (own, following) = (self.without_point(), next.plain());
        if ENGLISH.pairs.contains(&(own, following)) {
            (self.ends, self.abbreviated) = (false, true);
            return;
        }
        let (initial, number) = (self.is_initial(), own == "##number##");
        let capital = next.first_is(char::is_uppercase);
        if (self.abbreviated || self.dots)
            && !initial
            && (next.begins() == Some(true) || capital && ENGLISH.starters.contains(following))
        {
            self.ends = true;
            return;
        }
        if initial || number {
            let small = ENGLISH.written.get(following).is_some_and(|w| w & SMALL != 0);
            let goes_on = match next.begins() {
                Some(begins) => !begins,
                None => initial && capital && !small,
            };
            if goes_on {
                (self.ends, self.abbreviated) = (false, true);
            }
        }
    }
}

/// Whether a sentence ends before the last word of a context.
fn has_end(context: &str) -> bool {
    let mut tokens: Vec<Token<'_>> = context
        .split('\n')
        .flat_map(|line| WORDS.find_iter(line).filter_map(Result::ok))
        .map(|m| Token::new(m.as_str()))
        .collect();
    for i in 1..tokens.len() {
        let (left, right) = tokens.split_at_mut(i);
        left[i - 1].before(&right[0]);
    }
    tokens.iter().rev().skip(1).any(|t| t.ends)
}

/// A mark that may end a sentence.
struct Mark {
    at: usize,
    /// End of what follows and is looked at.
    until: usize,
    /// Start of the next word, if there is white space between.
    next: Option<usize>,
}

fn marks(text: &str) -> impl Iterator<Item = Mark> {
    text.char_indices().filter(|(_, c)| ".?!".contains(*c)).filter_map(|(at, _)| {
        let rest = &text[at + 1..];
        let first = rest.chars().next()?;
        if r#")";}]*:@'({[‘’“”«»?!"#.contains(first) {
            return Some(Mark { at, until: at + 1 + first.len_utf8(), next: None });
        }
        let word = rest.trim_start();
        if word.len() == rest.len() || word.is_empty() {
            return None;
        }
        let start = text.len() - word.len();
        let length = word.find(char::is_whitespace).unwrap_or(word.len());
        Some(Mark { at, until: start + length, next: Some(start) })
    })
}

/// Marks with the word before them, those that hang together taken as one.
fn contexts(text: &str) -> Vec<(Mark, Range<usize>)> {
    let mut all: Vec<(Mark, Range<usize>)> = Vec::new();
    for mark in marks(text) {
        let before = all.last().map_or(0..0, |(_, word)| word.clone());
        let space = text[before.end..mark.at].rfind([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
        let start = space.filter(|i| *i > 0).map_or(before.start, |i| before.end + i + 1);
        if before.end > start {
            all.pop();
        }
        let word = start..mark.at;
        all.push((mark, word));
    }
    all
}

/// The sentences of a text.
pub fn sentences(text: &str) -> Vec<&str> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for (mark, word) in contexts(text) {
        if has_end(&text[word.start..mark.until]) {
            parts.push(start..mark.at + 1);
            start = mark.next.unwrap_or(mark.at + 1);
        }
    }
    parts.push(start..text.trim_end().len().max(start));
    // What closes a sentence is moved to it.
    let mut all = Vec::new();
    let mut moved = 0;
    for (i, part) in parts.iter().enumerate() {
        let from = part.start + moved;
        let next = parts.get(i + 1).map(|n| &text[n.clone()]);
        let closing = next.and_then(|n| CLOSING.find(n).ok().flatten());
        let to = closing.as_ref().map_or(part.end, |m| parts[i + 1].start + m.as_str().trim_end().len());
        moved = closing.map_or(0, |m| m.end());
        if from < to {
            all.push(&text[from..to]);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As NLTK 3.10.4 divides them.
    #[test]
    fn sentences_are_those_of_nltk() {
        for (text, expected) in [
            ("One. Two! Three?", &["One.", "Two!", "Three?"][..]),
            (
                "Dr. Smith met J. Doe at 5 p.m. on Monday. He left.",
                &["Dr. Smith met J. Doe at 5 p.m. on Monday.", "He left."],
            ),
            ("It costs 3.50 dollars", &["It costs 3.50 dollars"]),
            ("She said \"Stop.\" Then she went.", &["She said \"Stop.\"", "Then she went."]),
            ("(Sent one.) Sent two.", &["(Sent one.)", "Sent two."]),
            ("Very bad acting!!! I promise.", &["Very bad acting!!!", "I promise."]),
            ("", &[]),
        ] {
            assert_eq!(sentences(text), expected, "{text}");
        }
    }
}
