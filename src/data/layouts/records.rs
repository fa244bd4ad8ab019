//! Documents: JSON Lines, JSON, CSV, Parquet or plain text, by the file's ending.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::fs::{read, read_text};
use crate::base::registry::Named;
use crate::base::rows::rows;
use crate::data::{
    DataError, Dataset, Example, Layout, LayoutOptions, Record, Unchanged, check_ids, format_error,
};

/// The layout.
pub(super) struct Records;

impl Named for Records {
    fn name(&self) -> &'static str {
        "records"
    }
    fn summary(&self) -> &'static str {
        "documents: .jsonl, .json (a list), .csv, .parquet, .txt (one document with the column `text`)"
    }
    fn reference(&self) -> &'static str {
        "https://jsonlines.org; huggingface/datasets loaders json, csv, parquet, text"
    }
}

impl Layout for Records {
    fn open(&self, files: &[PathBuf], options: &LayoutOptions) -> Result<Box<dyn Dataset>, DataError> {
        let mut held = Vec::new();
        let mut documents = Vec::new();
        for path in files {
            held.push(Unchanged::new(path)?);
            documents.extend(documents_of(path)?);
        }
        let id = |i: usize, document: &Map<String, Json>| match &options.columns.id {
            None => i.to_string(),
            Some(column) => match document.get(column) {
                Some(Json::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => i.to_string(),
            },
        };
        let examples: Vec<Example> =
            documents.iter().enumerate().map(|(i, d)| Example { id: id(i, d), label: 0 }).collect();
        let first = files.first().cloned().unwrap_or_default();
        if examples.is_empty() {
            return Err(format_error(&first, "holds no document"));
        }
        check_ids(&first, &examples)?;
        Ok(Box::new(Documents { examples, documents, held }))
    }
}

struct Documents {
    examples: Vec<Example>,
    documents: Vec<Map<String, Json>>,
    held: Vec<Unchanged>,
}

impl Dataset for Documents {
    fn digest(&self, digests: &FileDigests) -> Result<Digest, DataError> {
        Unchanged::digest(&self.held, digests)
    }

    fn examples(&self) -> &[Example] {
        &self.examples
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<Record>, DataError> {
        Ok(self.documents[range].iter().map(|d| Record::from(d.clone())).collect())
    }

    fn column(&self, name: &str) -> Result<Option<Vec<String>>, DataError> {
        let text = |d: &Map<String, Json>| match d.get(name)? {
            Json::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        Ok(self.documents.iter().map(text).collect())
    }
}

fn documents_of(path: &Path) -> Result<Vec<Map<String, Json>>, DataError> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    let object = |value: Json, at: &str| match value {
        Json::Object(map) => Ok(map),
        _ => Err(format_error(path, format!("{at} is no object"))),
    };
    match ending.as_str() {
        "jsonl" | "ndjson" => {
            let text = read_text(path)?;
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            lines
                .map(|(i, line)| {
                    let at = format!("line {}", i + 1);
                    let value = serde_json::from_str(line);
                    object(value.map_err(|e| format_error(path, format!("{at}: {e}")))?, &at)
                })
                .collect()
        }
        "json" => {
            let value: Json =
                serde_json::from_slice(&read(path)?).map_err(|e| format_error(path, e.to_string()))?;
            let Json::Array(all) = value else {
                return Err(format_error(path, "holds no list of documents"));
            };
            all.into_iter().enumerate().map(|(i, v)| object(v, &format!("document {i}"))).collect()
        }
        "csv" => {
            let bad = |e: csv::Error| format_error(path, e.to_string());
            let bytes = read(path)?;
            let mut reader = csv::Reader::from_reader(&bytes[..]);
            let names = reader.headers().map_err(bad)?.clone();
            let document = |record: csv::StringRecord| {
                names.iter().map(str::to_owned).zip(record.iter().map(Json::from)).collect()
            };
            reader.records().map(|r| r.map(document).map_err(bad)).collect()
        }
        "parquet" => rows(path).map_err(|source| DataError::Table { path: path.to_owned(), source }),
        "txt" => Ok(vec![Map::from_iter([("text".to_owned(), read_text(path)?.into())])]),
        other => {
            Err(format_error(path, format!("a file that ends in `{other}` is not understood as documents")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_documents_in_every_form() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str, content: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            Records
                .open(&[path], &LayoutOptions::default())
                .map(|d| (d.column("q").unwrap(), d.examples().len()))
        };
        let right = (Some(vec!["a, b".to_owned(), "c".to_owned()]), 2);
        assert_eq!(open("x.jsonl", "{\"q\": \"a, b\"}\n\n{\"q\": \"c\"}\n").unwrap(), right);
        assert_eq!(open("x.json", "[{\"q\": \"a, b\"}, {\"q\": \"c\"}]").unwrap(), right);
        assert_eq!(open("x.csv", "q,n\n\"a, b\",1\nc,2\n").unwrap(), right);
        assert_eq!(open("x.txt", "whole").unwrap().1, 1);
        for (name, content, part) in [
            ("y.jsonl", "{\"q\": 1}\n[1]\n", "line 2"),
            ("y.json", "{}", "no list"),
            ("y.csv", "a,b\n1\n", "y.csv"),
            ("y.jsonl", "", "no document"),
            ("y.xls", "", "`xls`"),
        ] {
            let error = open(name, content).unwrap_err().to_string();
            assert!(error.contains(part), "{part} not in {error}");
        }
    }
}
