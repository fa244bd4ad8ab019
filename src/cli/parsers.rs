//! Arguments that are more than texts.

use std::path::PathBuf;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards() {
        assert_eq!(shard("1/4"), Ok((0, 4)));
        assert!(shard("0/4").is_err() && shard("5/4").is_err() && shard("x").is_err());
    }
}
