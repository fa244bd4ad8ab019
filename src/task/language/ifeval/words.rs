//! Words as NLTK's `word_tokenize` cuts them: sentences by Punkt, then the rules of the Penn Treebank with NLTK's additions
//! (`nltk.tokenize.destructive`), whose substitutions are followed one by one.

use std::sync::LazyLock;

use fancy_regex::Regex;

use super::punkt::{pattern, sentences};

/// Substitutions in their order; a line of dashes stands where a space is put before and after the text.
const RULES: [(&str, &str); 33] = [
    (r"([«“‘„]|`+)", " $1 "),
    (r#"^""#, "``"),
    (r"(``)", " $1 "),
    (r#"([ (\[{<])("|'{2})"#, "$1 `` "),
    (r"(?i)(?<!\w)(')(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", "$1 "),
    (r#"([^.])(\.)([\])}>"'»”’ ]*+)\s*$"#, "$1 $2 $3 "),
    (r"([:,])([^\d])", " $1 $2"),
    (r"([:,])$", " $1 "),
    (r"\.{2,}", " $0 "),
    (r"[;@#$%&]", " $0 "),
    (r"[\u{2012}-\u{2015}]", " $0 "),
    (r#"([^.])(\.)([\])}>"']*)\s*$"#, "$1 $2$3 "),
    (r"[?!]", " $0 "),
    (r"([^'])' ", "$1 ' "),
    (r"[*]", " $0 "),
    (r"[\]\[(){}<>]", " $0 "),
    (r"--", " -- "),
    (PAD, ""),
    (r"([»”’])", " $1 "),
    (r"''", " '' "),
    (r#"""#, " '' "),
    (r"\s+", " "),
    (r"([^' ])('[sS]|'[mM]|'[dD]|') ", "$1 $2 "),
    (r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", "$1 $2 "),
    (r"(?i)\b(can)(not)\b", " $1 $2 "),
    (r"(?i)\b(d)('ye)\b", " $1 $2 "),
    (r"(?i)\b(gim)(me)\b", " $1 $2 "),
    (r"(?i)\b(gon)(na)\b", " $1 $2 "),
    (r"(?i)\b(got)(ta)\b", " $1 $2 "),
    (r"(?i)\b(lem)(me)\b", " $1 $2 "),
    (r"(?i)\b(more)('n)\b", " $1 $2 "),
    (r"(?i)\b(wan)(na)(?=\s)", " $1 $2 "),
    (r"(?i) ('t)(is|was)\b", " $1 $2 "),
];

/// Stands for the padding.
const PAD: &str = "-";

static COMPILED: LazyLock<Vec<Option<(Regex, &str)>>> =
    LazyLock::new(|| RULES.iter().map(|(p, to)| (*p != PAD).then(|| (pattern(p), *to))).collect());

/// The words of a text.
pub fn words(text: &str) -> Vec<String> {
    let cut = |sentence: &str| {
        let mut text = sentence.to_owned();
        for rule in COMPILED.iter() {
            text = match rule {
                Some((regex, to)) => regex.replace_all(&text, *to).into_owned(),
                None => format!(" {text} "),
            };
        }
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    sentences(text).into_iter().flat_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As NLTK 3.10.4 cuts them.
    #[test]
    fn words_are_those_of_nltk() {
        let found = words("CAN'T stop: the USA's \"BEST\" (of 3,36). Gimme MORE--now...");
        let expected = [
            "CA", "N'T", "stop", ":", "the", "USA", "'s", "``", "BEST", "''", "(", "of", "3,36", ")", ".",
            "Gim", "me", "MORE", "--", "now", "...",
        ];
        assert_eq!(found, expected);
    }
}
