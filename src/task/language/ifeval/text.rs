//! Case and language of responses.

use whatlang::Lang;

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
    fn case_as_python_has_it() {
        assert!(is_upper("A B-2!") && !is_upper("12") && !is_upper("Ab"));
        assert!(is_lower("a b-2!") && !is_lower("12"));
    }

    #[test]
    fn languages_by_their_letters() {
        assert!(language_is("Dies ist ein deutscher Satz, der lang genug ist.", "de"));
        assert!(language_is("This is an English sentence that is long enough.", "en"));
        assert!(!language_is("Ceci est une phrase en français.", "en"));
    }
}
