//! CoOp's split files: `split_zhou_<DataSet>.json` with lists of (path, label, class name) for train, val and
//! test, beside the folder of images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::fs::read_text;
use crate::base::registry::Named;
use crate::data::files::FileData;
use crate::data::{DataError, Dataset, Example, Layout, LayoutOptions, format_error};

/// The layout.
pub(super) struct ZhouSplit;

impl Named for ZhouSplit {
    fn name(&self) -> &'static str {
        "zhou-split"
    }
    fn summary(&self) -> &'static str {
        "a split_zhou_*.json and its image folder; class names come from the file, the split is its key"
    }
    fn reference(&self) -> &'static str {
        "KaiyangZhou/CoOp, datasets/oxford_pets.py read_split"
    }
}

impl Layout for ZhouSplit {
    fn open(&self, files: &[PathBuf], options: &LayoutOptions) -> Result<Box<dyn Dataset>, DataError> {
        let [list, root] = files else {
            let path = files.first().cloned().unwrap_or_default();
            return Err(format_error(&path, "this layout needs a split file and a folder of images"));
        };
        let bad = |reason: String| format_error(list, reason);
        let mut splits: BTreeMap<String, Vec<(String, u32, String)>> =
            serde_json::from_str(&read_text(list)?).map_err(|e| bad(e.to_string()))?;
        let names = class_names(list, &splits)?;
        let Some(items) = splits.remove(&options.split) else {
            let known = splits.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(bad(format!("has no split `{}`; it has {known}", options.split)));
        };
        let examples = items.into_iter().map(|(id, label, _)| Example { id, label }).collect();
        Ok(Box::new(FileData::new(root, examples, Some(names))?))
    }
}

/// Names by label, underscores as spaces. Labels must run from 0 without gaps, each with one name.
fn class_names(
    list: &Path,
    splits: &BTreeMap<String, Vec<(String, u32, String)>>,
) -> Result<Vec<String>, DataError> {
    let mut by_label: BTreeMap<u32, &str> = BTreeMap::new();
    for (_, label, name) in splits.values().flatten() {
        let known = by_label.entry(*label).or_insert(name);
        if known != name {
            let reason = format!("calls class {label} both `{known}` and `{name}`");
            return Err(format_error(list, reason));
        }
    }
    if let Some((expected, found)) = (0u32..).zip(by_label.keys()).find(|(e, f)| e != *f) {
        return Err(format_error(list, format!("has class {found} but no class {expected}")));
    }
    Ok(by_label.values().map(|n| n.replace('_', " ")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str, split: &str) -> Result<Box<dyn Dataset>, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("split_zhou_Toys.json");
        std::fs::write(&list, text).unwrap();
        let options = LayoutOptions { split: split.to_owned(), ..LayoutOptions::default() };
        ZhouSplit.open(&[list, dir.path().to_owned()], &options)
    }

    #[test]
    fn names_and_labels_come_from_the_file() {
        let text = r#"{"train": [["a/1.jpg", 1, "red_car"]], "val": [], "test": [["b/2.jpg", 0, "bus"]]}"#;
        let data = open(text, "test").unwrap();
        assert_eq!(data.examples(), [Example { id: "b/2.jpg".to_owned(), label: 0 }]);
        assert_eq!(data.class_names().unwrap(), ["bus", "red car"]);
        let error = |t: &str, split: &str| open(t, split).err().unwrap().to_string();
        assert!(error(text, "dev").contains("no split `dev`; it has test, train, val"));
        let gap = r#"{"train": [["a", 0, "x"], ["b", 2, "y"]]}"#;
        assert!(error(gap, "train").contains("has class 2 but no class 1"));
        let two = r#"{"train": [["a", 0, "x"], ["b", 0, "y"]]}"#;
        assert!(error(two, "train").contains("both `x` and `y`"));
    }
}
