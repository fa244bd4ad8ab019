//! Filters on generated texts (lm-eval 0.4.13, `lm_eval/filters`).

use fancy_regex::Regex;
use serde_json::Value;

use crate::base::account::Fields;

/// One step.
#[derive(Clone, Debug)]
pub enum Filter {
    /// One match of a pattern: the first from the front or the back.
    Regex {
        /// The pattern.
        pattern: Regex,
        /// Which match; negative from the back.
        select: i64,
        /// What stands for no match.
        fallback: String,
    },
    /// Lower case.
    Lowercase,
    /// Upper case.
    Uppercase,
    /// White space at both ends goes.
    RemoveWhitespace,
    /// The first of several answers: there is one.
    First,
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Filter {
    /// Reads a step of `filter_list`.
    pub fn read(value: &Value) -> Result<Self, String> {
        let fields = Fields::new("filter", value)?;
        let function: String = fields.need("function")?;
        let this = match function.as_str() {
            "regex" => {
                let pattern = fields.or("regex_pattern", r"#### (\-?[0-9\.\,]+)".to_owned())?;
                let regex = Regex::new(&pattern).map_err(|e| format!("`{pattern}` is no pattern: {e}"))?;
                Self::Regex {
                    pattern: regex,
                    select: fields.or("group_select", 0)?,
                    fallback: fields.or("fallback", "[invalid]".to_owned())?,
                }
            }
            "lowercase" => Self::Lowercase,
            "uppercase" => Self::Uppercase,
            "remove_whitespace" => Self::RemoveWhitespace,
            "take_first" => Self::First,
            other => return Err(format!("the filter `{other}` is not supported")),
        };
        fields.finish(&[])?;
        Ok(this)
    }

    /// What is left of a text.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        match self {
            Self::Regex { pattern, select, fallback } => {
                // As Python's `findall`: the whole match without groups, one group, or the first of several that is not
                // empty.
                let all: Vec<Option<String>> = pattern
                    .captures_iter(text)
                    .filter_map(Result::ok)
                    .map(|c| match c.len() {
                        1 => c.get(0).map(|m| m.as_str().to_owned()),
                        2 => Some(c.get(1).map_or("", |m| m.as_str()).to_owned()),
                        n => (1..n)
                            .filter_map(|i| c.get(i))
                            .map(|m| m.as_str().to_owned())
                            .find(|m| !m.is_empty()),
                    })
                    .collect();
                let place = if *select < 0 { all.len() as i64 + select } else { *select };
                let found = usize::try_from(place).ok().and_then(|p| all.get(p).cloned());
                match found {
                    Some(Some(text)) => text.trim().to_owned(),
                    Some(None) | None => fallback.clone(),
                }
            }
            Self::Lowercase => text.to_lowercase(),
            Self::Uppercase => text.to_uppercase(),
            Self::RemoveWhitespace => text.trim().to_owned(),
            Self::First => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn matches_are_taken_as_python_finds_them() {
        let regex = |pattern: &str, select: i64| {
            Filter::read(&json!({"function": "regex", "regex_pattern": pattern, "group_select": select}))
                .unwrap()
        };
        let answer = regex("(?<=the answer is )(.*)(?=.)", 0);
        assert_eq!(answer.apply("So the answer is True. And more."), "True. And more");
        assert_eq!(answer.apply("no"), "[invalid]");
        assert_eq!(regex(r"\d+", -1).apply("3 then 17"), "17");
        assert_eq!(regex(r"(a)|(b)", 0).apply("xb"), "b");
        assert!(Filter::read(&json!({"function": "majority_vote"})).is_err());
    }
}
