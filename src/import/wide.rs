//! Rows with one number per data set.

use serde_json::{Map, Value};

use super::{Found, proportion};

/// The cells of one model: keys that are numbers within 0 and 1, under the names that `probe` gives them.
pub fn cells(
    variant: &str,
    row: &Map<String, Value>,
    probe: impl Fn(&str) -> Option<(String, &'static str)>,
) -> Result<Vec<Found>, String> {
    let mut all = Vec::new();
    for (key, value) in row {
        let Some((probe, metric)) = probe(key) else { continue };
        let Some(value) = value.as_f64() else { continue };
        if !(0.0..=1.0).contains(&value) {
            return Err(format!("`{key}` of `{variant}` is {value}; a fraction is expected"));
        }
        let scores = vec![(metric, proportion(value, None))];
        all.push(Found { variant: variant.to_owned(), probe, scores, rows: None });
    }
    Ok(all)
}
