//! A new user: the program alone in an empty folder, a suite of one's own, the machine looked at.

use std::path::Path;

use assert_cmd::Command;

use crate::support::root;

/// The program in a folder of its own, with a cache of its own.
fn at(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("specbench").unwrap();
    command.current_dir(folder).env("NO_COLOR", "1").env("XDG_CACHE_HOME", folder.join("cache"));
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Ten small images in two folders, and the demo's checkpoints under other names.
fn own() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (class, colour) in [("house_sparrow", [150, 110, 80]), ("robin", [200, 60, 40])] {
        let folder = dir.path().join("birds").join(class);
        std::fs::create_dir_all(&folder).unwrap();
        for i in 0..5 {
            let image = specbench::image::Rgb::filled(60 + 5 * i, 50, colour);
            std::fs::write(folder.join(format!("{i}.png")), image.to_png()).unwrap();
        }
    }
    copy(&root().join("suites/demo/zero-shot"), &dir.path().join("base"));
    copy(&root().join("suites/demo/ft-noto"), &dir.path().join("tuned"));
    dir
}

#[test]
fn ten_images_and_two_checkpoints_become_a_frontier() {
    let dir = own();
    let init = || {
        let mut command = at(dir.path());
        command.args(["init", "birds", "--from", "base", "--to", "tuned"]);
        command
    };
    let output = init().assert().success();
    let (out, log) = (text(&output.get_output().stdout), text(&output.get_output().stderr));
    assert_eq!(out.trim(), "specbench run birds.toml");
    assert!(log.contains("2 classes, 10 images: 8 for the test"), "{log}");
    let names = std::fs::read_to_string(dir.path().join("birds_classes.txt")).unwrap();
    assert_eq!(names, "house sparrow\nrobin\n");
    // What is there is not written over.
    let output = init().assert().code(2);
    assert!(text(&output.get_output().stderr).contains("`--force` writes over it"));
    init().arg("--force").assert().success();
    let output = at(dir.path()).args(["run", "birds.toml", "--json"]).assert().success();
    let result: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert!(result["frontier"]["points"].as_array().unwrap().len() == 11, "{result}");
    assert!(dir.path().join("reports/birds/report.html").is_file());
}

#[test]
fn documents_become_a_task() {
    let dir = tempfile::tempdir().unwrap();
    copy(&root().join("suites/lm_demo/base"), &dir.path().join("base"));
    copy(&root().join("suites/lm_demo/medicine"), &dir.path().join("tuned"));
    let cases = [
        (r#"{"question": "Which?", "choices": ["a", "b"], "answer": 1}"#, "doc_to_target: answer\n"),
        (r#"{"question": "Which?", "options": ["a", "b"], "answer": "B"}"#, "'ABCDEFGHIJ'.find(answer)"),
        (r#"{"question": "Which?", "choices": ["a", "b"], "answer": "b"}"#, "choices.index(answer)"),
        (
            r#"{"question": "Which?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"}"#,
            "choices.label.index(answerKey)",
        ),
        (r#"{"prompt": "Say it", "completion": " now"}"#, "output_type: loglikelihood"),
    ];
    for (i, (line, expected)) in cases.into_iter().enumerate() {
        let name = format!("docs{i}");
        std::fs::create_dir(dir.path().join(&name)).unwrap();
        std::fs::write(dir.path().join(&name).join("test.jsonl"), format!("{line}\n")).unwrap();
        at(dir.path()).args(["init", &name, "--from", "base", "--to", "tuned"]).assert().success();
        let task = std::fs::read_to_string(dir.path().join(format!("{name}_task.yaml"))).unwrap();
        assert!(task.contains(expected), "{expected} not in {task}");
        at(dir.path()).args(["run", &format!("{name}.toml"), "--limit", "1"]).assert().success();
    }
    std::fs::write(dir.path().join("odd.jsonl"), "{\"x\": 1}\n").unwrap();
    let output =
        at(dir.path()).args(["init", "odd.jsonl", "--from", "base", "--to", "tuned"]).assert().code(2);
    let log = text(&output.get_output().stderr);
    assert!(log.contains("holds documents with the columns x"), "{log}");
}

#[test]
fn the_program_alone_runs_the_demo_and_a_registry_lies_over_the_built_in_one() {
    let dir = own();
    let run = at(dir.path()).args(["run", "demo", "--limit", "10"]).assert().success();
    assert!(text(&run.get_output().stderr).contains("the built-in one is used"));
    assert!(dir.path().join("reports/demo/report.html").is_file());
    at(dir.path()).args(["plan", "suites/lm_demo.toml"]).assert().success();
    let list = at(dir.path()).args(["list", "suites"]).assert().success();
    assert!(text(&list.get_output().stdout).contains("lm_demo"));
    let missing = at(dir.path()).args(["run", "dmeo"]).assert().code(2);
    assert!(text(&missing.get_output().stderr).contains("no built-in suite of that name"));
    // A recipe has the name of its suite.
    let tune = |name: &str| at(dir.path()).args(["tune", name, "--only", "nobody"]).assert().code(2);
    assert!(text(&tune("methods_clip").get_output().stderr).contains("no recipe matches `--only`"));
    let missing = tune("nothing");
    assert!(
        text(&missing.get_output().stderr).contains("no built-in recipe of that name; built in are ft-noto")
    );
    // A suite in another folder: its registry and its checkpoints lie beside it, other data sets are built in.
    let inner = dir.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    for name in ["base", "tuned", "birds"] {
        std::fs::rename(dir.path().join(name), inner.join(name)).unwrap();
    }
    at(&inner).args(["init", "birds", "--from", "base", "--to", "tuned"]).assert().success();
    let plan = at(dir.path()).args(["plan", "inner/birds.toml"]).assert().success();
    assert!(text(&plan.get_output().stdout).contains("11 variants, 3 probes"));
    std::fs::rename(inner.join("tuned"), inner.join("elsewhere")).unwrap();
    let missing = at(dir.path()).args(["plan", "inner/birds.toml"]).assert().failure();
    let log = text(&missing.get_output().stderr);
    assert!(log.contains("nor is there `inner/tuned`, beside the suite"), "{log}");
}

#[test]
fn the_example_suite_of_the_readme_runs_as_it_stands() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let suite = readme.split("## A suite").nth(1).and_then(|t| t.split("```toml\n").nth(1)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine.toml"), suite.split("```").next().unwrap()).unwrap();
    let output = at(dir.path()).args(["run", "mine.toml", "--limit", "40", "--json"]).assert().success();
    let result: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(result["frontier"]["points"].as_array().unwrap().len(), 11, "{result}");
    assert!(dir.path().join("reports/mine/figures/frontier.svg").is_file());
}

#[test]
fn the_machine_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let output = at(dir.path()).args(["doctor", "--json"]).assert().success();
    let checks: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let states: Vec<(&str, &str)> = checks["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["check"].as_str().unwrap(), c["state"].as_str().unwrap()))
        .collect();
    for what in ["tokenizer", "image model", "language model", "device"] {
        assert!(states.contains(&(what, "ok")), "{states:?}");
    }
    // What is damaged in the cache is mended before it is read.
    let built_in =
        std::fs::read_dir(dir.path().join("cache/specbench")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(built_in.join("suites/canary.json"), "{}").unwrap();
    at(dir.path()).arg("doctor").assert().success();
    let output = at(dir.path()).args(["doctor", "--device", "cuda:7"]).assert().failure();
    assert!(text(&output.get_output().stderr).contains("checks failed"));
}

#[test]
fn whatever_is_asked_in_json_is_answered_in_json() {
    let dir = own();
    let out = |arguments: &[&str]| {
        let output = at(dir.path()).args(arguments).arg("--json").output().unwrap();
        let found: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", text(&output.stdout)));
        let format = found["format"].as_str().unwrap_or_else(|| panic!("{arguments:?}: {found}")).to_owned();
        (format, found, output.status.code())
    };
    for (arguments, format) in [
        (&["init", "birds", "--from", "base", "--to", "tuned"][..], "init"),
        (&["plan", "birds.toml"], "plan"),
        (&["run", "birds.toml", "--limit", "4"], "run"),
        (&["report", "reports/birds"], "report"),
        (&["compare", "reports/birds", "reports/birds"], "compare"),
        (&["bless", "reports/birds", "--to", "b.json"], "bless"),
        (&["check", "reports/birds", "--baseline", "b.json"], "check"),
        (&["inspect", "base"], "inspect"),
        (&["list", "methods"], "list"),
        (&["list", "datasets"], "data-list"),
        (&["data", "list"], "data-list"),
        (&["data", "verify", "emoji-noto"], "data-verify"),
        (&["data", "shots", "emoji-noto", "--split", "test", "--shots", "1"], "data-shots"),
        (&["slurm", "birds.toml", "--shards", "2", "--dry-run"], "slurm"),
        (&["merge", "wise-ft", "--from", "base", "--to", "tuned", "--drop-heads"], "merge"),
    ] {
        let (found, _, code) = out(arguments);
        let usual = code == Some(0) || arguments.contains(&"verify");
        assert!(usual && found == format!("specbench-{format}-1"), "{arguments:?}: {found}, {code:?}");
    }
    for arguments in [&["run", "nowhere"][..], &["check", "reports/birds", "--baseline", "none.json"]] {
        let (found, value, code) = out(arguments);
        assert!(found == "specbench-error-1" && value["message"].is_string(), "{value}");
        assert_eq!(value["exit"].as_i64(), code.map(i64::from));
    }
}

#[test]
fn tables_fit_eighty_columns() {
    let dir = tempfile::tempdir().unwrap();
    for what in ["methods", "merges", "metrics", "suites", "models", "datasets", "tables"] {
        let output = at(dir.path()).args(["list", what]).env("COLUMNS", "80").assert().success();
        let out = text(&output.get_output().stdout);
        let wide: Vec<&str> =
            out.lines().filter(|l| l.starts_with(['│', '┌', '└', '╞']) && l.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{what}: {}", wide.join("\n"));
    }
}
