//! Examples, from files to records, in a fixed order.
//!
//! A layout knows how one kind of files is read; everything after it sees a [`Dataset`]: a number
//! of examples with stable ids and labels, whose records can be read range by range, so that memory
//! does not grow with the data set.

mod classes;
mod few_shot;
mod files;
pub mod layouts;
mod record;
mod split_file;

use std::ops::Range;
use std::path::{Path, PathBuf};

pub use classes::ClassSubset;
pub use few_shot::{few_shot, split_class};
pub use layouts::LAYOUTS;
pub use record::{RawImage, Record, Value};
pub use split_file::write_split;

use crate::base::digest::Digest;
use crate::base::file_digests::{FileDigests, Stamp};
use crate::base::fs::FileError;
use crate::base::registry::Named;
use crate::base::table::TableError;

/// Why data cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file is missing or cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A Parquet file is damaged or lacks a column.
    #[error("`{}`: {source}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: TableError,
    },
    /// The file is not what its layout says.
    #[error("`{}`: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Two examples have one id, so that results could not tell them apart.
    #[error("`{}` holds two examples `{id}`; ids must be unique", path.display())]
    Duplicate {
        /// The file or folder.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// A file was changed between planning and reading.
    #[error("`{}` was changed while it was in use; run the command again", .0.display())]
    Changed(PathBuf),
    /// A label has no class name.
    #[error("example `{id}` has label {label}, but there are only {classes} class names")]
    Label {
        /// The example.
        id: String,
        /// Its label.
        label: u32,
        /// Number of class names.
        classes: usize,
    },
}

/// A split of a data set, opened.
pub trait Dataset: Send + Sync {
    /// Stable id and label of every example, in order. Kept in memory (a few dozen bytes each).
    fn examples(&self) -> &[Example];

    /// Reads the records of a range of examples. Reading in ascending ranges is cheapest.
    fn read(&self, range: Range<usize>) -> Result<Vec<Record>, DataError>;

    /// The images of a range of examples of an image data set.
    fn images(&self, range: Range<usize>) -> Result<Vec<RawImage>, DataError> {
        Ok(self.read(range)?.into_iter().filter_map(Record::into_image).collect())
    }

    /// Digest of all content that a prediction may depend on.
    fn digest(&self, digests: &FileDigests) -> Result<Digest, DataError>;

    /// A further column with a text per example, where the files have it.
    fn column(&self, _name: &str) -> Result<Option<Vec<String>>, DataError> {
        Ok(None)
    }

    /// Class names in label order, where the files say them.
    fn class_names(&self) -> Option<Vec<String>> {
        None
    }
}

/// Identity of one example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Unique within the split, independent of position.
    pub id: String,
    /// Index into the class names.
    pub label: u32,
}

/// Which class a folder of an image tree stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FolderRule {
    /// The place of its name among the sorted names.
    #[default]
    Sorted,
    /// The number that is its name.
    Numeric,
    /// The line of its name in a list.
    Listed {
        /// The list.
        names: Vec<String>,
        /// Whether folders that are not in it are left out; otherwise they are mistakes.
        others: bool,
    },
}

/// What a layout may need to know besides the files.
#[derive(Clone, Debug, Default)]
pub struct LayoutOptions {
    /// Classes of folders.
    pub folders: FolderRule,
    /// Name of the split, for files that hold several.
    pub split: String,
    /// Class names of the registry, for files that name classes.
    pub classes: Vec<String>,
    /// Columns of a table that are called otherwise than `image`, `label` and `id`.
    pub columns: ColumnNames,
}

/// What the columns of a table are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnNames {
    /// The image; `image` if not given.
    pub image: Option<String>,
    /// The class; `label` if not given.
    pub label: Option<String>,
    /// The example's id; `id` if not given and there.
    pub id: Option<String>,
}

/// A kind of files that can be read as a data set.
pub trait Layout: Named + Sync {
    /// Opens the files of one split.
    fn open(&self, files: &[PathBuf], options: &LayoutOptions) -> Result<Box<dyn Dataset>, DataError>;
}

/// A file that must stay as it was when the data set was opened.
#[derive(Clone, Debug)]
pub(crate) struct Unchanged {
    /// The file.
    pub path: PathBuf,
    stamp: Stamp,
}

impl Unchanged {
    pub fn new(path: &Path) -> Result<Self, DataError> {
        Ok(Self { path: path.to_owned(), stamp: Stamp::of(path)? })
    }

    /// One digest of several files' content, in order.
    pub fn digest(all: &[Self], digests: &FileDigests) -> Result<Digest, DataError> {
        let each: Vec<Digest> = all.iter().map(|f| digests.of_file(&f.path)).collect::<Result<_, _>>()?;
        Ok(Digest::of_value(&each))
    }

    /// Fails if the file was changed since.
    pub fn check(&self) -> Result<(), DataError> {
        if Stamp::of(&self.path)? == self.stamp { Ok(()) } else { Err(DataError::Changed(self.path.clone())) }
    }
}

/// Refuses ids that are there twice.
pub(crate) fn check_ids(path: &Path, examples: &[Example]) -> Result<(), DataError> {
    let mut ids: Vec<&str> = examples.iter().map(|e| e.id.as_str()).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|w| w[0] == w[1]) {
        Some(twice) => Err(DataError::Duplicate { path: path.to_owned(), id: twice[0].to_owned() }),
        None => Ok(()),
    }
}

pub(crate) fn format_error(path: &Path, reason: impl Into<String>) -> DataError {
    DataError::Format { path: path.to_owned(), reason: reason.into() }
}
