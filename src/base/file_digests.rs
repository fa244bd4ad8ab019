//! Digests of files that are not read again while they have not changed.
//!
//! A file counts as unchanged if its size, its times of change (of content and, where there is one, of the inode) and
//! its inode are those of the last time. Files changed within the last seconds are hashed every time: their clock may
//! not have moved between two writes.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::fs::{FileError, write_atomic};

/// What tells one state of a file from another without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    size: u64,
    /// Nanoseconds since 1970 of the last change of content.
    modified: u128,
    /// Of the inode: seconds, nanoseconds, number; zeros where there is none.
    inode: (i64, i64, u64),
}

impl Stamp {
    /// The state of a file, links followed.
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let metadata = std::fs::metadata(path).map_err(|e| FileError::new("read", path, e))?;
        Ok(Self::from(&metadata))
    }

    fn is_fresh(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let settled = now.saturating_sub(Duration::from_secs(3)).as_nanos();
        self.modified >= settled || i128::from(self.inode.0) * 1_000_000_000 >= settled as i128
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok().and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
        Self {
            size: metadata.len(),
            modified: modified.unwrap_or_default().as_nanos(),
            inode: inode(metadata),
        }
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> (i64, i64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.ctime(), metadata.ctime_nsec(), metadata.ino())
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> (i64, i64, u64) {
    (0, 0, 0)
}

/// Bytes of a file that takes about a second.
const LARGE: u64 = 1 << 29;

type Listener = Box<dyn Fn(&Path, u64) + Send + Sync>;

type Known = BTreeMap<PathBuf, (Stamp, Digest)>;

/// Digests by path, kept in a file between runs if there is one.
#[derive(Default)]
pub struct FileDigests {
    kept: Option<PathBuf>,
    listen: Option<Listener>,
    known: Mutex<(Known, bool)>,
}

impl FileDigests {
    /// Digests kept in a file; one that is missing or damaged is an empty one.
    #[must_use]
    pub fn kept_in(path: &Path) -> Self {
        let known: Option<Known> = std::fs::read(path).ok().and_then(|b| serde_json::from_slice(&b).ok());
        Self {
            kept: Some(path.to_owned()),
            listen: None,
            known: Mutex::new((known.unwrap_or_default(), false)),
        }
    }

    /// The same, telling of files that take a while: path and bytes.
    #[must_use]
    pub fn telling(mut self, listen: impl Fn(&Path, u64) + Send + Sync + 'static) -> Self {
        self.listen = Some(Box::new(listen));
        self
    }

    /// The digest of a file's content.
    pub fn of_file(&self, path: &Path) -> Result<Digest, FileError> {
        let stamp = Stamp::of(path)?;
        let key = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if let Ok(known) = self.known.lock()
            && let Some((_, digest)) = known.0.get(&key).filter(|(s, _)| *s == stamp)
        {
            return Ok(digest.clone());
        }
        if let Some(listen) = self.listen.as_ref().filter(|_| stamp.size >= LARGE) {
            listen(path, stamp.size);
        }
        let digest = Digest::of_file(path)?;
        if !stamp.is_fresh()
            && let Ok(mut known) = self.known.lock()
        {
            known.0.insert(key, (stamp, digest.clone()));
            known.1 = true;
        }
        Ok(digest)
    }

    /// Keeps what was learnt. A cache that cannot be written costs time, not results, so failing is no error.
    pub fn keep(&self) {
        let (Some(path), Ok(mut known)) = (&self.kept, self.known.lock()) else { return };
        if known.1 {
            let text = serde_json::to_vec(&known.0).expect("plain data always has a JSON form");
            known.1 = write_atomic(path, &text).is_err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let (file, cache) = (dir.path().join("f"), dir.path().join("digests.json"));
        std::fs::write(&file, "one").unwrap();
        let old = SystemTime::now() - Duration::from_secs(100);
        let set =
            |time| std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        set(old);
        let digests = FileDigests::kept_in(&cache);
        assert_eq!(digests.of_file(&file).unwrap(), Digest::of_bytes(b"one"));
        // Same size, same time of content: the inode's own time gives it away (or its freshness, until it settles).
        std::fs::write(&file, "two").unwrap();
        set(old);
        assert_eq!(digests.of_file(&file).unwrap(), Digest::of_bytes(b"two"));
        digests.keep();
        assert_eq!(FileDigests::kept_in(&cache).of_file(&file).unwrap(), Digest::of_bytes(b"two"));
    }
}
