//! IFEval: whether a response follows instructions that a program can check (Zhou et al. 2023, arXiv:2311.07911), as
//! lm-eval 0.4.13 scores it.
//!
//! Differences from the reference, each on purpose:
//!
//! - An argument that is zero or empty counts as missing there, and a random one is drawn in its place. Here such a document
//!   is refused.
//! - Languages are told apart by `whatlang` instead of `langdetect`, which draws at random and is not seeded there: of 298
//!   verdicts on which five of its seeds agree, 14 differ (`tests/golden/ifeval.jsonl`: two languages in one text, very short
//!   texts). A language that `whatlang` does not know (Swahili) counts as not followed.
//!
//! All other checks agree on all 2,200 pairs of the same file, sentences and words cut as NLTK cuts them.

mod checks;
mod punkt;
mod text;
mod words;

use serde_json::{Map, Value};

use checks::Check;

use super::kind::{Judge, verdict};
use crate::task::{Answer, Judged};

/// Numbers kept of each response.
pub const NUMBERS: [&str; 7] = [
    "prompt_strict",
    "prompt_loose",
    "followed_strict",
    "followed_loose",
    "instructions",
    "language_uncertain",
    "tokens",
];

/// Lists kept of each response: one value for each instruction.
pub const LISTS: [&str; 2] = ["strict", "loose"];

/// The instructions of one prompt.
pub struct Instructions(Vec<Check>);

impl Instructions {
    /// Reads `instruction_id_list` and `kwargs` of a document.
    pub fn read(document: &Map<String, Value>) -> Result<Self, String> {
        let list = |key: &str| {
            document
                .get(key)
                .and_then(Value::as_array)
                .ok_or_else(|| format!("`{key}` is missing or no list"))
        };
        let (ids, arguments) = (list("instruction_id_list")?, list("kwargs")?);
        if ids.len() != arguments.len() || ids.is_empty() {
            return Err(format!("{} instructions with {} sets of arguments", ids.len(), arguments.len()));
        }
        let prompt = document.get("prompt").and_then(Value::as_str).unwrap_or_default();
        let one = |(id, arguments): (&Value, &Value)| {
            let id = id.as_str().ok_or("an instruction's id is no text")?;
            Check::read(id, arguments, prompt).map_err(|e| format!("`{id}`: {e}"))
        };
        Ok(Self(ids.iter().zip(arguments).map(one).collect::<Result<_, _>>()?))
    }

    /// Whether each instruction is followed by the response as it is, and by any of its loose forms.
    #[must_use]
    pub fn follow(&self, response: &str) -> (Vec<bool>, Vec<bool>) {
        let forms = loose(response);
        let passes = |check: &Check, text: &str| !text.trim().is_empty() && check.follows(text);
        let strict = self.0.iter().map(|c| passes(c, response)).collect();
        let any = |c: &Check| forms.iter().any(|f| passes(c, f));
        (strict, self.0.iter().map(any).collect())
    }
}

/// Eight forms: with and without the first and the last line, each with and without asterisks.
fn loose(response: &str) -> Vec<String> {
    let lines: Vec<&str> = response.split('\n').collect();
    let part = |from: usize, to: usize| {
        lines.get(from..to.max(from)).unwrap_or_default().join("\n").trim().to_owned()
    };
    let n = lines.len();
    let cut = [part(1, n), part(0, n - 1), part(1, n - 1)];
    let all: Vec<String> = std::iter::once(response.to_owned()).chain(cut).collect();
    let bare: Vec<String> = all.iter().map(|t| t.replace('*', "")).collect();
    all.into_iter().chain(bare).collect()
}

impl Judge for Instructions {
    fn judge(&self, answer: &Answer) -> Option<Judged> {
        let Answer::Text(found) = answer else { return None };
        let (strict, loose) = self.follow(&found.text);
        let values = |all: &[bool]| -> Vec<f64> { all.iter().map(|&b| f64::from(u8::from(b))).collect() };
        let all = |list: &[bool]| f64::from(u8::from(list.iter().all(|b| *b)));
        let sum = |list: &[bool]| values(list).iter().sum::<f64>();
        let uncertain = self.0.iter().any(|c| c.asks_language() && !text::is_certain(&found.text));
        let followed = all(&strict);
        Some(Judged {
            choice: verdict(followed == 1.0, 1.0, 1.0 - followed),
            numbers: vec![
                followed,
                all(&loose),
                sum(&strict),
                sum(&loose),
                strict.len() as f64,
                f64::from(u8::from(uncertain)),
                f64::from(found.tokens),
            ],
            lists: vec![values(&strict), values(&loose)],
            text: Some(found.text.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn loose_forms_leave_lines_and_asterisks_out() {
        let document = json!({"prompt": "p", "instruction_id_list": ["punctuation:no_comma", "startend:end_checker"],
                              "kwargs": [{}, {"end_phrase": "Done."}]});
        let instructions = Instructions::read(document.as_object().unwrap()).unwrap();
        let (strict, loose) = instructions.follow("Sure, here it is:\nAll **done.**");
        assert_eq!((strict, loose), (vec![false, false], vec![true, true]));
        let (strict, loose) = instructions.follow("  ");
        assert_eq!((strict, loose), (vec![false, false], vec![false, false]));
    }

    #[test]
    fn arguments_that_the_reference_would_replace_are_refused() {
        let read = |id: &str, arguments: Value| {
            let document = json!({"instruction_id_list": [id], "kwargs": [arguments]});
            Instructions::read(document.as_object().unwrap()).map(|_| ())
        };
        for (id, arguments, part) in [
            (
                "keywords:frequency",
                json!({"keyword": "x", "frequency": 0, "relation": "at least"}),
                "`frequency`",
            ),
            ("keywords:existence", json!({"keywords": []}), "`keywords`"),
            (
                "keywords:letter_frequency",
                json!({"letter": "!", "let_frequency": 2, "let_relation": "at least"}),
                "letter",
            ),
            ("length_constraints:number_words", json!({"num_words": 5, "relation": "around"}), "relation"),
            ("magic:trick", json!({}), "not known"),
            ("punctuation:no_comma", json!({"num_words": 5}), "num_words"),
        ] {
            let error = read(id, arguments).unwrap_err();
            assert!(error.contains(part), "{part} not in {error}");
        }
    }

    /// Verdicts of lm-eval 0.4.13; `tests/golden/make_ifeval.py` made them. Languages are told apart by another library,
    /// so a few of its verdicts differ; every other one is equal.
    #[test]
    fn verdicts_are_those_of_the_reference() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ifeval.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        let (mut all, mut kinds, mut languages) = (0, std::collections::BTreeSet::new(), Vec::new());
        let mut wrong = Vec::new();
        for line in text.lines() {
            let (kind, arguments, response, strict, loose): (String, Value, String, bool, bool) =
                serde_json::from_str(line).unwrap();
            let document = json!({"prompt": "p", "instruction_id_list": [kind], "kwargs": [arguments]});
            let instructions = Instructions::read(document.as_object().unwrap()).unwrap();
            let found = instructions.follow(&response);
            all += 1;
            if found != (vec![strict], vec![loose]) {
                let by_language = instructions.0[0].asks_language();
                (if by_language { &mut languages } else { &mut wrong }).push(line.to_owned());
            }
            kinds.insert(kind);
        }
        assert!(all >= 2000 && kinds.len() == 25, "{all} verdicts on {} kinds", kinds.len());
        assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
        // Two languages in one text, four short words, a language that is not known: where langdetect is sure five times.
        assert_eq!(languages.len(), 14, "{}", languages.join("\n"));
    }
}
