//! Parquet files with columns `id` (text), `label` (integer) and `image` (encoded bytes).

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::base::registry::Named;
use crate::base::table::{Table, TableError};
use crate::data::{DataError, Dataset, Example, Layout, LayoutOptions, RawImage};

/// The layout.
pub(super) struct Parquet;

impl Named for Parquet {
    fn name(&self) -> &'static str {
        "parquet"
    }
    fn summary(&self) -> &'static str {
        "Parquet with columns id, label, image (encoded bytes); several files are joined in order"
    }
    fn reference(&self) -> &'static str {
        "https://parquet.apache.org"
    }
}

impl Layout for Parquet {
    fn open(&self, files: &[PathBuf], _: &LayoutOptions) -> Result<Box<dyn Dataset>, DataError> {
        let mut shards = Vec::new();
        let mut examples = Vec::new();
        for path in files {
            let wrap = |source| at(path, source);
            let table = Table::read(path, Some(&["id", "label"]), None).map_err(wrap)?;
            let ids = table.strings("id").map_err(wrap)?;
            let labels = table.u32s("label").map_err(wrap)?;
            let start = examples.len();
            examples.extend(ids.into_iter().zip(labels).map(|(id, label)| Example { id, label }));
            shards.push((path.clone(), start..examples.len()));
        }
        Ok(Box::new(ParquetData { shards, examples }))
    }
}

struct ParquetData {
    shards: Vec<(PathBuf, Range<usize>)>,
    examples: Vec<Example>,
}

impl Dataset for ParquetData {
    fn examples(&self) -> &[Example] {
        &self.examples
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<RawImage>, DataError> {
        let mut images = Vec::with_capacity(range.len());
        for (path, rows) in &self.shards {
            let (from, to) = (range.start.max(rows.start), range.end.min(rows.end));
            if from >= to {
                continue;
            }
            let slice = Some((from - rows.start, to - from));
            let wrap = |source| at(path, source);
            let table = Table::read(path, Some(&["image"]), slice).map_err(wrap)?;
            images.extend(table.bytes("image").map_err(wrap)?.into_iter().map(RawImage::Encoded));
        }
        Ok(images)
    }
}

fn at(path: &Path, source: TableError) -> DataError {
    match source {
        TableError::File(error) => error.into(),
        source => DataError::Table { path: path.to_owned(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cross_shards() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for (shard, rows) in [(0u8, 3usize), (1, 4)] {
            let path = dir.path().join(format!("{shard}.parquet"));
            let mut table = Table::new(rows);
            table.push_strings("id", (0..rows).map(|r| format!("{shard}/{r}")).collect()).unwrap();
            table.push_u32("label", vec![u32::from(shard); rows]).unwrap();
            table.push_bytes("image", &(0..rows).map(|r| vec![shard, r as u8]).collect::<Vec<_>>()).unwrap();
            table.write(&path).unwrap();
            files.push(path);
        }
        let data = Parquet.open(&files, &LayoutOptions::default()).unwrap();
        assert_eq!(data.examples().len(), 7);
        assert_eq!(data.examples()[4], Example { id: "1/1".to_owned(), label: 1 });
        let bytes: Vec<_> = data
            .read(2..5)
            .unwrap()
            .into_iter()
            .map(|r| match r {
                RawImage::Encoded(b) => b,
                RawImage::Pixels(_) => unreachable!("Parquet holds encoded images"),
            })
            .collect();
        assert_eq!(bytes, [[0, 2], [1, 0], [1, 1]]);
    }
}
