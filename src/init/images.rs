//! Trees of images with one folder per class, whole or parted into train, val and test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Drafted, InitError, InitRequest, named, quoted};
use crate::base::fs::FileError;
use crate::data::{Example, LAYOUTS, LayoutOptions};

/// What folders of a part may be called.
const PARTS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("val", &["val", "valid", "validation", "dev"]),
    ("test", &["test", "testing", "eval"]),
];
/// One image of each class in so many chooses alpha.
const EVERY: usize = 5;
/// Examples of the suggested generality probe.
const GENERALITY: usize = 200;

/// Registry, probes and class names of a folder.
pub(super) fn draft(request: &InitRequest, name: &str) -> Result<Drafted, InitError> {
    let parts = parts(&request.data)?;
    let head = |classes: &str, layout: &str| {
        format!(
            "# Written by `specbench init`. A summary, a licence and an origin may be added: they are printed with the results.\n\
             [{name}]\nlayout = \"{layout}\"\nclasses = {}\n# {{}} stands for the class name; several texts: `templates = FILE`.\n\
             template = \"a photo of a {{}}.\"\n",
            quoted(classes)
        )
    };
    let class_file = format!("{name}_classes.txt");
    let mut remarks = Vec::new();
    let (registry, files, has_val) = if parts.is_empty() {
        let examples = examples(&request.data)?;
        let (split, counts) = whole_tree(&examples);
        let list = format!("{name}_split.json");
        remarks.push(format!(
            "{} classes, {} images: {} for the test; every fifth of each class in the order of names, the last where there \
             are fewer, chooses alpha ({})",
            examples.len(),
            counts.0 + counts.1,
            counts.1,
            counts.0
        ));
        let source = format!("files = [{}, {}]\n", quoted(&list), named(&request.data, &request.out));
        let mut text = head(&class_file, "zhou-split");
        text += &format!("[{name}.split.test]\n{source}");
        if counts.0 > 0 {
            text += &format!("[{name}.split.val]\n{source}");
        }
        (text, vec![(list, split), (class_file, lines(examples.keys()))], counts.0 > 0)
    } else {
        let tested =
            parts.get("test").or_else(|| parts.get("val")).cloned().ok_or_else(|| InitError::Unfit {
                path: request.data.clone(),
                reason: "holds a training part alone; a test part is needed".to_owned(),
            })?;
        let classes = examples(&tested)?;
        let found: Vec<&str> = parts.keys().copied().collect();
        remarks.push(format!("{} classes; parts {} as the folders say", classes.len(), found.join(", ")));
        let mut text = head(&class_file, "image-folder");
        for (part, folder) in &parts {
            text += &format!("[{name}.split.{part}]\nfiles = [{}]\n", named(folder, &request.out));
        }
        if !parts.contains_key("test") {
            text += &format!("[{name}.split.test]\nfiles = [{}]\n", named(&tested, &request.out));
        }
        (
            text,
            vec![(class_file, lines(classes.keys()))],
            parts.contains_key("test") && parts.contains_key("val"),
        )
    };
    let names = files.last().map(|f| f.1.clone()).unwrap_or_default();
    if names.lines().all(is_synset) {
        remarks.push(format!(
            "the folders are called by WordNet ids, which say nothing to a text tower: write the classes' names into \
             `{name}_classes.txt`, in the same order"
        ));
    }
    Ok(Drafted { registry: Some(registry), probes: probes(name, has_val), files, remarks })
}

/// "n01440764".
fn is_synset(name: &str) -> bool {
    name.strip_prefix('n').is_some_and(|rest| rest.len() == 8 && rest.bytes().all(|b| b.is_ascii_digit()))
}

fn lines<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|n| format!("{}\n", n.replace('_', " "))).collect()
}

/// The parts of a tree that is parted, by their names.
fn parts(folder: &Path) -> Result<BTreeMap<&'static str, PathBuf>, InitError> {
    let entries = std::fs::read_dir(folder).map_err(|e| FileError::new("read", folder, e))?;
    let mut found = BTreeMap::new();
    let mut others = false;
    for path in entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir()) {
        let called = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        match PARTS.iter().find(|(_, names)| names.contains(&called.as_str())) {
            Some((part, _)) => drop(found.insert(*part, path)),
            None => others = true,
        }
    }
    // A class may be called "test": parts are parts where nothing else is beside them.
    Ok(if others { BTreeMap::new() } else { found })
}

/// Ids of the images by folder, both in the order of names.
fn examples(folder: &Path) -> Result<BTreeMap<String, Vec<String>>, InitError> {
    let layout = LAYOUTS.get("image-folder").expect("a layout of this program");
    let data = layout.open(&[folder.to_owned()], &LayoutOptions::default())?;
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Example { id, .. } in data.examples() {
        let class = id.split('/').next().unwrap_or_default();
        all.entry(class.to_owned()).or_default().push(id.clone());
    }
    if all.len() < 2 {
        let reason = "needs one folder of images for each class, two or more".to_owned();
        return Err(InitError::Unfit { path: folder.to_owned(), reason });
    }
    Ok(all)
}

/// CoOp's split file of a whole tree, and how many images choose alpha and how many are tested on.
fn whole_tree(examples: &BTreeMap<String, Vec<String>>) -> (String, (usize, usize)) {
    let (mut val, mut test) = (Vec::new(), Vec::new());
    for (label, (class, ids)) in examples.iter().enumerate() {
        let chooses = |i: usize| {
            let last_of_few = ids.len() < EVERY && ids.len() > 1 && i + 1 == ids.len();
            i % EVERY == EVERY - 1 || last_of_few
        };
        for (i, id) in ids.iter().enumerate() {
            let entry = json!([id, label, class]);
            if chooses(i) { val.push(entry) } else { test.push(entry) }
        }
    }
    let counts = (val.len(), test.len());
    (json!({"train": [], "val": val, "test": test}).to_string() + "\n", counts)
}

fn probes(name: &str, has_val: bool) -> String {
    let mut text = format!(
        "# What the fine-tuning was for.\n[[probe]]\nid = \"{name}\"\ndataset = \"{name}\"\nrole = \"speciality\"\n"
    );
    if has_val {
        text += &format!(
            "\n# Chooses alpha, and is no result.\n[[probe]]\nid = \"{name}-val\"\ndataset = \"{name}\"\nsplit = \"val\"\n\
             role = \"selection\"\n"
        );
    }
    text += &format!(
        "\n# What it may have cost. These drawings come with the program, so that there is something to see; put data sets that \
         matter\n# to you in their place (`specbench data list`).\n[[probe]]\nid = \"emoji\"\ndataset = \
         \"emoji-fluent-emoji-flat\"\nlimit = {GENERALITY}\nrole = \"generality\"\n"
    );
    text
}
