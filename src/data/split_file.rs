//! Makes a split file in CoOp's form for an image tree that has no official split.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::few_shot::split_class;
use super::{DataError, LAYOUTS, LayoutOptions, format_error};
use crate::base::fs::write_atomic;
use crate::base::python_random::PythonRandom;

/// Writes train, val and test lists of a tree with one folder per class: folders and files by sorted name,
/// each class shuffled and cut (CoOp's `read_and_split_data`, which takes files in the order of the file system
/// and so cannot be repeated). Returns the sizes.
pub fn write_split(
    root: &Path,
    out: &Path,
    seed: u64,
    train: f64,
    val: f64,
) -> Result<[usize; 3], DataError> {
    let layout = LAYOUTS.get("image-folder").expect("a layout of this program");
    let data = layout.open(&[root.to_owned()], &LayoutOptions::default())?;
    let mut by_class: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for example in data.examples() {
        by_class.entry(example.label).or_default().push(&example.id);
    }
    let mut random = PythonRandom::new(seed);
    let mut lists: [Vec<serde_json::Value>; 3] = Default::default();
    for (label, ids) in by_class {
        let class = ids.first().and_then(|id| id.split('/').next()).unwrap_or_default();
        let parts = split_class(ids.clone(), train, val, &mut random).ok_or_else(|| {
            format_error(root, format!("class `{class}` has too few images ({}) for three parts", ids.len()))
        })?;
        for (list, part) in lists.iter_mut().zip(parts) {
            list.extend(part.into_iter().map(|id| json!([id, label, class])));
        }
    }
    let sizes = lists.each_ref().map(Vec::len);
    let [train, val, test] = lists;
    let text = json!({"train": train, "val": val, "test": test}).to_string();
    write_atomic(out, text.as_bytes())?;
    Ok(sizes)
}
