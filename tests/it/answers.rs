//! What `--json` prints, against its schema.

use std::process::Command;

use serde_json::Value;

use crate::support::{Bench, SMALL, root, specbench};

fn schema() -> Value {
    serde_json::from_slice(&std::fs::read(root().join("suites/schemas/output.json")).unwrap()).unwrap()
}

/// The one object that a command prints.
fn answer(arguments: &[&str]) -> Value {
    let output = specbench().args(arguments).arg("--json").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {text}"))
}

/// Answers of commands of every kind that needs neither network nor cluster.
fn answers() -> Vec<Value> {
    let bench = Bench::new(SMALL);
    bench.run("out", &["--limit", "20"]).assert().success();
    bench.run("other", &["--limit", "20", "--fresh"]).assert().success();
    let path = |name: &str| bench.out(name).display().to_string();
    let (suite, out, other, bless) =
        (bench.suite().display().to_string(), path("out"), path("other"), path("base.json"));
    let (from, to) = (root().join("suites/demo/zero-shot"), root().join("suites/demo/ft-noto"));
    let (from, to) = (from.display().to_string(), to.display().to_string());
    let page = path("all.html");
    [
        &["run", &suite, "--out", &out, "--limit", "20"][..],
        &["plan", &suite, "--limit", "20"],
        &["report", &out],
        &["report", &out, &other, "--html", &page],
        &["compare", &out, &other],
        &["bless", &out, "--to", &bless],
        &["check", "--baseline", &bless, &other],
        &["inspect", &from],
        &["merge", "wise-ft", "--from", &from, "--to", &to, "--alpha", "0.5", "--drop-heads"],
        &["list", "merges"],
        &["data", "list"],
        &["data", "verify", "emoji-noto"],
        &["doctor"],
        &["keys", "suite"],
        &["slurm", &suite, "--shards", "2", "--dry-run"],
        &["plan", "no-such-suite.toml"],
    ]
    .into_iter()
    .map(answer)
    .collect()
}

#[test]
fn what_is_printed_is_what_the_schema_says() {
    let schema = schema();
    let all = answers();
    let mut kinds: Vec<&str> = all.iter().map(|a| a["format"].as_str().unwrap()).collect();
    for (answer, format) in all.iter().zip(&kinds) {
        let of = schema["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["allOf"][0]["properties"]["format"]["const"].as_str() == Some(format));
        let plain = &of.unwrap_or_else(|| panic!("no schema for {format}"))["allOf"][1];
        let Some(fields) = plain["properties"].as_object() else { continue };
        let answer = answer.as_object().unwrap();
        let unknown: Vec<&String> =
            answer.keys().filter(|k| *k != "format" && !fields.contains_key(*k)).collect();
        assert!(unknown.is_empty(), "{format}: {unknown:?}");
        for name in plain["required"].as_array().into_iter().flatten() {
            assert!(answer.contains_key(name.as_str().unwrap()), "{format}: {name}");
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), 15, "{kinds:?}");
    // To the last field, where a validator is installed.
    let has = Command::new("python3").args(["-c", "import jsonschema"]).output();
    if !has.is_ok_and(|o| o.status.success()) {
        println!("skipped in part: python3 has no jsonschema");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("answers.json");
    std::fs::write(&file, Value::from(all).to_string()).unwrap();
    let script = "import json, sys, jsonschema\n\
                  check = jsonschema.Draft202012Validator(json.load(open(sys.argv[1])))\n\
                  for a in json.load(open(sys.argv[2])):\n    \
                      errors = [e.message[:300] + str(list(e.absolute_path)) for x in check.iter_errors(a) for e in [x] + list(x.context)]\n    \
                      assert not errors, (a['format'], errors[:20])\n";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(root().join("suites/schemas/output.json"))
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
