//! Published results that figures show beside our own.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::PlanError;
use crate::base::fs::{FileError, open};

/// One published model or point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// What it is.
    pub name: String,
    /// `zero-shot` models are the bank that trends are fitted to; other kinds are only shown.
    pub kind: String,
    /// Where the numbers come from.
    pub source: String,
    /// Accuracy by data set key, a fraction.
    pub scores: BTreeMap<String, f64>,
}

/// Reads a reference file: CSV with columns `name`, `kind`, `source`, then one per data set key; empty
/// cells are unknown; lines that start with `#` are remarks.
pub(super) fn read(path: &Path) -> Result<Vec<Reference>, PlanError> {
    let bad = |reason: String| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, reason);
        PlanError::File(FileError::new("use", path, source))
    };
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(open(path)?);
    let headers = reader.headers().map_err(|e| bad(e.to_string()))?.clone();
    if headers.iter().take(3).ne(["name", "kind", "source"]) {
        return Err(bad("the first columns must be name, kind, source".to_owned()));
    }
    let mut all = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| bad(e.to_string()))?;
        let mut scores = BTreeMap::new();
        for (key, cell) in headers.iter().zip(&record).skip(3).filter(|(_, c)| !c.is_empty()) {
            let value: f64 = cell.parse().map_err(|_| bad(format!("`{cell}` is not a number")))?;
            if !(0.0..=1.0).contains(&value) {
                return Err(bad(format!("`{cell}` is not a fraction")));
            }
            scores.insert(key.to_owned(), value);
        }
        let field = |i: usize| record.get(i).unwrap_or_default().to_owned();
        all.push(Reference { name: field(0), kind: field(1), source: field(2), scores });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_references_can_be_read() {
        let all = read(Path::new("suites/references/imagenet.csv")).unwrap();
        assert_eq!(all.iter().filter(|r| r.kind == "digitised").count(), 11);
        assert!(all.len() > 100 && all.iter().all(|r| !r.source.is_empty()));
    }

    #[test]
    fn percentages_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.csv");
        std::fs::write(&path, "name,kind,source,imagenet\nx,zero-shot,y,68.3\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("68.3"));
    }
}
