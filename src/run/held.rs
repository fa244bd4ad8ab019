//! Who writes to a results folder, and what dead writers left there.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::RunError;
use crate::base::fs::{FileError, create_dir};
use crate::store::StoreError;

/// Name of the lock file.
const LOCK: &str = ".lock";
/// Folder of unfinished passes.
const PARTS: &str = ".parts";
/// Name of the lock around reading, joining and writing the manifest.
const MANIFEST_LOCK: &str = ".manifest-lock";

/// A claim on a results folder. Several runs may hold one at once (shards, the same run twice): each finds what the
/// others finished.
pub struct HeldFolder {
    lock: File,
    out: PathBuf,
}

impl HeldFolder {
    /// Claims a folder. If nobody else does, what killed runs left (temporary files, empty folders) goes first.
    pub fn open(out: &Path) -> Result<Self, RunError> {
        create_dir(out).map_err(StoreError::from)?;
        let lock = open_lock(&out.join(LOCK))?;
        // File systems without locks have one writer at a time, as before.
        if lock.try_lock().is_ok() {
            clean(out, 4);
            let _ = lock.unlock();
        }
        let _ = lock.lock_shared();
        Ok(Self { lock, out: out.to_owned() })
    }

    /// Removes what the passes of finished work left, unless somebody else is at work.
    pub fn finish(self) {
        let _ = self.lock.unlock();
        if self.lock.try_lock().is_ok() {
            // What cannot be removed is no harm.
            let _ = std::fs::remove_dir_all(self.out.join(PARTS));
        }
    }
}

/// A run's turn at a pass: the same work in two processes is done by one after the other, so that the second finds it
/// done. Shards do different work and do not wait for each other.
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits for the turn; `waiting` is called if somebody else has it.
    pub fn take(
        out: &Path,
        pass: &str,
        (shard, of): (usize, usize),
        waiting: impl FnOnce(),
    ) -> Result<Self, RunError> {
        let folder = out.join(PARTS);
        create_dir(&folder).map_err(StoreError::from)?;
        let lock = open_lock(&folder.join(format!("{pass}-{shard}-{of}.lock")))?;
        if lock.try_lock().is_err() {
            waiting();
            let _ = lock.lock();
        }
        Ok(Self { _lock: lock })
    }
}

/// Runs `work` while no other run reads, joins and writes the manifest.
pub fn alone<T>(out: &Path, work: impl FnOnce() -> Result<T, RunError>) -> Result<T, RunError> {
    let lock = open_lock(&out.join(MANIFEST_LOCK))?;
    let _ = lock.lock();
    let result = work();
    let _ = lock.unlock();
    result
}

fn open_lock(path: &Path) -> Result<File, RunError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    Ok(file.map_err(|e| StoreError::from(FileError::new("lock", path, e)))?)
}

/// Removes temporary files and empty folders below a results folder. What cannot be removed is no harm.
fn clean(folder: &Path, depth: usize) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
        if is_folder && depth > 0 {
            clean(&path, depth - 1);
            // Fails where something is left in it.
            let _ = std::fs::remove_dir(&path);
        } else if !is_folder && name.to_string_lossy().starts_with(".tmp-") {
            let _ = std::fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_unless_somebody_works() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(".parts/abc/.tmp-1");
        let leave = || {
            std::fs::create_dir_all(left.parent().unwrap()).unwrap();
            std::fs::write(&left, "half").unwrap();
        };
        leave();
        let first = HeldFolder::open(dir.path()).unwrap();
        assert!(!left.exists() && !dir.path().join(".parts").exists());
        leave();
        let second = HeldFolder::open(dir.path()).unwrap();
        assert!(left.exists());
        drop((first, second));
        drop(HeldFolder::open(dir.path()).unwrap());
        assert!(!left.exists());
    }
}
