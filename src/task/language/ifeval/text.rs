//! Sentences, words, case and language of responses.

use whatlang::Lang;

/// Abbreviations after which a sentence goes on, without their last point.
const ABBREVIATIONS: [&str; 38] = [
    "mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "vs", "etc", "e.g", "i.e", "inc", "ltd", "co", "corp",
    "no", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "u.s", "u.k",
    "a.m", "p.m", "ph.d", "gen", "gov", "rev", "fig",
];

/// Number of sentences: they end in a point, a question or an exclamation mark, perhaps with closing quotes or brackets,
/// before white space, unless the point belongs to an abbreviation or an initial, or the next word is in small letters.
pub fn sentences(text: &str) -> usize {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut n = 0;
    let mut open = false;
    for (i, word) in words.iter().enumerate() {
        open = true;
        let bare = word.trim_end_matches(['"', '\'', ')', ']', '\u{201d}', '\u{2019}', '*']);
        let next = words.get(i + 1).and_then(|w| w.chars().find(|c| c.is_alphanumeric()));
        let ends = if bare.ends_with(['!', '?']) {
            true
        } else if bare.ends_with('.') {
            let stem =
                bare.trim_end_matches('.').trim_start_matches(['"', '\'', '(', '[', '*']).to_lowercase();
            let initial = stem.chars().count() == 1 && stem.chars().all(char::is_alphabetic) && stem != "i";
            let short = initial || ABBREVIATIONS.contains(&stem.as_str());
            !short && next.is_none_or(|c| !c.is_lowercase())
        } else {
            false
        };
        if ends {
            n += 1;
            open = false;
        }
    }
    n + usize::from(open)
}

/// Words: letters, digits, hyphens and apostrophes that stand together.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || "-'_".contains(c))).filter(|w| !w.is_empty())
}

/// Python's `isupper`: no letter is small, and one has a case.
pub fn is_upper(text: &str) -> bool {
    let small = |c: char| c.is_lowercase() || is_title(c);
    !text.chars().any(small) && text.chars().any(char::is_uppercase)
}

/// Python's `islower`.
pub fn is_lower(text: &str) -> bool {
    !text.chars().any(|c| c.is_uppercase() || is_title(c)) && text.chars().any(char::is_lowercase)
}

/// Letters like U+01C5, which are neither.
fn is_title(c: char) -> bool {
    matches!(c, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}')
}

/// Whether the detection is sure of itself.
pub fn is_certain(text: &str) -> bool {
    whatlang::detect(text).is_some_and(|d| d.is_reliable())
}

/// Whether a text is in a language, given by its two letters; a text in which nothing can be detected counts as being in it.
pub fn language_is(text: &str, language: &str) -> bool {
    let Some(found) = whatlang::detect(text) else { return true };
    code(found.lang()) == Some(language)
}

/// ISO 639-1 of the languages in IFEval's prompts.
fn code(language: Lang) -> Option<&'static str> {
    Some(match language {
        Lang::Eng => "en",
        Lang::Spa => "es",
        Lang::Por => "pt",
        Lang::Ara => "ar",
        Lang::Hin => "hi",
        Lang::Fra => "fr",
        Lang::Rus => "ru",
        Lang::Deu => "de",
        Lang::Jpn => "ja",
        Lang::Ita => "it",
        Lang::Ben => "bn",
        Lang::Ukr => "uk",
        Lang::Tha => "th",
        Lang::Urd => "ur",
        Lang::Tam => "ta",
        Lang::Tel => "te",
        Lang::Bul => "bg",
        Lang::Kor => "ko",
        Lang::Pol => "pl",
        Lang::Heb => "he",
        Lang::Pes => "fa",
        Lang::Vie => "vi",
        Lang::Nep => "ne",
        Lang::Guj => "gu",
        Lang::Kan => "kn",
        Lang::Mar => "mr",
        Lang::Pan => "pa",
        Lang::Mal => "ml",
        Lang::Fin => "fi",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_words_and_case() {
        for (text, n) in [
            ("One. Two! Three?", 3),
            ("Dr. Smith met J. Doe at 5 p.m. on Monday. He left.", 2),
            ("It costs 3.50 dollars", 1),
            ("She said \"Stop.\" Then she went.", 2),
            ("He lives in the U.S. and works", 1),
            ("", 0),
        ] {
            assert_eq!(sentences(text), n, "{text}");
        }
        assert!(is_upper("A B-2!") && !is_upper("12") && !is_upper("Ab"));
        assert!(is_lower("a b-2!") && !is_lower("12"));
        assert_eq!(words("ALL-CAPS isn't ok").collect::<Vec<_>>(), ["ALL-CAPS", "isn't", "ok"]);
    }

    #[test]
    fn languages_by_their_letters() {
        assert!(language_is("Dies ist ein deutscher Satz, der lang genug ist.", "de"));
        assert!(language_is("This is an English sentence that is long enough.", "en"));
        assert!(!language_is("Ceci est une phrase en français.", "en"));
    }
}
