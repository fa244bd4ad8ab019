//! A tree with one folder per class, as ImageNet and its variants are unpacked.

use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
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
        let names = sorted_entries(root)?.into_iter().filter(|p| p.is_dir()).collect::<Vec<_>>();
        if names.is_empty() {
            return Err(format_error(root, "holds no class folders"));
        }
        let mut classes: Vec<(u32, PathBuf)> = Vec::new();
        for (place, folder) in names.into_iter().enumerate() {
            if let Some(label) = label_of(&folder, place, options)? {
                classes.push((label, folder));
            }
        }
        classes.sort();
        let mut examples = Vec::new();
        for (label, folder) in classes {
            for path in sorted_entries(&folder)? {
                let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
                if ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) {
                    let id = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                    examples.push(Example { id, label });
                }
            }
        }
        Ok(Box::new(FileData::new(root, examples, None)))
    }

    fn digest(&self, files: &[PathBuf], data: &dyn Dataset) -> Result<Digest, DataError> {
        FileData::digest(files.first().map_or(Path::new(""), PathBuf::as_path), data)
    }
}

/// The class of a folder; `None` if it is to be left out.
fn label_of(folder: &Path, place: usize, options: &LayoutOptions) -> Result<Option<u32>, DataError> {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    match &options.folders {
        FolderRule::Sorted => Ok(Some(place as u32)),
        FolderRule::Numeric => match name.parse() {
            Ok(label) => Ok(Some(label)),
            Err(_) => Err(format_error(folder, "is not a number, but `folders = \"numeric\"`")),
        },
        FolderRule::Listed { names, others } => match names.iter().position(|n| *n == name) {
            Some(label) => Ok(Some(label as u32)),
            None if *others => Ok(None),
            None => Err(format_error(folder, "is not in the list of class folders")),
        },
    }
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let fail = |e| FileError::new("list", folder, e);
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(fail)?
        .map(|e| e.map(|e| e.path()).map_err(fail))
        .collect::<Result<_, _>>()?;
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn bytes_are_those_of_the_file() {
        let dir = tree(&["a", "b"]);
        let options = LayoutOptions::default();
        let data = ImageFolder.open(&[dir.path().to_owned()], &options).unwrap();
        assert!(matches!(&data.read(1..2).unwrap()[0], RawImage::Encoded(b) if b == b"b"));
    }
}
