//! Parquet files with columns `label` (integer), `image`, and perhaps `id` (text).
//!
//! Images are encoded bytes, or structures of `bytes` and `path` as the hub stores them; where a structure has
//! no bytes its path counts from the Parquet file. Without `id` an example is called by file and row.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::base::fs::read;
use crate::base::registry::Named;
use crate::base::table::{StoredFile, Table, TableError};
use crate::data::{DataError, Dataset, Example, Layout, LayoutOptions, RawImage, format_error};

/// The layout.
pub(super) struct Parquet;

impl Named for Parquet {
    fn name(&self) -> &'static str {
        "parquet"
    }
    fn summary(&self) -> &'static str {
        "Parquet with columns label, image (bytes, or the hub's bytes and path) and perhaps id; files are joined"
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
            let names = Table::names(path).map_err(wrap)?;
            let has_id = names.iter().any(|n| n == "id");
            let columns: &[&str] = if has_id { &["id", "label"] } else { &["label"] };
            let table = Table::read(path, Some(columns), None).map_err(wrap)?;
            let ids = if has_id {
                table.strings("id").map_err(wrap)?
            } else {
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                (0..table.rows()).map(|row| format!("{name}/{row}")).collect()
            };
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
            if table.is_struct("image").map_err(wrap)? {
                for file in table.files("image").map_err(wrap)? {
                    images.push(RawImage::Encoded(whole(path, file)?));
                }
            } else {
                images.extend(table.bytes("image").map_err(wrap)?.into_iter().map(RawImage::Encoded));
            }
        }
        Ok(images)
    }

    fn column(&self, name: &str) -> Result<Option<Vec<String>>, DataError> {
        let mut all = Vec::new();
        for (path, _) in &self.shards {
            let wrap = |source| at(path, source);
            if !Table::names(path).map_err(wrap)?.iter().any(|n| n == name) {
                return Ok(None);
            }
            all.extend(Table::read(path, Some(&[name]), None).map_err(wrap)?.strings(name).map_err(wrap)?);
        }
        Ok(Some(all))
    }
}

/// The bytes of a stored structure: in it, or in the file that it names.
fn whole(table: &Path, file: StoredFile) -> Result<Vec<u8>, DataError> {
    match file {
        (Some(bytes), _) => Ok(bytes),
        (None, Some(path)) => Ok(read(&table.parent().unwrap_or(Path::new("")).join(path))?),
        (None, None) => Err(format_error(table, "has an image with neither bytes nor path")),
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
        assert_eq!(data.column("label").unwrap().unwrap().concat(), "0001111");
        assert!(data.column("article").unwrap().is_none());
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

    // `tests/golden/make_hub_parquet.py` wrote the file with pyarrow, as `datasets` stores images.
    #[test]
    fn structures_of_bytes_and_path_as_on_the_hub() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hub-images.parquet");
        let data = Parquet.open(&[file], &LayoutOptions::default()).unwrap();
        let ids: Vec<&str> = data.examples().iter().map(|e| e.id.as_str()).collect();
        assert_eq!(ids, ["hub-images.parquet/0", "hub-images.parquet/1", "hub-images.parquet/2"]);
        assert_eq!(data.examples()[2].label, 7);
        let images = data.read(0..3).unwrap();
        let sizes: Vec<_> =
            images.into_iter().map(|i| i.decode().unwrap()).map(|i| (i.width, i.height)).collect();
        // The third has no bytes; its path names a file beside the table.
        assert_eq!(sizes, [(4, 3), (5, 2), (173, 120)]);
    }
}
