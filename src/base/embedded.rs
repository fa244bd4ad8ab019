//! What the program brings along: the registry, class names, templates, tasks, and the demos with their data and checkpoints.
//!
//! Readers map files, so what is embedded is unpacked once into a folder of the user's cache that is named by its content:
//! another version of the program never reads what this one unpacked.

use std::path::{Path, PathBuf};

use include_dir::{Dir, File, include_dir};

use super::digest::Digest;
use super::fs::{FileError, create_dir, write_atomic};

static SUITES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/suites");
static REGISTRY: &[u8] = include_bytes!("../../datasets.toml");

/// Where suites lie below the unpacked folder.
const SUITES_FOLDER: &str = "suites";
/// The registry's name, built in and a user's.
pub const REGISTRY_FILE: &str = "datasets.toml";

fn files<'a>(folder: &'a Dir<'a>, all: &mut Vec<&'a File<'a>>) {
    all.extend(folder.files());
    folder.dirs().for_each(|d| files(d, all));
}

/// Everything, by its path below the unpacked folder.
fn everything() -> Vec<(PathBuf, &'static [u8])> {
    let mut found = Vec::new();
    files(&SUITES, &mut found);
    let mut all: Vec<(PathBuf, &[u8])> =
        found.into_iter().map(|f| (Path::new(SUITES_FOLDER).join(f.path()), f.contents())).collect();
    all.push((REGISTRY_FILE.into(), REGISTRY));
    all.sort();
    all
}

/// The folder with everything, unpacked below `cache` if it is not there yet, or not whole.
///
/// # Errors
/// If it cannot be written.
pub fn unpacked(cache: &Path) -> Result<PathBuf, FileError> {
    let all = everything();
    let parts: Vec<(&PathBuf, Digest)> = all.iter().map(|(p, bytes)| (p, Digest::of_bytes(bytes))).collect();
    let folder = cache.join(Digest::of_value(&parts).short());
    for (path, bytes) in &all {
        let path = folder.join(path);
        let whole = std::fs::metadata(&path).is_ok_and(|m| m.len() == bytes.len() as u64);
        if !whole {
            create_dir(path.parent().unwrap_or(&folder))?;
            write_atomic(&path, bytes)?;
        }
    }
    Ok(folder)
}

/// Names of all of a kind, without `.toml`.
#[must_use]
pub fn names(kind: Kind) -> Vec<String> {
    let toml = |f: &&File<'_>| f.path().extension().is_some_and(|e| e == "toml");
    let stem = |f: &File<'_>| f.path().file_stem().map(|s| s.to_string_lossy().into_owned());
    let files = match kind {
        Kind::Suite => SUITES.files(),
        Kind::Recipe => SUITES.get_dir(kind.folder()).expect("recipes are embedded").files(),
    };
    let mut names: Vec<String> = files.filter(toml).filter_map(stem).collect();
    names.sort();
    names
}

/// A kind of embedded file that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is run.
    Suite,
    /// What checkpoints are tuned with.
    Recipe,
}

impl Kind {
    /// What messages call it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Suite => "suite",
            Self::Recipe => "recipe",
        }
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::Suite => "",
            Self::Recipe => "recipes",
        }
    }
}

/// What a name means among the unpacked files: a path as it is in the repository, or the name of one of the kind.
#[must_use]
pub fn meant(folder: &Path, kind: Kind, name: &Path) -> Option<PathBuf> {
    let named = folder.join(SUITES_FOLDER).join(kind.folder()).join(name.with_extension("toml"));
    [folder.join(name), named].into_iter().find(|p| p.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The compiler does not see that a file of the folder changed.
    #[test]
    fn what_is_embedded_is_what_lies_in_the_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = 0;
        for (path, bytes) in everything() {
            let same = std::fs::read(root.join(&path)).is_ok_and(|now| now == bytes);
            assert!(
                same,
                "`{}` is embedded as it was: touch src/base/embedded.rs and build again",
                path.display()
            );
            found += 1;
        }
        let mut open = vec![root.join(SUITES_FOLDER)];
        let mut files = 1;
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { open.push(path) } else { files += 1 }
            }
        }
        assert_eq!(found, files, "files came or went: touch src/base/embedded.rs and build again");
    }

    #[test]
    fn what_is_unpacked_is_whole_and_mended() {
        let dir = tempfile::tempdir().unwrap();
        let folder = unpacked(dir.path()).unwrap();
        let suite = meant(&folder, Kind::Suite, Path::new("demo")).unwrap();
        assert_eq!(meant(&folder, Kind::Suite, Path::new("suites/demo.toml")), Some(suite.clone()));
        assert!(
            meant(&folder, Kind::Recipe, Path::new("methods_lm")).is_some()
                && meant(&folder, Kind::Suite, Path::new("nothing")).is_none()
        );
        let text = std::fs::read(&suite).unwrap();
        write_atomic(&suite, b"damaged").unwrap();
        assert_eq!(unpacked(dir.path()).unwrap(), folder);
        assert_eq!(std::fs::read(&suite).unwrap(), text);
        assert!(names(Kind::Suite).contains(&"demo".to_owned()));
    }
}
