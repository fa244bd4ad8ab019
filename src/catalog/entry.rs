//! One data set of the registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::expected::Expected;
use crate::base::digest::Digest;
use crate::base::fs::located;
use crate::data::ColumnNames;

/// Where the files of a split lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Files in the order in which their rows count, relative to the registry or `hf:` references.
    Files(Vec<String>),
    /// Files of an installed package, looked for in these folders in turn.
    Installed {
        /// Folders to look in.
        search: Vec<PathBuf>,
        /// File names within the folder.
        files: Vec<String>,
    },
}

/// One split of a data set.
#[derive(Clone, Debug)]
pub struct Split {
    /// "test", "val", "train" …
    pub name: String,
    /// Where it lies.
    pub source: Source,
    /// How many examples it has.
    pub examples: Option<u64>,
    /// What each file must be, in order; empty where the split is made locally.
    pub expected: Vec<Expected>,
}

/// A file as it is published, before it is unpacked.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Its name.
    pub file: String,
    /// Where it is published, or was.
    pub url: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// `folders` as the registry writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Folders {
    /// Sorted names.
    #[default]
    Sorted,
    /// Names are numbers.
    Numeric,
    /// A file with one folder name a line.
    Listed {
        /// The file.
        path: PathBuf,
        /// Whether other folders are left out.
        others: bool,
    },
}

/// Templates as the registry writes them; `{}` stands for the class name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Templates {
    /// A file with one template a line.
    File(PathBuf),
    /// One template.
    One(String),
}

/// One data set.
#[derive(Clone, Debug)]
pub struct DatasetEntry {
    /// The key in `datasets.toml`.
    pub name: String,
    /// One line on what it is.
    pub summary: String,
    /// Name of the layout that reads it.
    pub layout: String,
    /// SPDX identifier or a sentence.
    pub licence: String,
    /// Who made it and where it comes from.
    pub origin: String,
    /// How to get it, for the message when it is missing.
    pub obtain: String,
    /// File with one class name a line, in label order; the data's own names if there is none.
    pub classes: Option<PathBuf>,
    /// Templates of the zero-shot head, if there may be one.
    pub templates: Option<Templates>,
    /// How folders become classes (`image-folder`).
    pub folders: Folders,
    /// Pixels cut off each side of every image before preprocessing (ObjectNet's red border: 2).
    pub border: usize,
    /// File with the indices of the classes that the data set has, out of `classes`.
    pub restrict: Option<PathBuf>,
    /// File with the data set's own classes, each a group of indices into `classes`; the logit of a
    /// group is the largest of its members'.
    pub groups: Option<PathBuf>,
    /// What the columns of its tables are called (`parquet`).
    pub columns: ColumnNames,
    /// Splits by name.
    pub splits: BTreeMap<String, Split>,
    /// What it is unpacked from.
    pub archives: Vec<Archive>,
}

impl DatasetEntry {
    /// Makes paths those of files: beside the registry in `root`, or in the working folder.
    pub(super) fn locate(&mut self, root: &Path) {
        let place = |path: &mut PathBuf| *path = located(root, path);
        [&mut self.classes, &mut self.restrict, &mut self.groups].into_iter().flatten().for_each(place);
        if let Some(Templates::File(path)) = &mut self.templates {
            place(path);
        }
        if let Folders::Listed { path, .. } = &mut self.folders {
            place(path);
        }
        for split in self.splits.values_mut() {
            match &mut split.source {
                Source::Files(files) => {
                    for file in files.iter_mut().filter(|f| !f.starts_with("hf:")) {
                        *file = located(root, Path::new(file)).display().to_string();
                    }
                }
                Source::Installed { search, .. } => search.iter_mut().for_each(place),
            }
        }
    }
}
