//! Rules of the source tree that no compiler checks.

use std::path::PathBuf;

use crate::support::root;

/// The layers in order; a module may use only itself and those above it.
const LAYERS: [&str; 19] = [
    "base",
    "image",
    "data",
    "task",
    "catalog",
    "emoji",
    "checkpoint",
    "merge",
    "model",
    "train",
    "stats",
    "metric",
    "suite",
    "plan",
    "store",
    "run",
    "report",
    "compare",
    "cli",
];

fn sources() -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    let mut open = vec![root().join("src")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                all.push((path, text));
            }
        }
    }
    all.sort();
    all
}

fn layer(path: &std::path::Path) -> Option<usize> {
    let below = path.strip_prefix(root().join("src")).ok()?;
    let first = below.components().next()?.as_os_str().to_str()?.to_owned();
    LAYERS.iter().position(|l| *l == first)
}

#[test]
fn modules_use_only_what_is_above_them() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(own) = layer(&path) else { continue };
        for (i, found) in LAYERS.iter().enumerate().skip(own + 1) {
            if text.contains(&format!("crate::{found}::")) {
                wrong.push(format!("{} uses {found} (layer {i})", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn big_dependencies_stay_where_they_belong() {
    for (path, text) in sources() {
        let own = layer(&path).map_or("", |l| LAYERS[l]);
        let name = path.display();
        let may_compute = ["checkpoint", "merge", "model", "train", "run"].contains(&own);
        assert!(may_compute || !text.contains("candle_"), "{name} names candle");
        assert!(path.ends_with("base/table.rs") || !text.contains("polars::"), "{name} names polars");
        assert!(own == "cli" || !text.contains("println!"), "{name} prints");
        assert!(own == "report" || !text.contains("plotters::"), "{name} names plotters");
    }
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 520, "{} has {lines} lines", path.display());
        assert!(text.starts_with("//!"), "{} has no module documentation", path.display());
    }
}

#[test]
fn every_file_of_a_registry_is_registered() {
    for folder in [
        "metric/metrics",
        "merge/path",
        "merge/combine",
        "train/methods",
        "data/layouts",
        "report/tables",
        "report/figures",
    ] {
        let dir = root().join("src").join(folder);
        let list = std::fs::read_to_string(dir.join("mod.rs")).unwrap();
        for entry in std::fs::read_dir(&dir).unwrap() {
            let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
            if !["mod", "grid", "axis", "canvas"].contains(&name.as_str()) {
                assert!(list.contains(&format!("&{name}::")), "`{name}` is not in the registry of {folder}");
            }
        }
    }
}
