//! The keys against what the readers ask for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{FILES, FileKeys, Kind, RECIPE, REGISTRY, SUITE, TASK};
use crate::base::config::{Document, TABLE};
use crate::catalog::{Catalog, read_document};
use crate::merge::COMBINES;
use crate::suite::Suite;
use crate::task::language::Definition;
use crate::train::{METHODS, Recipe, TERMS, TRAINS, UPDATES};

type Asked = BTreeMap<(String, &'static str), String>;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(root().join(folder)).unwrap().map(|e| e.unwrap().path());
    all.filter(|p| p.extension().is_some_and(|e| e == "toml")).collect()
}

/// The examples of a kind of file, one after the other.
fn examples(keys: &FileKeys) -> String {
    keys.tables.iter().map(|t| t.example).collect()
}

fn asked_of_suites() -> Asked {
    let catalog = Catalog::open(&root().join("datasets.toml")).unwrap().beside(&root().join("suites"));
    let ends = "[[checkpoint]]\nid = \"start\"\nrole = \"pretrained\"\nsource = \"a\"\n\
                [[checkpoint]]\nid = \"tuned\"\nrole = \"finetuned\"\nsource = \"b\"\n";
    let example = examples(&SUITE).replacen("[[checkpoint]]", &format!("{ends}[[checkpoint]]"), 1);
    let document = Document::from_text(Path::new("example.toml"), example);
    Suite::parse(Path::new("example.toml"), &document, &catalog).unwrap();
    let mut all = document.asked();
    let mut combinations = String::from("[suite]\nname = \"x\"\n");
    for name in COMBINES.names() {
        combinations += &format!("[[checkpoint]]\nid = \"{name}\"\nmerge = \"{name}\"\nof = []\n");
    }
    combinations += "[[probe]]\nid = \"p\"\ntask = \"arc_easy\"\nrole = \"generality\"\n";
    let document = Document::from_text(Path::new("combinations.toml"), combinations);
    // It has mistakes; what was asked for counts.
    let _ = Suite::parse(Path::new("combinations.toml"), &document, &catalog);
    all.extend(document.asked());
    for path in files("suites") {
        let document = Document::open(&path).unwrap();
        let _ = Suite::parse(&path, &document, &catalog);
        all.extend(document.asked());
    }
    all
}

fn asked_of_recipes() -> Asked {
    let document = Document::from_text(Path::new("example.toml"), examples(&RECIPE));
    Recipe::read(Path::new("example.toml"), &document).unwrap();
    let mut all = document.asked();
    let mut add = |text: String| {
        let document = Document::from_text(Path::new("part.toml"), text);
        let _ = Recipe::read(Path::new("part.toml"), &document);
        all.extend(document.asked());
    };
    let head = |method: &str| format!("[recipe]\nmethod = \"{method}\"\n");
    for method in METHODS.names() {
        add(head(method) + "[train]\noptimiser = \"sgd\"\n[[data]]\ndataset = \"d\"\n");
    }
    for trains in TRAINS.names() {
        add(head("full") + &format!("[train]\ntrains = \"{trains}\"\n"));
    }
    for (table, names) in [("term", TERMS.names().collect::<Vec<_>>()), ("update", UPDATES.names().collect())]
    {
        for name in names {
            add(head("full") + &format!("[train]\n[[{table}]]\nkind = \"{name}\"\n"));
        }
    }
    all
}

fn asked_of_registries() -> Asked {
    let document = Document::from_text(Path::new("example.toml"), examples(&REGISTRY));
    read_document(&document).unwrap();
    let mut all = document.asked();
    let document = Document::open(&root().join("datasets.toml")).unwrap();
    read_document(&document).unwrap();
    all.extend(document.asked());
    all
}

/// Whether a reader that asks so takes such values.
fn agrees(kind: Kind, asked: &str) -> bool {
    match kind {
        // Some choices are read as texts, to say more of a wrong one.
        Kind::Choice(_) if asked == "a text" => true,
        Kind::NumberOrNumbers => ["a number, 0 to 1", "a list of numbers or a text"].contains(&asked),
        other => asked == expected(other),
    }
}

fn expected(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Named(_) => "a text".to_owned(),
        Kind::Choice(all) => all.join(", "),
        Kind::Count => "a whole number, 0 or more".to_owned(),
        Kind::Number(low, high) if low == f64::MIN && high == f64::MAX => "a number".to_owned(),
        Kind::Number(low, high) => format!("a number, {low} to {high}"),
        Kind::Any => "anything".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Texts => "a list of texts".to_owned(),
        Kind::Numbers | Kind::NumbersOrText | Kind::NumberOrNumbers => {
            "a list of numbers or a text".to_owned()
        }
    }
}

fn check(keys: &FileKeys, asked: &Asked) {
    let mut wrong = Vec::new();
    let mut listed = BTreeMap::new();
    for table in keys.tables {
        for key in table.all() {
            if listed.insert((table.path.to_owned(), key.name), key.kind).is_some() {
                wrong.push(format!("{}.{} stands twice", table.path, key.name));
            }
        }
    }
    for (place, kind) in asked.iter().filter(|a| a.1 != TABLE) {
        match listed.get(place) {
            None => wrong.push(format!("{place:?} is asked for ({kind}) and not listed")),
            Some(own) if !agrees(*own, kind) => {
                wrong.push(format!("{place:?} is asked for as {kind}, listed as {own:?}"));
            }
            Some(_) => {}
        }
    }
    wrong.extend(listed.keys().filter(|p| !asked.contains_key(*p)).map(|p| format!("nobody asks for {p:?}")));
    assert!(wrong.is_empty(), "{}: {}", keys.name, wrong.join("\n"));
}

#[test]
fn every_key_that_is_read_is_listed_and_the_other_way_round() {
    let all =
        [(&SUITE, asked_of_suites()), (&RECIPE, asked_of_recipes()), (&REGISTRY, asked_of_registries())];
    all.iter().for_each(|(keys, asked)| check(keys, asked));
}

/// A task with some keys besides those that must be there.
fn task(more: &Value) -> Result<(), String> {
    let mut all = json!({"task": "t", "doc_to_target": "a"});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Definition::of_keys(&all).map(|_| ()).map_err(|e| e.to_string())
}

#[test]
fn keys_of_tasks_are_those_that_are_read() {
    for table in TASK.tables {
        // An odd value: whoever reads the key takes it or refuses the value; what nobody reads is refused by name.
        let with = |name: &str| {
            let one = json!({"metric": "exact_match", "function": "lowercase", name: ["?"]});
            let part = |keys: &[&str]| -> Value {
                one.as_object()
                    .unwrap()
                    .iter()
                    .filter(|(k, _)| *k == name || keys.contains(&k.as_str()))
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect()
            };
            match table.path {
                "" => part(&[]),
                "metric_list" => json!({"metric_list": [part(&["metric"])]}),
                "filter_list" => json!({"filter_list": [{name: ["?"], "filter": []}]}),
                "filter_list.filter" => json!({"filter_list": [{"filter": [part(&["function"])]}]}),
                path => json!({path: part(&[])}),
            }
        };
        for key in table.all().filter(|k| k.default.is_some() && k.name != "include") {
            let regex = json!({"filter_list": [{"filter": [{"function": "regex", key.name: ["?"]}]}]});
            let read = if table.path == "filter_list.filter" { task(&regex) } else { task(&with(key.name)) };
            let unknown = read.is_err_and(|e| e.contains("is not known here"));
            assert!(!unknown, "nobody reads {}.{}", table.path, key.name);
        }
        let unknown = task(&with("no_such_key")).unwrap_err();
        assert!(unknown.contains("no_such_key") && unknown.contains("is not known here"), "{unknown}");
    }
    // Whatever shipped files say is listed.
    let listed = |path: &str, name: &str| {
        TASK.tables.iter().any(|t| t.path == path && t.all().any(|k| k.name == name))
    };
    let is_table = |name: &str| TASK.tables.iter().any(|t| t.path == name);
    for folder in ["suites/tasks", "suites/lm_demo", "suites/lm_real"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "yaml") {
                continue;
            }
            let file: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            for (name, value) in file.as_object().unwrap() {
                assert!(listed("", name) || is_table(name), "{}: {name}", path.display());
                let inner = value.as_array().map_or_else(|| vec![value], |all| all.iter().collect());
                for key in inner
                    .iter()
                    .filter_map(|v| v.as_object())
                    .flat_map(|m| m.keys())
                    .filter(|_| is_table(name))
                {
                    let known = listed(name, key) || is_table(&format!("{name}.{key}"));
                    assert!(known, "{}: {name}.{key}", path.display());
                }
            }
        }
    }
}

#[test]
fn page_and_schemas_are_those_of_the_program() {
    let page: String = FILES.iter().map(|f| f.markdown() + "\n").collect();
    let stored =
        |name: &str| std::fs::read_to_string(root().join("suites/schemas").join(name)).unwrap_or_default();
    assert!(
        stored("keys.md").trim_end().ends_with(page.trim_end()),
        "run `specbench keys --out suites/schemas`"
    );
    for file in FILES {
        let schema: serde_json::Value =
            serde_json::from_str(&stored(&format!("{}.json", file.name))).unwrap();
        assert_eq!(schema, file.schema(), "run `specbench keys --out suites/schemas`");
    }
}
