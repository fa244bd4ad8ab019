//! Examples that are one file each.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{DataError, Dataset, Example, RawImage, Record, check_ids};
use crate::base::digest::Digest;
use crate::base::file_digests::{FileDigests, Stamp};
use crate::base::fs::read_regular;

/// Images below a folder; an example's id is its path from there.
pub struct FileData {
    root: PathBuf,
    examples: Vec<Example>,
    names: Option<Vec<String>>,
    /// Paths of examples whose ids are not their paths (names that are no text).
    elsewhere: BTreeMap<usize, PathBuf>,
    /// The state of each file when it was opened; none where it cannot be looked at.
    stamps: Vec<Option<Stamp>>,
}

impl FileData {
    /// Examples whose ids are paths below `root`; `names` are the class names, if the files say them.
    pub fn new(root: &Path, examples: Vec<Example>, names: Option<Vec<String>>) -> Result<Self, DataError> {
        Self::with_paths(root, examples, names, BTreeMap::new())
    }

    /// As [`FileData::new`], with the paths of some examples, by their places.
    pub fn with_paths(
        root: &Path,
        examples: Vec<Example>,
        names: Option<Vec<String>>,
        elsewhere: BTreeMap<usize, PathBuf>,
    ) -> Result<Self, DataError> {
        check_ids(root, &examples)?;
        let mut this = Self { root: root.to_owned(), examples, names, elsewhere, stamps: Vec::new() };
        this.stamps =
            (0..this.examples.len()).into_par_iter().map(|i| Stamp::of(&this.path(i)).ok()).collect();
        Ok(this)
    }

    fn path(&self, place: usize) -> PathBuf {
        match self.elsewhere.get(&place) {
            Some(path) => path.clone(),
            None => self.root.join(&self.examples[place].id),
        }
    }
}

impl Dataset for FileData {
    fn examples(&self) -> &[Example] {
        &self.examples
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<Record>, DataError> {
        let one = |place: usize| {
            let path = self.path(place);
            if Stamp::of(&path).ok() != self.stamps[place] {
                return Err(DataError::Changed(path));
            }
            let image = match read_regular(&path) {
                Ok(bytes) => RawImage::Encoded(bytes),
                Err(error) => RawImage::Unreadable(error.to_string()),
            };
            Ok(image.into())
        };
        range.map(one).collect()
    }

    /// Of ids, labels and the content of every file. A file that cannot be read has none: whether that matters is
    /// decided when it is wanted.
    fn digest(&self, digests: &FileDigests) -> Result<Digest, DataError> {
        let each: Vec<(&str, u32, Option<Digest>)> = (0..self.examples.len())
            .into_par_iter()
            .map(|place| {
                let (path, example) = (self.path(place), &self.examples[place]);
                let regular = std::fs::metadata(&path).is_ok_and(|m| m.is_file());
                (example.id.as_str(), example.label, regular.then(|| digests.of_file(&path).ok()).flatten())
            })
            .collect();
        Ok(Digest::of_value(&each))
    }

    fn class_names(&self) -> Option<Vec<String>> {
        self.names.clone()
    }
}
