//! Whatever happens on the way, the results are those of an uninterrupted run.

use std::process::Stdio;
use std::time::Duration;

use crate::support::{Bench, SMALL, assert_same, contents, specbench};

#[test]
fn threads_batches_sharing_and_memory_change_nothing() {
    let bench = Bench::new(SMALL);
    bench.run("plain", &["--limit", "150"]).assert().success();
    for (name, extra) in [
        ("one-thread", &["--threads", "1"][..]),
        ("no-sharing", &["--no-share"]),
        ("little-memory", &["--memory", "0"]),
    ] {
        bench.run(name, &[&["--limit", "150"], extra].concat()).assert().success();
        assert_same(&bench.out("plain"), &bench.out(name));
    }
    // Another batch size may round differently in the last place; predictions stay.
    bench.run("batches", &["--limit", "150", "--batch", "7"]).assert().success();
    let (a, b) = (contents(&bench.out("plain")), contents(&bench.out("batches")));
    for (name, bytes) in a.iter().filter(|(n, _)| n.starts_with("predictions/")) {
        let read = |bytes: &[u8]| {
            let path = bench.out("tmp.parquet");
            std::fs::write(&path, bytes).unwrap();
            specbench::store::Predictions::read(&path).unwrap()
        };
        let (x, y) = (read(bytes), read(&b[name]));
        assert_eq!(x.prediction, y.prediction, "{name}");
        assert_eq!(x.example_id, y.example_id);
        for (p, q) in x.top_logits.iter().zip(&y.top_logits) {
            assert!((p - q).abs() < 1e-4, "{name}: {p} {q}");
        }
    }
}

#[test]
fn a_second_run_evaluates_nothing_and_changes_nothing() {
    let bench = Bench::new(SMALL);
    bench.run("out", &["--limit", "40"]).assert().success();
    let before = contents(&bench.out("out"));
    let again = bench.run("out", &["--limit", "40"]).assert().success();
    let log = String::from_utf8_lossy(&again.get_output().stderr).into_owned();
    assert!(log.contains("12 results, 12 finished before, 0 predictions to make"), "{log}");
    assert!(before == contents(&bench.out("out")));

    // A changed limit is other data for every cell; a lost file is one cell.
    let more = bench.run("out", &["--limit", "41"]).assert().success();
    assert!(String::from_utf8_lossy(&more.get_output().stderr).contains("0 finished before"));
    bench.run("out", &["--limit", "40"]).assert().success();
    std::fs::remove_file(bench.out("out").join("predictions/ft-noto/flat.parquet")).unwrap();
    let mended = bench.run("out", &["--limit", "40"]).assert().success();
    let log = String::from_utf8_lossy(&mended.get_output().stderr).into_owned();
    assert!(log.contains("12 results, 11 finished before, 40 predictions to make"), "{log}");
    assert!(before == contents(&bench.out("out")));
}

#[test]
fn killed_at_any_moment_and_run_again() {
    let suite = SMALL.replace("alphas = [0.4]", "alphas = \"0:1:0.1\"");
    let bench = Bench::new(&suite);
    // The mock model and the file operations are killed by the hundred elsewhere; this is the real thing.
    bench.run("whole", &["--limit", "150"]).assert().success();
    for millis in [150, 400, 800] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_specbench"))
            .current_dir(crate::support::root())
            .arg("run")
            .arg(bench.suite())
            .args(["--limit", "150", "--out"])
            .arg(bench.out("killed"))
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    bench.run("killed", &["--limit", "150"]).assert().success();
    assert_same(&bench.out("whole"), &bench.out("killed"));
}

#[test]
#[cfg(unix)]
fn an_interrupt_ends_with_130_and_keeps_what_is_finished() {
    let suite = SMALL.replace("alphas = [0.4]", "alphas = \"0:1:0.01\"");
    let bench = Bench::new(&suite);
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_specbench"))
        .current_dir(crate::support::root())
        .arg("run")
        .arg(bench.suite())
        .arg("--out")
        .arg(bench.out("out"))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let interrupt = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{log}");
    assert!(log.contains("run the same command again"), "{log}");
    assert!(bench.out("out").join("manifest.json").is_file());
}

#[test]
fn shards_join_to_the_whole() {
    let bench = Bench::new(SMALL);
    bench.run("whole", &[]).assert().success();
    for shard in ["1/3", "2/3", "3/3"] {
        bench.run("parts", &["--shard", shard]).assert().success();
    }
    bench.run("parts", &[]).assert().success();
    assert_same(&bench.out("whole"), &bench.out("parts"));
}

#[test]
fn only_some_cells() {
    let bench = Bench::new(SMALL);
    bench.run("out", &["--limit", "30", "--only", "*/noto"]).assert().success();
    assert!(bench.out("out").join("predictions/zero-shot/noto.parquet").is_file());
    assert!(!bench.out("out").join("predictions/zero-shot/flat.parquet").exists());
    bench.run("out", &["--limit", "30"]).assert().success();
    bench.run("whole", &["--limit", "30"]).assert().success();
    assert_same(&bench.out("whole"), &bench.out("out"));
}

#[test]
fn the_ends_of_a_curve_are_the_checkpoints_bit_for_bit() {
    let bench = Bench::new(SMALL);
    bench.run("sweep", &["--limit", "100"]).assert().success();
    let without: String = SMALL.split("[[sweep]]").next().unwrap().to_owned()
        + "[[probe]]"
        + SMALL.split_once("[[probe]]").unwrap().1;
    let alone = Bench::new(&without);
    alone.run("alone", &["--limit", "100"]).assert().success();
    let (a, b) = (contents(&bench.out("sweep")), contents(&alone.out("alone")));
    let ends: Vec<_> = b.keys().filter(|k| k.starts_with("predictions/")).collect();
    assert_eq!(ends.len(), 8);
    for name in ends {
        assert!(a[name] == b[name], "{name}");
    }
}

#[test]
fn a_report_is_rebuilt_byte_for_byte() {
    let bench = Bench::new(SMALL);
    bench.run("out", &["--limit", "60"]).assert().success();
    let before = contents(&bench.out("out"));
    for part in ["tables", "figures"] {
        std::fs::remove_dir_all(bench.out("out").join(part)).unwrap();
    }
    for file in ["report.html", "scores.csv", "scores.parquet", "frontier.json"] {
        std::fs::remove_file(bench.out("out").join(file)).unwrap();
    }
    specbench().args(["report", "--threads", "1"]).arg(bench.out("out")).assert().success();
    assert!(before == contents(&bench.out("out")));
}

/// A suite whose fine-tuned end differs from the pretrained one only in tensors that `changed` names.
fn partly_tuned(changed: impl Fn(&str) -> bool) -> Bench {
    use specbench::checkpoint::{Weights as _, write_safetensors};
    let demo = crate::support::root().join("suites/demo");
    let bench = Bench::new("");
    let folder = bench.out("tuned");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["config.json", "preprocessor_config.json", "tokenizer.json", "classifier.json"] {
        std::fs::copy(demo.join("ft-noto").join(name), folder.join(name)).unwrap();
    }
    let mut tensors = crate::support::clip_weights(&demo.join("zero-shot")).unwrap().load_all().unwrap();
    for (name, tensor) in crate::support::clip_weights(&demo.join("ft-noto")).unwrap().load_all().unwrap() {
        if name.starts_with("classifier.") || changed(&name) {
            tensors.insert(name, tensor);
        }
    }
    // Stored as the demo's are, so that what is equal is equal byte for byte.
    let half = specbench::train::StoredType::F16.dtype();
    write_safetensors(&folder.join("model.safetensors"), &tensors, half).unwrap();
    let suite = SMALL.replace("suites/demo/ft-noto", &folder.display().to_string());
    std::fs::write(bench.suite(), suite).unwrap();
    bench
}

#[test]
fn shared_stages_run_once_and_change_nothing() {
    for (shared, block) in [("4 of 6", "vision_model.encoder.layers.3."), ("6 of 6", "nothing")] {
        let bench = partly_tuned(|name| name.starts_with(block));
        let output = bench.run("shared", &["--limit", "80"]).assert().success();
        let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(log.contains(&format!("{shared} layers computed once")), "{log}");
        bench.run("alone", &["--limit", "80", "--no-share"]).assert().success();
        assert_same(&bench.out("shared"), &bench.out("alone"));
    }
}

#[test]
fn kept_crops_are_used_and_change_nothing() {
    let bench = Bench::new(SMALL);
    let decoded = |out: &str, extra: &[&str]| {
        let run = bench.run(out, extra).args(["--limit", "90", "--json"]).assert().success();
        let json: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
        json["decoded"].as_u64().unwrap()
    };
    // noto and novel are halves of one split: one pass.
    assert_eq!(decoded("first", &[]), 4 * 90);
    assert_eq!(decoded("second", &[]), 0);
    assert_eq!(decoded("without", &["--no-cache"]), 4 * 90);
    assert_same(&bench.out("first"), &bench.out("second"));
    assert_same(&bench.out("first"), &bench.out("without"));
}
