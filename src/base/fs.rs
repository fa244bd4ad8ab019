//! File access whose errors name the path, and writes that a reader never sees half done.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// An I/O error with what was being done and to which path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct FileError {
    action: &'static str,
    /// The file or folder concerned.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

impl FileError {
    /// Ties an I/O error to a path; `action` is a verb such as "read".
    #[must_use]
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }

    /// Whether the file simply is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File, FileError> {
    File::open(path).map_err(|e| FileError::new("open", path, e))
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|e| FileError::new("read", path, e))
}

/// Reads a whole text file. A byte order mark, as Windows editors write it, is no part of the text.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    let text = std::fs::read_to_string(path).map_err(|e| FileError::new("read", path, e))?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

/// Largest file that is read whole where a data set says so: an image, a list.
pub const LARGEST_WHOLE: u64 = 1 << 30;

/// Reads a whole regular file of a data set. Pipes and devices, which may never end, and files above 1 GiB are refused.
pub fn read_regular(path: &Path) -> Result<Vec<u8>, FileError> {
    let refuse = |what: &str| FileError::new("read", path, io::Error::new(io::ErrorKind::InvalidInput, what));
    let metadata = std::fs::metadata(path).map_err(|e| FileError::new("read", path, e))?;
    if !metadata.is_file() {
        return Err(refuse("it is no regular file"));
    }
    if metadata.len() > LARGEST_WHOLE {
        return Err(refuse("it is larger than 1 GiB"));
    }
    read(path)
}

/// The non-empty lines of a text file that do not start with `#`, trimmed.
pub fn read_lines(path: &Path) -> Result<Vec<String>, FileError> {
    let text = read_text(path)?;
    // A comment is `#` alone or before a space: a class may be called `#hashtag`.
    let comment = |l: &str| l == "#" || l.starts_with("# ") || l.starts_with("##");
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !comment(l));
    Ok(lines.map(str::to_owned).collect())
}

/// Where a relative path that a file in the folder `home` names lies: beside that file, or else in the working folder. A path
/// that is in neither stays as it is written.
#[must_use]
pub fn located(home: &Path, path: &Path) -> PathBuf {
    let beside = home.join(path);
    if beside.exists() { beside } else { path.to_owned() }
}

/// Creates a folder and its parents.
pub fn create_dir(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(|e| FileError::new("create folder", path, e))
}

/// Writes a file by filling a temporary neighbour and renaming it, creating parent folders.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_atomic_with(path, |file| file.write_all(bytes))
}

/// Like [`write_atomic`], with the content written by `fill`.
pub fn write_atomic_with(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), FileError> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(parent)?;
    let fail = |e| FileError::new("write", path, e);
    // A device or a pipe (`/dev/null`) is written to, not replaced by a file.
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        let mut target = std::fs::OpenOptions::new().write(true).open(path).map_err(fail)?;
        return fill(&mut target).map_err(fail);
    }
    let mut temporary = neighbour(path)?;
    fill(temporary.as_file_mut()).map_err(fail)?;
    temporary.as_file_mut().sync_data().map_err(fail)?;
    temporary.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}

/// Like [`write_atomic`], for what writes to a path: `fill` is given that of the temporary neighbour.
pub fn write_atomic_at<E: From<FileError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let fail = |e| FileError::new("write", path, e);
    let temporary = neighbour(path)?.into_temp_path();
    fill(&temporary)?;
    open(&temporary)?.sync_data().map_err(fail)?;
    temporary.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}

/// A temporary file beside `path`, whose folder is created.
fn neighbour(path: &Path) -> Result<tempfile::NamedTempFile, FileError> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(parent)?;
    let mut builder = tempfile::Builder::new();
    let found = builder.prefix(".tmp-").permissions(default_permissions()).tempfile_in(parent);
    found.map_err(|e| FileError::new("write", path, e))
}

#[cfg(unix)]
fn default_permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::Permissions::from_mode(0o644)
}

#[cfg(not(unix))]
fn default_permissions() -> std::fs::Permissions {
    std::fs::metadata(std::env::temp_dir()).map(|m| m.permissions()).expect("a temporary folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.txt");
        write_atomic(&path, b"old").unwrap();
        let full = |_: &mut File| Err(io::Error::from(io::ErrorKind::StorageFull));
        let error = write_atomic_with(&path, full).unwrap_err();
        assert!(error.to_string().contains("b.txt"), "{error}");
        assert_eq!(read_text(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn lists_are_read_whoever_wrote_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("names.txt");
        write_atomic(&path, "\u{feff}cat\r\n# a comment\r\n\r\n#hashtag\r\ndog".as_bytes()).unwrap();
        assert_eq!(read_lines(&path).unwrap(), ["cat", "#hashtag", "dog"]);
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_written_to_and_stay() {
        use std::os::unix::fs::FileTypeExt as _;
        write_atomic(Path::new("/dev/null"), b"x").unwrap();
        assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[cfg(unix)]
    #[test]
    fn what_never_ends_is_not_read() {
        assert!(read_regular(Path::new("/dev/zero")).unwrap_err().to_string().contains("no regular file"));
    }

    #[test]
    fn errors_name_the_path() {
        let error = read(Path::new("no/such/file")).unwrap_err();
        assert!(error.is_missing());
        assert!(error.to_string().starts_with("cannot read `no/such/file`"), "{error}");
    }
}
