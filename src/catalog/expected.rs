//! Whether a file is the one that was registered, whatever cannot matter about its bytes.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use sha1::Digest as _;

use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::fs::{FileError, open, read};

/// Largest text file that is compared without its final newline, or by its git blob id.
const LARGEST_TEXT: u64 = 64 << 20;

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing is registered: a folder, or a file that is made locally.
    Any,
    /// A file with this SHA-256. Of a text the final newline does not count; of a `.gz` file it may be the digest of
    /// what is inside, since packages compress anew.
    Sha256(Digest),
    /// A file with this git blob id, where repositories publish no more than that.
    GitBlob(String),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Sha256(digest) => digest.fmt(f),
            Self::GitBlob(id) => write!(f, "git:{id}"),
        }
    }
}

impl Expected {
    /// As the registry writes it: empty, 64 digits, or `git:` and 40 digits.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hex = |t: &str, n| t.len() == n && t.bytes().all(|b| b.is_ascii_hexdigit());
        match text.strip_prefix("git:") {
            _ if text.is_empty() => Ok(Self::Any),
            Some(id) if hex(id, 40) => Ok(Self::GitBlob(id.to_ascii_lowercase())),
            None if hex(text, 64) => Ok(Self::Sha256(text.into())),
            _ => Err(format!(
                "`{text}` is neither a SHA-256 (64 digits) nor `git:` with a blob id (40 digits)"
            )),
        }
    }

    /// `None` if the file is the registered one, otherwise what was found instead.
    pub fn differs(&self, path: &Path, digests: &FileDigests) -> Result<Option<String>, FileError> {
        match self {
            Self::Any => Ok(None),
            Self::GitBlob(id) => {
                let found = git_blob(path)?;
                Ok((found != *id).then(|| format!("git:{found}")))
            }
            Self::Sha256(expected) => {
                let found = digests.of_file(path)?;
                let same = found == *expected
                    || same_but_for_newline(path, expected)?
                    || same_inside(path, expected)?;
                Ok((!same).then(|| found.to_string()))
            }
        }
    }
}

fn is_small(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= LARGEST_TEXT)
}

/// As `git hash-object` computes it; of files above 64 MiB none is asked for.
fn git_blob(path: &Path) -> Result<String, FileError> {
    if !is_small(path) {
        return Ok("a file too large to compare".to_owned());
    }
    let bytes = read(path)?;
    let mut hasher = sha1::Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(&bytes);
    Ok(hasher.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Copies of CoOp's split files differ in their final newline.
fn same_but_for_newline(path: &Path, expected: &Digest) -> Result<bool, FileError> {
    if !is_small(path) {
        return Ok(false);
    }
    let bytes = read(path)?;
    let bare = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Ok(Digest::of_bytes(bare) == *expected || Digest::of_bytes(&[bare, b"\n"].concat()) == *expected)
}

fn same_inside(path: &Path, expected: &Digest) -> Result<bool, FileError> {
    if path.extension().is_none_or(|e| e != "gz") {
        return Ok(false);
    }
    // No registered set of such files is larger; a bomb ends here.
    let inside = GzDecoder::new(open(path)?).take(1 << 30);
    Ok(Digest::of_reader(inside).is_ok_and(|d| d == *expected))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_same_content_in_another_form_is_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let differs = |text: &str, path: &Path| {
            Expected::parse(text).unwrap().differs(path, &FileDigests::default()).unwrap()
        };
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(differs(abc, &put("a", b"abc")), None);
        assert_eq!(differs(abc, &put("b", b"abc\n")), None);
        assert!(differs(abc, &put("c", b"abd")).is_some());
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(b"abc").unwrap();
        let zip = zip.finish().unwrap();
        assert_eq!(differs(abc, &put("d.gz", &zip)), None);
        assert!(differs(abc, &put("e", &zip)).is_some(), "only by its name");
        // `printf 'hello\n' | git hash-object --stdin`
        let blob = "git:ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(differs(blob, &put("f", b"hello\n")), None);
        assert!(differs(blob, &put("g", b"hello")).is_some());
        assert!(Expected::parse("git:12").is_err() && Expected::parse("12").is_err());
    }
}
