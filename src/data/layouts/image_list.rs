//! A text file with an image and its class on each line, beside the folder of images: DomainNet's lists
//! (`clipart/zebra/clipart_343_000001.jpg 343`) and FGVC Aircraft's (`1514522 707-320`).

use std::path::{Path, PathBuf};

use crate::base::fs::read_lines;
use crate::base::registry::Named;
use crate::data::files::FileData;
use crate::data::{DataError, Dataset, Example, Layout, LayoutOptions, format_error};

/// The layout.
pub(super) struct ImageList;

impl Named for ImageList {
    fn name(&self) -> &'static str {
        "image-list"
    }
    fn summary(&self) -> &'static str {
        "a list of `path class` lines and its image folder; the class is a number or a class name"
    }
    fn reference(&self) -> &'static str {
        "DomainNet's and FGVC Aircraft's official lists"
    }
}

impl Layout for ImageList {
    fn open(&self, files: &[PathBuf], options: &LayoutOptions) -> Result<Box<dyn Dataset>, DataError> {
        let [list, root] = files else {
            let path = files.first().cloned().unwrap_or_default();
            return Err(format_error(&path, "this layout needs a list and a folder of images"));
        };
        let parse = |(i, line): (usize, String)| -> Result<Example, DataError> {
            let bad = |what: &str| format_error(list, format!("line {}: {what}", i + 1));
            let (path, class) = line.trim().split_once(char::is_whitespace).ok_or_else(|| bad("no class"))?;
            let class = class.trim();
            let named = || options.classes.iter().position(|c| c == class).map(|l| l as u32);
            let label = class.parse().ok().or_else(named);
            let label = label.ok_or_else(|| bad(&format!("`{class}` is no number and no class name")))?;
            // Aircraft's list gives names without ending.
            let id =
                if Path::new(path).extension().is_some() { path.to_owned() } else { format!("{path}.jpg") };
            Ok(Example { id, label })
        };
        let examples = read_lines(list)?.into_iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        Ok(Box::new(FileData::new(root, examples, None)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("list.txt");
        std::fs::write(&list, "real/zebra/z 1.jpg 3\n").unwrap();
        let classes = ["707-320", "Hawk T1"].map(str::to_owned).to_vec();
        let options = LayoutOptions { classes, ..LayoutOptions::default() };
        let open = || ImageList.open(&[list.clone(), dir.path().to_owned()], &options);
        assert!(open().err().unwrap().to_string().contains("line 1: `1.jpg 3` is no number"));
        std::fs::write(&list, "real/zebra/1.jpg 3\n0056978 Hawk T1\n").unwrap();
        let expected = [("real/zebra/1.jpg", 3), ("0056978.jpg", 1)];
        let data = open().unwrap();
        assert!(data.examples().iter().map(|e| (e.id.as_str(), e.label)).eq(expected));
    }
}
