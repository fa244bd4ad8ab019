//! Rules of the source tree that no compiler checks.

use std::path::PathBuf;

use crate::support::root;

/// The layers in order; a module may use only itself and those above it.
const LAYERS: [&str; 23] = [
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
    "init",
    "doctor",
    "suite",
    "keys",
    "plan",
    "store",
    "run",
    "report",
    "import",
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

/// The module of a file as a path of names: `run/engine.rs` is `["run", "engine"]`, `run/mod.rs` is `["run"]`.
fn module(path: &std::path::Path) -> Vec<String> {
    let below = path.strip_prefix(root().join("src")).unwrap().with_extension("");
    let mut names: Vec<String> = below.iter().map(|p| p.to_str().unwrap().to_owned()).collect();
    if names.last().is_some_and(|n| n == "mod" || n == "lib" || n == "main") {
        names.pop();
    }
    names
}

/// Every module that a file's code outside its tests names: `use crate::…`, `use super::…` and paths in code, with
/// groups in braces taken apart.
fn named(own: &[String], text: &str) -> Vec<Vec<String>> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code: String =
        text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut all = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut base: Vec<String> = Vec::new();
            let mut rest = &code[at..];
            if start == "crate::" {
                rest = &rest["crate::".len()..];
            } else {
                base = own.to_vec();
                while let Some(up) = rest.strip_prefix("super::") {
                    base.pop();
                    rest = up;
                }
            }
            expand(&base, rest, &mut all);
        }
    }
    all
}

/// The paths that begin with `base` and go on as `rest` says: `a::b`, or `{a, b::c}`.
fn expand(base: &[String], rest: &str, all: &mut Vec<Vec<String>>) {
    if let Some(group) = rest.strip_prefix('{') {
        let (mut depth, mut from) = (0, 0);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    expand(base, group[from..i].trim_start(), all);
                    return;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(base, group[from..i].trim_start(), all);
                    from = i + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    if end == 0 {
        all.push(base.to_vec());
        return;
    }
    let longer: Vec<String> = base.iter().cloned().chain([rest[..end].to_owned()]).collect();
    match rest[end..].strip_prefix("::") {
        Some(more) => expand(&longer, more, all),
        None => all.push(longer),
    }
}

/// What each file uses: other files, found through the names that modules export again.
fn uses() -> std::collections::BTreeMap<String, std::collections::BTreeSet<String>> {
    let files: Vec<(Vec<String>, String)> = sources().into_iter().map(|(p, t)| (module(&p), t)).collect();
    let modules: std::collections::BTreeSet<Vec<String>> = files.iter().map(|f| f.0.clone()).collect();
    // `pub use entry::{A, B}` in `catalog/mod.rs`: A and B of `catalog` are those of `catalog::entry`.
    let mut exported = std::collections::BTreeMap::new();
    for (own, text) in &files {
        for (at, _) in text.match_indices("pub use ") {
            let mut paths = Vec::new();
            expand(&[], &text[at + "pub use ".len()..], &mut paths);
            for path in paths.into_iter().filter(|p| p.len() == 2) {
                let home: Vec<String> = own.iter().chain(&path[..1]).cloned().collect();
                exported.insert(own.iter().chain(&path[1..]).cloned().collect::<Vec<_>>(), home);
            }
        }
    }
    let home = |path: &Vec<String>| -> Vec<String> {
        let mut path = path.clone();
        while !path.is_empty() {
            if let Some(home) = exported.get(&path) {
                return home.clone();
            }
            if modules.contains(&path) {
                return path;
            }
            path.pop();
        }
        path
    };
    let of = |(own, text): &(Vec<String>, String)| {
        let found: std::collections::BTreeSet<String> =
            named(own, text).iter().map(home).filter(|m| m != own).map(|m| m.join("/")).collect();
        (own.join("/"), found)
    };
    files.iter().map(of).collect()
}

#[test]
fn modules_use_only_what_is_above_them() {
    let place = |module: &str| LAYERS.iter().position(|l| Some(*l) == module.split('/').next());
    let mut wrong = Vec::new();
    for (own, used) in uses() {
        let Some(layer) = place(&own) else { continue };
        let below = used.iter().filter(|m| place(m).is_some_and(|l| l > layer));
        wrong.extend(below.map(|m| format!("{own} uses {m}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A folder's `mod.rs` holds what its files share (traits, errors, registries) and names them; files do not use one
/// another in a circle.
#[test]
fn files_use_one_another_in_one_direction() {
    let uses = uses();
    let is_folder = |m: &str| uses.keys().any(|k| k.starts_with(&format!("{m}/")));
    let edges = |m: &String| uses[m].iter().filter(|u| !is_folder(u) && uses.contains_key(*u)).cloned();
    let mut circles = Vec::new();
    for start in uses.keys().filter(|m| !is_folder(m)) {
        let mut open: Vec<String> = edges(start).collect();
        let mut seen = std::collections::BTreeSet::new();
        while let Some(next) = open.pop() {
            if next == *start {
                circles.push(start.clone());
                break;
            }
            if seen.insert(next.clone()) {
                open.extend(edges(&next));
            }
        }
    }
    assert!(circles.is_empty(), "these files are part of a circle: {}", circles.join(", "));
}

#[test]
fn big_dependencies_stay_where_they_belong() {
    for (path, text) in sources() {
        let own = layer(&path).map_or("", |l| LAYERS[l]);
        let name = path.display();
        let may_compute = ["checkpoint", "merge", "model", "train", "run"].contains(&own);
        assert!(may_compute || !text.contains("candle_"), "{name} names candle");
        let reads_tables = path.ends_with("base/table.rs") || path.ends_with("base/rows.rs");
        assert!(reads_tables || !text.contains("polars::"), "{name} names polars");
        assert!(own == "cli" || !text.contains("println!"), "{name} prints");
        assert!(own == "report" || !text.contains("plotters::"), "{name} names plotters");
        // The engine, plans and reports know architectures by their traits.
        let makes_clip = ["model", "train"].contains(&own) || path.ends_with("cli/commands/merge.rs");
        assert!(makes_clip || !text.contains("model::clip"), "{name} names CLIP");
        let makes_decoders = ["model", "train"].contains(&own) || path.ends_with("cli/commands/merge.rs");
        assert!(makes_decoders || !text.contains("model::lm"), "{name} names language models");
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

/// Folders whose files are each an entry of a registry, and the file that lists them.
const REGISTRIES: [(&str, &str); 15] = [
    ("data/layouts", "data/layouts/mod.rs"),
    ("import", "import/mod.rs"),
    ("image/corruptions", "image/corruptions/mod.rs"),
    ("merge/combine", "merge/combine/mod.rs"),
    ("merge/path", "merge/path/mod.rs"),
    ("metric/metrics", "metric/metrics/mod.rs"),
    ("report/figures", "report/figures/mod.rs"),
    ("report/tables", "report/tables/mod.rs"),
    ("task", "task/mod.rs"),
    ("train/terms", "train/terms/mod.rs"),
    ("train/trains", "train/trains/mod.rs"),
    ("train/updates", "train/updates/mod.rs"),
    ("model/clip", "model/architecture.rs"),
    ("model/lm", "model/architecture.rs"),
    ("model/lm/families", "model/lm/families/mod.rs"),
];

/// What several entries of a folder share.
const SHARED: [&str; 17] = [
    "mod", "grid", "cell", "numbers", "latex", "axis", "canvas", "legend", "sheet", "read", "folder",
    "names", "wide", "kept", "layer", "learned", "settings",
];

#[test]
fn every_file_of_a_registry_is_registered() {
    for (folder, list) in REGISTRIES {
        let dir = root().join("src").join(folder);
        let list = std::fs::read_to_string(root().join("src").join(list)).unwrap();
        if folder.starts_with("model/") && !folder.ends_with("families") {
            // A model type is a folder.
            let name = folder.rsplit('/').next().unwrap();
            assert!(list.contains(&format!("&{name}::")), "`{name}` is not in the registry of models");
            continue;
        }
        for entry in std::fs::read_dir(&dir).unwrap() {
            let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
            if !SHARED.contains(&name.as_str()) {
                let named = list.contains(&format!("{name}::"));
                assert!(named, "`{name}` is not in the registry of {folder}");
            }
        }
    }
}

#[test]
fn every_model_type_has_a_folder_and_every_registry_is_known() {
    let folders = std::fs::read_dir(root().join("src/model")).unwrap().map(|e| e.unwrap().path());
    for folder in folders.filter(|p| p.is_dir()) {
        let name = format!("model/{}", folder.file_name().unwrap().to_str().unwrap());
        assert!(REGISTRIES.iter().any(|r| r.0 == name), "`{name}` is not looked at by these tests");
    }
    for (path, text) in sources() {
        if text.contains("pub static ") && text.contains(": Registry<dyn ") {
            let known = REGISTRIES.iter().any(|r| path.ends_with(r.1));
            assert!(known, "the registry in {} is not looked at by these tests", path.display());
        }
    }
}
