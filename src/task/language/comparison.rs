//! Comparisons of a generated text with a reference.

use std::collections::BTreeMap;

use fancy_regex::Regex;

use super::definition::MetricUse;

/// What counts for an exact match (lm-eval 0.4.13, `exact_match_hf_evaluate`).
#[derive(Default)]
pub struct Comparison {
    patterns: Vec<Regex>,
    case: bool,
    punctuation: bool,
    numbers: bool,
}

impl Comparison {
    /// As a task's metric says.
    pub fn new(metric: &MetricUse) -> Result<Self, String> {
        let compile = |p: &String| Regex::new(p).map_err(|e| format!("`{p}` is no pattern: {e}"));
        Ok(Self {
            patterns: metric.regexes_to_ignore.iter().map(compile).collect::<Result<_, _>>()?,
            case: metric.ignore_case,
            punctuation: metric.ignore_punctuation,
            numbers: metric.ignore_numbers,
        })
    }

    fn reduced(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for pattern in &self.patterns {
            text = pattern.replace_all(&text, "").into_owned();
        }
        if self.case {
            text = text.to_lowercase();
        }
        text.chars()
            .filter(|c| !(self.punctuation && c.is_ascii_punctuation() || self.numbers && c.is_ascii_digit()))
            .collect()
    }

    /// Whether both texts are equal.
    #[must_use]
    pub fn equal(&self, text: &str, reference: &str) -> bool {
        self.reduced(text) == self.reduced(reference)
    }
}

/// F1 of the words of two texts, lower-cased, without punctuation and articles (SQuAD's evaluation script).
#[must_use]
pub fn token_f1(text: &str, reference: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        let plain: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
        let is_article = |w: &&str| ["a", "an", "the"].contains(w);
        plain.split_whitespace().filter(|w| !is_article(w)).map(str::to_owned).collect()
    };
    let (a, b) = (words(text), words(reference));
    if a.is_empty() || b.is_empty() {
        return f64::from(u8::from(a == b));
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    b.iter().for_each(|w| *left.entry(w).or_default() += 1);
    let take = |w: &&String| match left.get_mut(w.as_str()) {
        Some(n) if *n > 0 => {
            *n -= 1;
            true
        }
        _ => false,
    };
    let same = a.iter().filter(take).count() as f64;
    f1(same / a.len() as f64, same / b.len() as f64)
}

/// ROUGE-L: F1 of the longest common subsequence of words (`rouge_score` without stemming: lower case, letters a to z and
/// digits).
#[must_use]
pub fn rouge_l(text: &str, reference: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        let lower = text.to_lowercase();
        let parts = lower.split(|c: char| !c.is_ascii_alphanumeric());
        parts.filter(|w| !w.is_empty()).map(str::to_owned).collect()
    };
    let (a, b) = (words(text), words(reference));
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let mut row = vec![0_usize; b.len() + 1];
    for x in &a {
        let mut corner = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { corner + 1 } else { above.max(row[j]) };
            corner = above;
        }
    }
    let same = row[b.len()] as f64;
    f1(same / a.len() as f64, same / b.len() as f64)
}

fn f1(precision: f64, recall: f64) -> f64 {
    if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_by_hand() {
        assert!((token_f1("The cat sat.", "a cat ran") - 0.5).abs() < 1e-12);
        assert_eq!(token_f1("", ""), 1.0);
        // Common subsequence: police the gunman, of 4 and 4 words.
        assert!((rouge_l("police kill the gunman", "police killed the gunman") - 0.75).abs() < 1e-12);
        assert_eq!(rouge_l("", "x"), 0.0);
    }
}
