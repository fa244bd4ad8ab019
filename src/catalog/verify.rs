//! Whether the data that are here are those that are registered.

use std::path::Path;

use super::{Archive, Catalog, DatasetEntry, Expected, Split};
use crate::base::digest::Digest;
use crate::base::fs::FileError;

/// What was found out about a split or an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Digests and counts match.
    Ok,
    /// The count matches, and no digest is registered.
    Counted,
    /// It is not here.
    Missing,
    /// It is another.
    Bad,
}

impl State {
    /// As tables and JSON show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Counted => "counted",
            Self::Missing => "missing",
            Self::Bad => "bad",
        }
    }
}

/// What was found out about a split or an archive, and why.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The data set.
    pub dataset: String,
    /// Its split, or the archive's file name.
    pub part: String,
    /// What was found.
    pub state: State,
    /// In words.
    pub detail: String,
}

impl Catalog {
    /// Checks a data set's splits and, with a folder to look in, its archives. `before` is told what is looked at next.
    pub fn verify(
        &self,
        entry: &DatasetEntry,
        archives: Option<&Path>,
        mut before: impl FnMut(&str),
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let mut add = |part: &str, (state, detail): (State, String)| {
            verdicts.push(Verdict { dataset: entry.name.clone(), part: part.to_owned(), state, detail });
        };
        for split in entry.splits.values() {
            before(&format!("{} {}", entry.name, split.name));
            add(&split.name, self.verify_split(entry, split));
        }
        for archive in entry.archives.iter().filter(|_| archives.is_some()) {
            before(&format!("{} {}", entry.name, archive.file));
            let folder = archives.unwrap_or(Path::new(""));
            let found = verify_archive(archive, &folder.join(&archive.file));
            add(&archive.file, found.unwrap_or_else(|e| (State::Bad, e.to_string())));
        }
        verdicts
    }

    fn verify_split(&self, entry: &DatasetEntry, split: &Split) -> (State, String) {
        if let Some(path) = self.missing(split) {
            return (State::Missing, format!("no `{}`; {}", path.display(), entry.obtain));
        }
        let open = match self.open_split(entry, split) {
            Ok(open) => open,
            Err(error) => return (State::Bad, error.to_string()),
        };
        let found = open.data.examples().len();
        match open.incomplete() {
            Some(text) => (State::Bad, text),
            None if split.expected.iter().all(|e| *e == Expected::Any) => {
                (State::Counted, format!("{found} examples, no digest registered"))
            }
            None => (State::Ok, format!("{found} examples, digests match")),
        }
    }
}

fn verify_archive(archive: &Archive, path: &Path) -> Result<(State, String), FileError> {
    let Ok(metadata) = std::fs::metadata(path) else {
        let text = format!("no `{}`; {} bytes from {}", path.display(), archive.bytes, archive.url);
        return Ok((State::Missing, text));
    };
    if metadata.len() != archive.bytes {
        return Ok((State::Bad, format!("{} of {} bytes", metadata.len(), archive.bytes)));
    }
    let found = Digest::of_file(path)?;
    Ok(if found == archive.sha256 {
        (State::Ok, format!("{} bytes, digest matches", archive.bytes))
    } else {
        (State::Bad, format!("digest {found}, the registry says {}", archive.sha256))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_held_against_size_and_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let archive = Archive {
            file: "a.tar".to_owned(),
            url: "http://example.org/a.tar".to_owned(),
            bytes: 3,
            sha256: Digest::of_bytes(b"abc"),
        };
        let state = || verify_archive(&archive, &path).unwrap().0;
        assert_eq!(state(), State::Missing);
        for (bytes, expected) in [("ab", State::Bad), ("abd", State::Bad), ("abc", State::Ok)] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(state(), expected, "{bytes}");
        }
    }
}
