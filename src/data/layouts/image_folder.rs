//! A tree with one folder per class, as ImageNet and its variants are unpacked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::account::some_of;
use crate::base::fs::FileError;
use crate::base::registry::Named;
use crate::data::files::FileData;
use crate::data::{DataError, Dataset, Example, FolderRule, Layout, LayoutOptions, format_error};

/// Endings that count as images (torchvision's `IMG_EXTENSIONS`).
const ENDINGS: [&str; 9] = ["jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp"];

/// The layout.
pub(super) struct ImageFolder;

impl Named for ImageFolder {
    fn name(&self) -> &'static str {
        "image-folder"
    }
    fn summary(&self) -> &'static str {
        "one folder per class; `folders` says which folder is which class: sorted, numeric, or a list"
    }
    fn reference(&self) -> &'static str {
        "torchvision ImageFolder; numeric folders after imagenetv2_pytorch"
    }
}

impl Layout for ImageFolder {
    fn open(&self, files: &[PathBuf], options: &LayoutOptions) -> Result<Box<dyn Dataset>, DataError> {
        let [root] = files else {
            let path = files.first().cloned().unwrap_or_default();
            return Err(format_error(&path, "this layout needs one folder"));
        };
        let folders: Vec<PathBuf> = sorted_entries(root)?.into_iter().filter(|p| p.is_dir()).collect();
        if folders.is_empty() {
            return Err(format_error(root, "holds no class folders"));
        }
        let mut examples = Vec::new();
        let mut elsewhere = BTreeMap::new();
        for (label, folder) in labelled(root, folders, options)? {
            for path in images_below(&folder)? {
                let inner = path.strip_prefix(root).unwrap_or(&path);
                let id = id_of(inner);
                if Path::new(&id) != inner {
                    elsewhere.insert(examples.len(), path.clone());
                }
                examples.push(Example { id, label });
            }
        }
        Ok(Box::new(FileData::with_paths(root, examples, None, elsewhere)?))
    }
}

/// An example's id: its path with slashes; bytes that are no text are written as `\xNN`.
fn id_of(path: &Path) -> String {
    let text = match path.to_str() {
        Some(text) => text.to_owned(),
        None => path.as_os_str().as_encoded_bytes().utf8_chunks().fold(String::new(), |mut text, chunk| {
            text.push_str(chunk.valid());
            chunk.invalid().iter().for_each(|b| text.push_str(&format!("\\x{b:02x}")));
            text
        }),
    };
    if cfg!(windows) { text.replace('\\', "/") } else { text }
}

/// Class folders with their labels, by ascending label.
fn labelled(
    root: &Path,
    folders: Vec<PathBuf>,
    options: &LayoutOptions,
) -> Result<Vec<(u32, PathBuf)>, DataError> {
    let name =
        |folder: &PathBuf| folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut all = Vec::new();
    match &options.folders {
        FolderRule::Sorted => {
            let names: Vec<String> = folders.iter().map(name).collect();
            all.extend(sorted_labels(root, &names, &options.classes)?.into_iter().zip(folders));
        }
        FolderRule::Numeric => {
            for folder in folders {
                let label = name(&folder).parse();
                let label = label
                    .map_err(|_| format_error(&folder, "is not a number, but `folders = \"numeric\"`"))?;
                all.push((label, folder));
            }
        }
        FolderRule::Listed { names, others } => {
            for folder in folders {
                match names.iter().position(|n| *n == name(&folder)) {
                    Some(label) => all.push((label as u32, folder)),
                    None if *others => {}
                    None => return Err(format_error(&folder, "is not in the list of class folders")),
                }
            }
        }
    }
    all.sort();
    Ok(all)
}

/// Labels of sorted folders. Where the folders are called as the classes are, names decide; where none is, their places
/// do, and there must be as many as classes.
fn sorted_labels(root: &Path, folders: &[String], classes: &[String]) -> Result<Vec<u32>, DataError> {
    let plain = |text: &str| text.replace('_', " ").to_lowercase();
    let known: BTreeMap<String, usize> = classes.iter().enumerate().map(|(i, c)| (plain(c), i)).collect();
    let found: Vec<Option<u32>> =
        folders.iter().map(|f| known.get(&plain(f)).map(|&label| label as u32)).collect();
    let unique = known.len() == classes.len();
    let advice = "list the class folders in a file, in the order of the classes, and name it with `folders`";
    if unique && found.iter().all(Option::is_some) {
        return Ok(found.into_iter().flatten().collect());
    }
    if unique && found.iter().any(Option::is_some) {
        let strange: Vec<&str> =
            folders.iter().zip(&found).filter(|(_, l)| l.is_none()).map(|(f, _)| f.as_str()).collect();
        let reason = format!("holds the folders {}, which are no class names; {advice}", some_of(&strange));
        return Err(format_error(root, reason));
    }
    if !classes.is_empty() && folders.len() != classes.len() {
        let reason =
            format!("holds {} class folders for {} class names; {advice}", folders.len(), classes.len());
        return Err(format_error(root, reason));
    }
    Ok((0..folders.len() as u32).collect())
}

/// Folders within folders that are followed at most; links may lead in circles.
const DEEPEST: usize = 32;

/// All images of a class folder, however deep, in the order of torchvision's `make_dataset`: folders by their paths,
/// files within each by name. Links are followed, and what is called an image counts as one.
fn images_below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut folders = vec![(folder.to_owned(), 0)];
    let mut by_folder: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    while let Some((next, depth)) = folders.pop() {
        if depth > DEEPEST {
            return Err(format_error(&next, "is nested too deep; does a link lead in a circle?"));
        }
        let mut images = Vec::new();
        for path in sorted_entries(&next)? {
            if path.is_dir() {
                folders.push((path, depth + 1));
                continue;
            }
            let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
            if ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) {
                images.push(path);
            }
        }
        by_folder.insert(next, images);
    }
    let mut all: Vec<(PathBuf, Vec<PathBuf>)> = by_folder.into_iter().collect();
    // As texts, not as parts of a path: `a b/` sorts before `a/b`.
    all.sort_by(|a, b| a.0.as_os_str().cmp(b.0.as_os_str()));
    Ok(all.into_iter().flat_map(|(_, images)| images).collect())
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let fail = |e| FileError::new("list", folder, e);
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(fail)?
        .map(|e| e.map(|e| e.path()).map_err(fail))
        .collect::<Result<_, _>>()?;
    all.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::file_digests::FileDigests;
    use crate::data::RawImage;

    fn tree(folders: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for folder in folders {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
            std::fs::write(dir.path().join(folder).join("b.JPEG"), folder).unwrap();
            std::fs::write(dir.path().join(folder).join("readme.txt"), "no image").unwrap();
        }
        dir
    }

    fn labels(dir: &tempfile::TempDir, folders: FolderRule) -> Result<Vec<(String, u32)>, DataError> {
        let data = ImageFolder
            .open(&[dir.path().to_owned()], &LayoutOptions { folders, ..LayoutOptions::default() })?;
        Ok(data.examples().iter().map(|e| (e.id.clone(), e.label)).collect())
    }

    #[test]
    fn numeric_folders_are_numbers_not_texts() {
        // ImageNet-V2: sorted as texts, folder "10" would be class 1 (imagenetv2 issue 4).
        let dir = tree(&["0", "1", "2", "10"]);
        let found = labels(&dir, FolderRule::Numeric).unwrap();
        assert_eq!(found[3], ("10/b.JPEG".to_owned(), 10));
        assert_eq!(labels(&dir, FolderRule::Sorted).unwrap()[2].0, "10/b.JPEG");
        assert!(labels(&tree(&["x"]), FolderRule::Numeric).is_err());
    }

    #[test]
    fn listed_folders_have_the_class_of_their_line() {
        let dir = tree(&["n02", "n03", "other"]);
        let names: Vec<String> = ["n01", "n02", "n03"].map(str::to_owned).to_vec();
        let strict = FolderRule::Listed { names: names.clone(), others: false };
        assert!(labels(&dir, strict).unwrap_err().to_string().contains("other"));
        let found = labels(&dir, FolderRule::Listed { names, others: true }).unwrap();
        assert_eq!(found, [("n02/b.JPEG".to_owned(), 1), ("n03/b.JPEG".to_owned(), 2)]);
    }

    fn sorted(dir: &tempfile::TempDir, classes: &[&str]) -> Result<Vec<(String, u32)>, String> {
        let classes = classes.iter().map(|c| (*c).to_owned()).collect();
        let options = LayoutOptions { classes, ..LayoutOptions::default() };
        let data = ImageFolder.open(&[dir.path().to_owned()], &options).map_err(|e| e.to_string())?;
        Ok(data.examples().iter().map(|e| (e.id.clone(), e.label)).collect())
    }

    #[test]
    fn folders_are_checked_against_the_class_names() {
        // One of four is missing: the others keep their classes.
        let labels: Vec<u32> = sorted(&tree(&["cat", "owl", "pig"]), &["cat", "dog", "owl", "pig"])
            .unwrap()
            .into_iter()
            .map(|e| e.1)
            .collect();
        assert_eq!(labels, [0, 2, 3]);
        // Names in another order than the folders'.
        assert_eq!(sorted(&tree(&["a_b", "c"]), &["C", "a b"]).unwrap()[0], ("c/b.JPEG".to_owned(), 0));
        let strange = sorted(&tree(&["__MACOSX", "cat", "dog"]), &["cat", "dog", "owl"]).unwrap_err();
        assert!(strange.contains("`__MACOSX`"), "{strange}");
        let count = sorted(&tree(&["n1", "n2"]), &["cat", "dog", "owl"]).unwrap_err();
        assert!(count.contains("2 class folders for 3 class names"), "{count}");
        assert_eq!(sorted(&tree(&["n1", "n2"]), &["cat", "dog"]).unwrap().len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn images_lie_deeper_and_have_any_names() {
        use std::os::unix::ffi::OsStrExt as _;
        let dir = tree(&["cat"]);
        let cat = dir.path().join("cat");
        std::fs::create_dir_all(cat.join("x/y.png")).unwrap();
        std::fs::write(cat.join("x/y.png/z.png"), "deep").unwrap();
        std::fs::write(cat.join("a\\b.png"), "backslash").unwrap();
        std::fs::write(cat.join(std::ffi::OsStr::from_bytes(b"f\xff.png")), "no text").unwrap();
        std::os::unix::fs::symlink("nowhere", cat.join("dead.png")).unwrap();
        let data = ImageFolder.open(&[dir.path().to_owned()], &LayoutOptions::default()).unwrap();
        let ids: Vec<&str> = data.examples().iter().map(|e| e.id.as_str()).collect();
        assert_eq!(
            ids,
            ["cat/a\\b.png", "cat/b.JPEG", "cat/dead.png", "cat/f\\xff.png", "cat/x/y.png/z.png"]
        );
        let read = data.images(0..5).unwrap();
        assert!(matches!(&read[0], RawImage::Encoded(b) if b == b"backslash"));
        assert!(matches!(&read[2], RawImage::Unreadable(_)));
        assert!(matches!(&read[3], RawImage::Encoded(b) if b == b"no text"));
    }

    #[test]
    fn what_changes_after_opening_is_noticed() {
        let dir = tree(&["a", "b"]);
        let data = ImageFolder.open(&[dir.path().to_owned()], &LayoutOptions::default()).unwrap();
        let digest = || data.digest(&FileDigests::default()).unwrap();
        let before = digest();
        // As long as before, and another picture.
        std::fs::write(dir.path().join("a/b.JPEG"), "x").unwrap();
        assert_ne!(digest(), before);
        assert!(matches!(data.read(0..1), Err(DataError::Changed(_))));
    }

    #[test]
    fn bytes_are_those_of_the_file() {
        let dir = tree(&["a", "b"]);
        let options = LayoutOptions::default();
        let data = ImageFolder.open(&[dir.path().to_owned()], &options).unwrap();
        assert!(matches!(&data.images(1..2).unwrap()[0], RawImage::Encoded(b) if b == b"b"));
    }
}
