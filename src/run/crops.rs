//! Decoded crops kept on disk, so that a second run decodes nothing.
//!
//! One pair of files per (data, border, preprocessing, decoder): `<key>.crops` holds the 8-bit crop of
//! every example at a fixed place (sparse until it is written), `<key>.state` eight bytes an example: a mark
//! and the CRC-32 of the crop. A crop counts only if its checksum holds, so a kill or a power cut at any
//! moment costs at most that crop. Processes may share the files: each crop has one place and one value.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::digest::Digest;
use crate::base::fs::{FileError, create_dir};
use crate::image::Rgb;
use crate::model::Kept;

/// Stands before the checksum of a crop that is there.
const PRESENT: u32 = 0x4352_4f50;

/// Where crops are kept and how much they may take.
#[derive(Clone, Debug)]
pub struct CropCacheOptions {
    /// The folder.
    pub folder: PathBuf,
    /// Largest size of one data set's crops in bytes; beyond it they are not kept.
    pub limit: u64,
}

/// The crops of one split under one preprocessing.
pub struct CropCache {
    crops: File,
    state: File,
    /// Mark and checksum of each example when the cache was opened.
    known: Vec<Option<u32>>,
    height: usize,
    width: usize,
    /// Set when a write fails (a full disk): the run goes on without keeping more.
    full: AtomicBool,
}

impl CropCache {
    /// Opens or makes the cache of a split with `examples` examples. `None` if the crops would exceed the limit.
    pub fn open(
        options: &CropCacheOptions,
        data: &Digest,
        border: usize,
        Kept { height, width, key }: Kept,
        examples: usize,
    ) -> Result<Option<Self>, FileError> {
        let size = (height * width * 3) as u64 * examples as u64;
        if size > options.limit || size == 0 {
            return Ok(None);
        }
        let key = Digest::of_value(&(data, border, key));
        create_dir(&options.folder)?;
        let path = |ending: &str| options.folder.join(format!("{}.{ending}", key.short()));
        let crops = open_sized(&path("crops"), size)?;
        let state = open_sized(&path("state"), examples as u64 * 8)?;
        let mut marks = vec![0; examples * 8];
        read_at(&state, &mut marks, 0).map_err(|e| FileError::new("read", &path("state"), e))?;
        let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let known = marks.chunks_exact(8).map(|m| (word(m) == PRESENT).then(|| word(&m[4..]))).collect();
        Ok(Some(Self { crops, state, known, height, width, full: AtomicBool::new(false) }))
    }

    /// The crop of an example, if it is there and whole.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<Rgb> {
        let checksum = (*self.known.get(position)?)?;
        let size = self.height * self.width * 3;
        // Read, not mapped: a file that somebody cuts off is a crop that is not there, and not the end of the process.
        let mut data = vec![0; size];
        read_at(&self.crops, &mut data, (position * size) as u64).ok()?;
        (crc32fast::hash(&data) == checksum).then_some(Rgb { width: self.width, height: self.height, data })
    }

    /// Keeps a crop. A failure to write is no failure of the run: nothing more is kept then.
    pub fn put(&self, position: usize, crop: &Rgb) {
        if self.full.load(Ordering::Relaxed) || (crop.height, crop.width) != (self.height, self.width) {
            return;
        }
        let mut mark = PRESENT.to_le_bytes().to_vec();
        mark.extend(crc32fast::hash(&crop.data).to_le_bytes());
        let written = write_at(&self.crops, &crop.data, (position * crop.data.len()) as u64)
            .and_then(|()| write_at(&self.state, &mark, position as u64 * 8));
        if written.is_err() {
            self.full.store(true, Ordering::Relaxed);
        }
    }

    /// Whether crops could not be written (a full disk).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}

fn open_sized(path: &Path, size: u64) -> Result<File, FileError> {
    let fail = |e| FileError::new("open", path, e);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.map_err(fail)?;
    if file.metadata().map_err(fail)?.len() != size {
        file.set_len(size).map_err(fail)?;
    }
    Ok(file)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
        n if n == bytes.len() => Ok(()),
        _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(windows)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> std::io::Result<()> {
    match std::os::windows::fs::FileExt::seek_write(file, bytes, offset)? {
        n if n == bytes.len() => Ok(()),
        _ => Err(std::io::ErrorKind::WriteZero.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path, limit: u64) -> Option<CropCache> {
        let options = CropCacheOptions { folder: folder.to_owned(), limit };
        let kept = Kept { height: 4, width: 4, key: Digest::of_bytes(b"reader") };
        CropCache::open(&options, &Digest::of_bytes(b"data"), 0, kept, 3).unwrap()
    }

    #[test]
    fn crops_come_back_and_damaged_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let crop = Rgb::filled(4, 4, [1, 2, 3]);
        let cache = open(dir.path(), 1 << 20).unwrap();
        assert!(cache.get(1).is_none());
        cache.put(1, &crop);
        cache.put(2, &crop);
        drop(cache);
        let file = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path());
        let path = file.into_iter().find(|p| p.extension().is_some_and(|e| e == "crops")).unwrap();
        let file = OpenOptions::new().write(true).open(path).unwrap();
        write_at(&file, &[9], 2 * 48 + 5).unwrap();
        let cache = open(dir.path(), 1 << 20).unwrap();
        assert_eq!(cache.get(1), Some(crop));
        assert!(cache.get(0).is_none() && cache.get(2).is_none() && cache.get(3).is_none());
    }

    #[test]
    fn too_large_a_set_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        assert!(open(dir.path(), 143).is_none() && open(dir.path(), 144).is_some());
    }
}
