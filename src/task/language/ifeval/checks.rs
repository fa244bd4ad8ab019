//! The twenty-five checks.

use fancy_regex::Regex;
use serde_json::Value;

use super::punkt::sentences;
use super::text::{is_lower, is_upper, language_is};
use super::words::words;
use crate::base::account::Fields;

/// "at least" or "less than" so many.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    at_least: bool,
    n: usize,
}

impl Bound {
    fn read(fields: &Fields, count: &str, relation: &str) -> Result<Self, String> {
        let n = number(fields, count)?;
        let at_least = match fields.need::<String>(relation)?.as_str() {
            "at least" => true,
            "less than" => false,
            other => return Err(format!("the relation `{other}` is not known")),
        };
        Ok(Self { at_least, n })
    }

    const fn holds(self, n: usize) -> bool {
        if self.at_least { n >= self.n } else { n < self.n }
    }
}

/// A number above zero; the reference draws a random one in place of zero.
fn number(fields: &Fields, key: &str) -> Result<usize, String> {
    let value: f64 = fields.need(key)?;
    if value >= 1.0 && value.fract() == 0.0 && value < 1e9 {
        Ok(value as usize)
    } else {
        Err(format!("`{key}` is {value}; a whole number above 0 is needed"))
    }
}

fn text(fields: &Fields, key: &str) -> Result<String, String> {
    let value: String = fields.need(key)?;
    if value.is_empty() { Err(format!("`{key}` is empty")) } else { Ok(value) }
}

fn texts(fields: &Fields, key: &str) -> Result<Vec<String>, String> {
    let value: Vec<String> = fields.need(key)?;
    if value.is_empty() { Err(format!("`{key}` is empty")) } else { Ok(value) }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|e| format!("`{pattern}` is no pattern: {e}"))
}

/// Keywords are patterns, whatever they look like.
fn keyword(word: &str) -> Result<Regex, String> {
    compile(&format!("(?i){word}"))
}

fn matches(regex: &Regex, text: &str) -> bool {
    regex.is_match(text).unwrap_or(false)
}

fn count(regex: &Regex, text: &str) -> usize {
    regex.find_iter(text).filter_map(Result::ok).count()
}

/// One check with its arguments.
#[derive(Debug)]
pub enum Check {
    /// All of some patterns are there.
    Existence(Vec<Regex>),
    /// A pattern is there often or seldom enough.
    Frequency(Regex, Bound),
    /// None of some words is there.
    Forbidden(Vec<Regex>),
    /// A letter is there often or seldom enough.
    Letter(char, Bound),
    /// The response is in a language.
    Language(String),
    /// Number of sentences.
    Sentences(Bound),
    /// Exact number of parts between `***`.
    Paragraphs(usize, Regex),
    /// Number of words.
    Words(Bound, Regex),
    /// Number of paragraphs between empty lines, place and first word of one.
    FirstWord {
        /// Paragraphs.
        paragraphs: usize,
        /// Which.
        nth: usize,
        /// Its first word.
        word: String,
    },
    /// `[…]` at least so often.
    Placeholders(usize, Regex),
    /// A postscript.
    Postscript(Regex),
    /// Exact number of list items.
    Bullets(usize, [Regex; 2]),
    /// One of three sentences.
    Constrained,
    /// `*…*` at least so often.
    Highlights(usize, [Regex; 2]),
    /// Sections at least so many.
    Sections(usize, Regex),
    /// The response is JSON.
    Json,
    /// `<<…>>` somewhere.
    Title(Regex),
    /// Two different parts between six asterisks.
    TwoResponses,
    /// The response begins with the prompt.
    RepeatPrompt(String),
    /// The response ends with a phrase.
    End(String),
    /// The response stands in quotation marks.
    Quotation,
    /// Number of words in capitals.
    CapitalWords(Bound),
    /// English in capitals.
    EnglishCapital,
    /// English in small letters.
    EnglishLower,
    /// No comma.
    NoComma,
}

impl Check {
    /// Reads the arguments of an instruction; every one is accounted for.
    pub fn read(id: &str, arguments: &Value, prompt: &str) -> Result<Self, String> {
        let fields = Fields::new("kwargs", arguments)?;
        let check = match id.split_once(':') {
            Some(("keywords" | "language" | "length_constraints", _)) => Self::of_words(id, &fields)?,
            _ => Self::of_form(id, &fields, prompt)?,
        };
        fields.finish(&[])?;
        Ok(check)
    }

    fn of_words(id: &str, fields: &Fields) -> Result<Self, String> {
        let all = |words: Vec<String>, pattern: &dyn Fn(&str) -> Result<Regex, String>| {
            words.iter().map(|w| pattern(w)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match id {
            "keywords:existence" => Self::Existence(all(texts(fields, "keywords")?, &keyword)?),
            "keywords:frequency" => {
                let pattern = keyword(text(fields, "keyword")?.trim())?;
                Self::Frequency(pattern, Bound::read(fields, "frequency", "relation")?)
            }
            "keywords:forbidden_words" => {
                let bounded = |w: &str| compile(&format!(r"(?i)\b{w}\b"));
                Self::Forbidden(all(texts(fields, "forbidden_words")?, &bounded)?)
            }
            "keywords:letter_frequency" => {
                let letter = text(fields, "letter")?.to_lowercase();
                let mut chars = letter.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) if c.is_ascii_lowercase() => {
                        Self::Letter(c, Bound::read(fields, "let_frequency", "let_relation")?)
                    }
                    _ => return Err(format!("the letter `{letter}` is none of a to z")),
                }
            }
            "language:response_language" => Self::Language(text(fields, "language")?),
            "length_constraints:number_sentences" => {
                Self::Sentences(Bound::read(fields, "num_sentences", "relation")?)
            }
            "length_constraints:number_paragraphs" => {
                Self::Paragraphs(number(fields, "num_paragraphs")?, compile(r"\s?\*\*\*\s?")?)
            }
            "length_constraints:number_words" => {
                Self::Words(Bound::read(fields, "num_words", "relation")?, compile(r"\w+")?)
            }
            "length_constraints:nth_paragraph_first_word" => Self::FirstWord {
                paragraphs: number(fields, "num_paragraphs")?,
                nth: number(fields, "nth_paragraph")?,
                word: text(fields, "first_word")?.to_lowercase(),
            },
            other => return Err(format!("the instruction `{other}` is not known")),
        })
    }

    fn of_form(id: &str, fields: &Fields, prompt: &str) -> Result<Self, String> {
        Ok(match id {
            "detectable_content:number_placeholders" => {
                Self::Placeholders(number(fields, "num_placeholders")?, compile(r"\[.*?\]")?)
            }
            "detectable_content:postscript" => {
                let marker = text(fields, "postscript_marker")?.trim().to_owned();
                let pattern = match marker.as_str() {
                    "P.P.S" => r"(?m)\s*p\.\s?p\.\s?s.*$".to_owned(),
                    "P.S." => r"(?m)\s*p\.\s?s\..*$".to_owned(),
                    other => format!(r"(?m)\s*{}.*$", other.to_lowercase()),
                };
                Self::Postscript(compile(&pattern)?)
            }
            "detectable_format:number_bullet_lists" => {
                let patterns = [compile(r"(?m)^\s*\*[^\*].*$")?, compile(r"(?m)^\s*-.*$")?];
                Self::Bullets(number(fields, "num_bullets")?, patterns)
            }
            "detectable_format:constrained_response" => Self::Constrained,
            "detectable_format:number_highlighted_sections" => {
                let patterns = [compile(r"\*[^\n\*]*\*")?, compile(r"\*\*[^\n\*]*\*\*")?];
                Self::Highlights(number(fields, "num_highlights")?, patterns)
            }
            "detectable_format:multiple_sections" => {
                let splitter = text(fields, "section_spliter")?;
                let pattern = compile(&format!(r"\s?{}\s?\d+\s?", splitter.trim()))?;
                Self::Sections(number(fields, "num_sections")?, pattern)
            }
            "detectable_format:json_format" => Self::Json,
            "detectable_format:title" => Self::Title(compile(r"<<[^\n]+>>")?),
            "combination:two_responses" => Self::TwoResponses,
            "combination:repeat_prompt" => {
                let own = fields.get::<String>("prompt_to_repeat")?.unwrap_or_else(|| prompt.to_owned());
                Self::RepeatPrompt(own.trim().to_lowercase())
            }
            "startend:end_checker" => Self::End(text(fields, "end_phrase")?.trim().to_lowercase()),
            "startend:quotation" => Self::Quotation,
            "change_case:capital_word_frequency" => {
                Self::CapitalWords(Bound::read(fields, "capital_frequency", "capital_relation")?)
            }
            "change_case:english_capital" => Self::EnglishCapital,
            "change_case:english_lowercase" => Self::EnglishLower,
            "punctuation:no_comma" => Self::NoComma,
            other => return Err(format!("the instruction `{other}` is not known")),
        })
    }

    /// Whether the check looks at the language.
    pub const fn asks_language(&self) -> bool {
        matches!(self, Self::Language(_) | Self::EnglishCapital | Self::EnglishLower)
    }

    /// Whether a response follows.
    pub fn follows(&self, response: &str) -> bool {
        match self {
            Self::Existence(all) => all.iter().all(|k| matches(k, response)),
            Self::Frequency(keyword, bound) => bound.holds(count(keyword, response)),
            Self::Forbidden(all) => !all.iter().any(|k| matches(k, response)),
            Self::Letter(letter, bound) => {
                bound.holds(response.to_lowercase().chars().filter(|c| c == letter).count())
            }
            Self::Language(language) => language_is(response, language),
            Self::Sentences(bound) => bound.holds(sentences(response).len()),
            Self::Paragraphs(n, divider) => paragraphs(response, divider) == Some(*n),
            Self::Words(bound, word) => bound.holds(count(word, response)),
            Self::FirstWord { paragraphs, nth, word } => first_word(response, *paragraphs, *nth, word),
            Self::Placeholders(n, pattern) => count(pattern, response) >= *n,
            Self::Postscript(pattern) => matches(pattern, &response.to_lowercase()),
            Self::Bullets(n, patterns) => patterns.iter().map(|p| count(p, response)).sum::<usize>() == *n,
            Self::Constrained => ["yes", "no", "maybe"]
                .iter()
                .any(|answer| response.contains(&format!("My answer is {answer}."))),
            Self::Highlights(n, patterns) => highlights(response, patterns) >= *n,
            Self::Sections(n, splitter) => count(splitter, response) >= *n,
            Self::Json => is_json(response),
            Self::Title(pattern) => {
                let blank = |t: &str| t.trim_start_matches('<').trim_end_matches('>').trim().is_empty();
                pattern.find_iter(response).filter_map(Result::ok).any(|m| !blank(m.as_str()))
            }
            Self::TwoResponses => two_responses(response),
            Self::RepeatPrompt(prompt) => response.trim().to_lowercase().starts_with(prompt.as_str()),
            Self::End(phrase) => response.trim().trim_matches('"').to_lowercase().ends_with(phrase.as_str()),
            Self::Quotation => {
                let text = response.trim();
                text.chars().count() > 1 && text.starts_with('"') && text.ends_with('"')
            }
            Self::CapitalWords(bound) => bound.holds(words(response).iter().filter(|w| is_upper(w)).count()),
            Self::EnglishCapital => is_upper(response) && language_is(response, "en"),
            Self::EnglishLower => is_lower(response) && language_is(response, "en"),
            Self::NoComma => !response.contains(','),
        }
    }
}

/// Parts between dividers; `None` if one in the middle is blank.
fn paragraphs(response: &str, divider: &Regex) -> Option<usize> {
    let parts: Vec<&str> = divider.split(response).filter_map(Result::ok).collect();
    let mut n = parts.len();
    for (i, part) in parts.iter().enumerate().filter(|(_, p)| p.trim().is_empty()) {
        debug_assert!(part.trim().is_empty());
        if i != 0 && i != parts.len() - 1 {
            return None;
        }
        n -= 1;
    }
    Some(n)
}

fn first_word(response: &str, paragraphs: usize, nth: usize, word: &str) -> bool {
    let parts: Vec<&str> = response.split("\n\n").collect();
    let n = parts.iter().filter(|p| !p.trim().is_empty()).count();
    // Place among all parts, bound by those that are not blank.
    if nth > n {
        return false;
    }
    let Some(found) = parts[nth - 1].split_whitespace().next() else { return false };
    let found = found.trim_start_matches('\'').trim_start_matches('"');
    let end = found.find(['.', ',', '?', '!', '\'', '"']).unwrap_or(found.len());
    n == paragraphs && found[..end].chars().flat_map(char::to_lowercase).collect::<String>() == word
}

fn highlights(response: &str, [single, double]: &[Regex; 2]) -> usize {
    let found = |pattern: &Regex, inner: &dyn Fn(&str) -> bool| {
        pattern.find_iter(response).filter_map(Result::ok).filter(|m| inner(m.as_str())).count()
    };
    let one = |m: &str| !m.trim_matches('*').trim().is_empty();
    let two = |m: &str| {
        let inner = m.strip_prefix("**").unwrap_or(m);
        !inner.strip_suffix("**").unwrap_or(inner).trim().is_empty()
    };
    found(single, &one) + found(double, &two)
}

/// JSON as Python's `json.loads` takes it, perhaps in a code fence.
fn is_json(response: &str) -> bool {
    let mut text = response.trim();
    for fence in ["```json", "```Json", "```JSON", "```"] {
        text = text.strip_prefix(fence).unwrap_or(text);
    }
    let text = text.strip_suffix("```").unwrap_or(text).trim();
    // Python also reads these names, and halves of surrogate pairs.
    let names = Regex::new(r#"("(?:[^"\\]|\\.)*")|-?\bInfinity\b|\bNaN\b"#);
    let halves = Regex::new(r"\\u[dD][89aAbBcCdDeEfF][0-9a-fA-F]{2}");
    let (Ok(names), Ok(halves)) = (names, halves) else { return false };
    let plain = names.replace_all(text, |c: &fancy_regex::Captures<'_>| match c.get(1) {
        Some(string) => string.as_str().to_owned(),
        None => "0".to_owned(),
    });
    let plain = halves.replace_all(&plain, r"\u0041");
    serde_json::from_str::<Value>(&plain).is_ok()
}

fn two_responses(response: &str) -> bool {
    let parts: Vec<&str> = response.split("******").collect();
    let inside = |i: usize| i != 0 && i != parts.len() - 1;
    if parts.iter().enumerate().any(|(i, p)| p.trim().is_empty() && inside(i)) {
        return false;
    }
    let whole: Vec<&str> = parts.into_iter().filter(|p| !p.trim().is_empty()).collect();
    whole.len() == 2 && whole[0].trim() != whole[1].trim()
}
