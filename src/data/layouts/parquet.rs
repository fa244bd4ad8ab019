//! Parquet files with columns `label`, `image`, and perhaps `id`, or as the registry calls them.
//!
//! Labels are whole numbers of any type, or class names (also pandas' categories). Ids are texts, numbers or dates.
//! Images are encoded bytes, or structures of `bytes` and `path` as the hub stores them; where a structure has
//! no bytes its path counts from the Parquet file. Without `id` an example is called by file and row.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::fs::read_regular;
use crate::base::registry::Named;
use crate::base::table::{StoredFile, Table, TableError};
use crate::data::{
    DataError, Dataset, Example, Layout, LayoutOptions, RawImage, Record, Unchanged, check_ids, format_error,
};

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
    fn open(&self, files: &[PathBuf], options: &LayoutOptions) -> Result<Box<dyn Dataset>, DataError> {
        let mut data = ParquetData { shards: Vec::new(), examples: Vec::new(), image: String::new() };
        let name =
            |given: &Option<String>, default: &str| given.clone().unwrap_or_else(|| default.to_owned());
        let (image, label) = (name(&options.columns.image, "image"), name(&options.columns.label, "label"));
        let id = name(&options.columns.id, "id");
        for path in files {
            let wrap = |source| at(path, source);
            let held = Unchanged::new(path)?;
            let names = Table::names(path).map_err(wrap)?;
            for wanted in [&image, &label].into_iter().chain(options.columns.id.as_ref()) {
                if !names.contains(wanted) {
                    let known = names.join(", ");
                    let advice = "say in the registry what they are called: `columns = { image = \"...\", label = \"...\" }`";
                    return Err(format_error(
                        path,
                        format!("has no column `{wanted}`, but {known}; {advice}"),
                    ));
                }
            }
            let has_id = names.contains(&id);
            let columns: &[&str] = if has_id { &[&id, &label] } else { &[&label] };
            let table = Table::read(path, Some(columns), None).map_err(wrap)?;
            let ids = if has_id {
                table.texts(&id).map_err(wrap)?
            } else {
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                (0..table.rows()).map(|row| format!("{name}/{row}")).collect()
            };
            let labels = table.labels(&label, &options.classes).map_err(wrap)?;
            let start = data.examples.len();
            data.examples.extend(ids.into_iter().zip(labels).map(|(id, label)| Example { id, label }));
            data.shards.push((held, start..data.examples.len()));
        }
        check_ids(files.first().map_or(Path::new(""), PathBuf::as_path), &data.examples)?;
        data.image = image;
        Ok(Box::new(data))
    }
}

struct ParquetData {
    shards: Vec<(Unchanged, Range<usize>)>,
    examples: Vec<Example>,
    /// Name of the column with images.
    image: String,
}

impl Dataset for ParquetData {
    fn examples(&self) -> &[Example] {
        &self.examples
    }

    fn digest(&self, digests: &FileDigests) -> Result<Digest, DataError> {
        let held: Vec<Unchanged> = self.shards.iter().map(|s| s.0.clone()).collect();
        Unchanged::digest(&held, digests)
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<Record>, DataError> {
        let mut images = Vec::with_capacity(range.len());
        let missing = || RawImage::Unreadable("the table holds no image for it".to_owned());
        for (held, rows) in &self.shards {
            let path = &held.path;
            let (from, to) = (range.start.max(rows.start), range.end.min(rows.end));
            if from >= to {
                continue;
            }
            held.check()?;
            let slice = Some((from - rows.start, to - from));
            let wrap = |source| at(path, source);
            let table = Table::read(path, Some(&[&self.image]), slice).map_err(wrap)?;
            if table.is_struct(&self.image).map_err(wrap)? {
                images.extend(table.files(&self.image).map_err(wrap)?.into_iter().map(|f| whole(path, f)));
            } else {
                let bytes = table.maybe_bytes(&self.image).map_err(wrap)?;
                images.extend(bytes.into_iter().map(|b| b.map_or_else(missing, RawImage::Encoded)));
            }
        }
        Ok(images.into_iter().map(Record::from).collect())
    }

    fn column(&self, name: &str) -> Result<Option<Vec<String>>, DataError> {
        let mut all = Vec::new();
        for (held, _) in &self.shards {
            let path = &held.path;
            let wrap = |source| at(path, source);
            if !Table::names(path).map_err(wrap)?.iter().any(|n| n == name) {
                return Ok(None);
            }
            all.extend(Table::read(path, Some(&[name]), None).map_err(wrap)?.texts(name).map_err(wrap)?);
        }
        Ok(Some(all))
    }
}

/// The image of a stored structure: its bytes, or those of the file that it names.
fn whole(table: &Path, file: StoredFile) -> RawImage {
    match file {
        (Some(bytes), _) => RawImage::Encoded(bytes),
        (None, Some(path)) => match read_regular(&table.parent().unwrap_or(Path::new("")).join(path)) {
            Ok(bytes) => RawImage::Encoded(bytes),
            Err(error) => RawImage::Unreadable(error.to_string()),
        },
        (None, None) => RawImage::Unreadable("the table holds neither bytes nor path for it".to_owned()),
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
            .images(2..5)
            .unwrap()
            .into_iter()
            .map(|r| match r {
                RawImage::Encoded(b) => b,
                _ => unreachable!("Parquet holds encoded images"),
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
        let images = data.images(0..3).unwrap();
        let sizes: Vec<_> =
            images.into_iter().map(|i| i.decode(1 << 20).unwrap()).map(|i| (i.width, i.height)).collect();
        // The third has no bytes; its path names a file beside the table.
        assert_eq!(sizes, [(4, 3), (5, 2), (173, 120)]);
    }
}
