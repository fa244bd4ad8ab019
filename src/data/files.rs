//! Examples that are one file each.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{DataError, Dataset, Example, RawImage};
use crate::base::digest::Digest;
use crate::base::fs::{FileError, read};

/// Images below a folder; an example's id is its path from there.
pub struct FileData {
    root: PathBuf,
    examples: Vec<Example>,
    names: Option<Vec<String>>,
}

impl FileData {
    /// Examples whose ids are paths below `root`; `names` are the class names, if the files say them.
    pub fn new(root: &Path, examples: Vec<Example>, names: Option<Vec<String>>) -> Self {
        Self { root: root.to_owned(), examples, names }
    }

    /// Digest of names, labels and sizes: reading tens of thousands of files would take minutes.
    pub fn digest(root: &Path, data: &dyn Dataset) -> Result<Digest, DataError> {
        let sizes: Vec<(&str, u32, u64)> = data
            .examples()
            .iter()
            .map(|e| {
                let path = root.join(&e.id);
                let size = std::fs::metadata(&path).map_err(|x| FileError::new("read", &path, x))?.len();
                Ok((e.id.as_str(), e.label, size))
            })
            .collect::<Result<_, DataError>>()?;
        Ok(Digest::of_value(&sizes))
    }
}

impl Dataset for FileData {
    fn examples(&self) -> &[Example] {
        &self.examples
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<RawImage>, DataError> {
        let one = |e: &Example| Ok(RawImage::Encoded(read(&self.root.join(&e.id))?));
        self.examples[range].iter().map(one).collect()
    }

    fn class_names(&self) -> Option<Vec<String>> {
        self.names.clone()
    }
}
