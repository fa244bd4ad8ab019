//! Arguments that are more than texts.

use std::path::PathBuf;
use std::str::FromStr as _;

use clap::builder::{OsStringValueParser, TypedValueParser};

pub fn counted(text: &str) -> Result<(String, usize), String> {
    let (name, n) = text.rsplit_once('=').ok_or("must be PROBE=N")?;
    Ok((name.to_owned(), positive(n)?))
}

/// A path that may be empty: a variable that is set to nothing counts as not set.
pub fn any_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

pub fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "must be a whole number, 1 or more".to_owned())
}

pub fn shard(text: &str) -> Result<(usize, usize), String> {
    let bad = || "must be I/N with 1 <= I <= N".to_owned();
    let (i, n) = text.split_once('/').ok_or_else(bad)?;
    match (i.parse::<usize>(), n.parse::<usize>()) {
        (Ok(i), Ok(n)) if i >= 1 && i <= n => Ok((i - 1, n)),
        _ => Err(bad()),
    }
}

/// A length in points of 1/72 inch.
pub fn points(text: &str) -> Result<f64, String> {
    let advice = || format!("`{text}` is no length; write one such as 3.25in, 8.5cm, 85mm or 234pt");
    let length = svgtypes::Length::from_str(text).map_err(|_| advice())?;
    let inches = match length.unit {
        svgtypes::LengthUnit::In => length.number,
        svgtypes::LengthUnit::Cm => length.number / 2.54,
        svgtypes::LengthUnit::Mm => length.number / 25.4,
        svgtypes::LengthUnit::Pt => length.number / 72.0,
        _ => return Err(advice()),
    };
    if inches > 0.0 && inches.is_finite() { Ok(inches * 72.0) } else { Err(advice()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards() {
        assert_eq!(shard("1/4"), Ok((0, 4)));
        assert!(shard("0/4").is_err() && shard("5/4").is_err() && shard("x").is_err());
    }
}
