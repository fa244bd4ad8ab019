//! `run --until`.

use crate::support::{Bench, SMALL, assert_same, contents};

/// The small suite with metrics that a race can follow, at a confidence that little data reach.
fn suite() -> String {
    SMALL
        .replace("metric = \"mean-per-class\"\n", "")
        .replace("resamples = 200", "resamples = 200\nconfidence = 0.6")
}

fn json(bench: &Bench, out: &str, extra: &[&str]) -> serde_json::Value {
    let run = bench.run(out, extra).arg("--json").assert().success();
    serde_json::from_slice(&run.get_output().stdout).unwrap()
}

fn manifest(bench: &Bench, out: &str) -> serde_json::Value {
    let bytes = std::fs::read(bench.out(out).join("manifest.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_race_stops_early_and_its_intervals_hold() {
    let bench = Bench::new(&suite());
    bench.run("whole", &[]).assert().success();
    json(&bench, "race", &["--until", "ci=0.12"]);
    let (whole, race) = (manifest(&bench, "whole"), manifest(&bench, "race"));
    let passes = race["race"]["passes"].as_object().unwrap();
    let used: u64 = passes.values().map(|p| p[0].as_u64().unwrap()).sum();
    let there: u64 = passes.values().map(|p| p[1].as_u64().unwrap()).sum();
    assert!(used < there, "{used} of {there}");
    assert!(whole["race"].is_null());
    for cell in race["cells"].as_array().unwrap() {
        let (low, high) =
            (cell["sequence"]["low"].as_f64().unwrap(), cell["sequence"]["high"].as_f64().unwrap());
        let (variant, probe) = (cell["variant"].as_str().unwrap(), cell["probe"].as_str().unwrap());
        // All examples of the split are what the sample stands for.
        let path = bench.out("whole").join(format!("predictions/{variant}/{probe}.parquet"));
        let all = specbench::store::Predictions::read(&path).unwrap();
        let right = all.label.iter().zip(&all.prediction).filter(|(a, b)| a == b).count();
        let value = right as f64 / all.label.len() as f64;
        assert!(low <= value && value <= high, "{variant} on {probe}: {value} not in {low} to {high}");
        let n = cell["examples"].as_u64().unwrap() as usize;
        assert!(high - low <= 0.24 + 1e-9 || n == all.label.len(), "{variant} on {probe}: {low} to {high}");
    }
    let page = std::fs::read_to_string(bench.out("race").join("report.html")).unwrap();
    assert!(page.contains("Racing until ci=0.12 used") && page.contains("confidence sequences"));
    // Raced cells are not taken for whole ones, and the other way round.
    let again = json(&bench, "race", &["--until", "ci=0.12"]);
    assert_eq!(again["finished"], 0);
    assert_eq!(json(&bench, "race", &[])["reused"], 0);
}

#[test]
fn a_race_is_the_same_on_any_number_of_threads_and_decides() {
    let bench = Bench::new(&suite());
    json(&bench, "two", &["--until", "decided", "--threads", "2"]);
    json(&bench, "one", &["--until", "decided", "--threads", "1", "--no-cache"]);
    assert_same(&bench.out("two"), &bench.out("one"));
    assert!(contents(&bench.out("two")).contains_key("predictions/ft-noto/noto.parquet"));
    let failed = Bench::new(SMALL).run("bad", &["--until", "ci=0.1"]).assert().code(2);
    let log = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
    assert!(log.contains("needs the metric top1 or top5"), "{log}");
    bench.run("bad", &["--until", "soon"]).assert().code(2);
    bench.run("bad", &["--until", "decided", "--shard", "1/2"]).assert().code(2);
}
