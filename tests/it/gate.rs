//! `compare`, `bless` and `check` through the program.

use std::path::Path;

use assert_cmd::assert::Assert;

use crate::support::{Bench, SMALL, specbench};

fn stdout(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

fn check(dir: &Path, baseline: &Path, extra: &[&str]) -> Assert {
    let mut command = specbench();
    command.env_remove("GITHUB_ACTIONS").env_remove("GITHUB_STEP_SUMMARY");
    command.arg("check").arg(dir).arg("--baseline").arg(baseline).args(extra).assert()
}

/// A tuned model between the demo's ends.
fn merged(bench: &Bench, name: &str, alpha: &str) -> String {
    let out = bench.out(name);
    specbench()
        .args(["merge", "wise-ft", "--from", "suites/demo/zero-shot", "--to", "suites/demo/ft-noto"])
        .args(["--alpha", alpha, "--out", out.to_str().unwrap(), "--drop-heads"])
        .assert()
        .success();
    out.display().to_string()
}

/// A suite whose fine-tuned checkpoint lies somewhere else, under the same id.
fn suite_with(tuned: &str) -> String {
    SMALL.replace("suites/demo/ft-noto", tuned)
}

#[test]
fn a_worse_model_is_stopped_and_the_same_one_passes() {
    let bench = Bench::new("");
    for (name, alpha) in [("good", "0.5"), ("bad", "1")] {
        let text = suite_with(&merged(&bench, &format!("model-{name}"), alpha));
        std::fs::write(bench.suite(), text).unwrap();
        bench.run(name, &["--limit", "400"]).assert().success();
    }
    let baseline = bench.out("baseline.json");
    let bless = |dir: &str| specbench().arg("bless").arg(bench.out(dir)).arg("--to").arg(&baseline).assert();
    bless("good").success();

    let same = check(&bench.out("good"), &baseline, &[]).success();
    assert!(stdout(&same).ends_with("verdict: pass (8 gated metrics)\n"), "{}", stdout(&same));

    let (junit, summary) = (bench.out("junit.xml"), bench.out("summary.md"));
    let files = ["--junit", junit.to_str().unwrap(), "--summary", summary.to_str().unwrap(), "--github"];
    let stopped = check(&bench.out("bad"), &baseline, &files).code(1);
    let text = stdout(&stopped);
    assert!(text.contains("REGRESSION") && text.contains("verdict: regression"), "{text}");
    assert!(text.lines().any(|l| l.starts_with("::error title=") && l.contains("fell from")), "{text}");
    let xml = std::fs::read_to_string(junit).unwrap();
    assert!(xml.contains("<failure") && xml.contains("tests=\"8\""), "{xml}");
    assert!(std::fs::read_to_string(summary).unwrap().contains("| REGRESSION"));

    // A tolerance larger than the loss lets it pass.
    check(&bench.out("bad"), &baseline, &["--tolerance", "0.5"]).success();
    let json = check(&bench.out("bad"), &baseline, &["--json"]).code(1);
    let json: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(json["verdict"], "regression");
    // The order of threads changes nothing.
    let one = stdout(&check(&bench.out("bad"), &baseline, &["--threads", "1"]).code(1));
    assert_eq!(one, stdout(&check(&bench.out("bad"), &baseline, &["--threads", "4"]).code(1)));

    let compared = bench.out("compared");
    let mut command = specbench();
    command.arg("compare").arg(bench.out("good")).arg(bench.out("bad")).arg("--out").arg(&compared);
    let text = stdout(&command.assert().success());
    assert!(text.contains("generality at equal speciality"), "{text}");
    let flips = std::fs::read_to_string(compared.join("flips.csv")).unwrap();
    let cells = std::fs::read_to_string(compared.join("cells.csv")).unwrap();
    let is = |l: &&str| l.starts_with("ft-noto,flat,") && l.contains(",lost,");
    let row: Vec<&str> = cells.lines().find(is).unwrap().split(',').collect();
    let lost: usize = row[4].parse().unwrap();
    let listed = flips.lines().filter(|l| l.starts_with("ft-noto,flat") && l.ends_with(",lost")).count();
    assert!(lost > 0 && lost == listed, "{lost} {listed}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let bench = Bench::new(SMALL);
    bench.run("a", &["--limit", "60"]).assert().success();
    bench.run("b", &["--limit", "70"]).assert().success();
    let compare = |a: &str, b: &str| specbench().arg("compare").arg(bench.out(a)).arg(bench.out(b)).assert();
    let mixed = stderr(&compare("a", "b").code(3));
    assert!(
        mixed.contains("examples of probe `noto`") && mixed.contains("examples of probe `flat`"),
        "{mixed}"
    );
    let baseline = bench.out("baseline.json");
    let missing = stderr(&check(&bench.out("a"), &baseline, &[]).code(3));
    assert!(missing.contains("specbench bless"), "{missing}");
    std::fs::write(&baseline, "{}").unwrap();
    assert!(stderr(&check(&bench.out("a"), &baseline, &[]).code(3)).contains("is no baseline"));

    specbench().arg("bless").arg(bench.out("a")).arg("--to").arg(&baseline).assert().success();
    // A probe of the baseline that was not measured is a failure, not a pass.
    let text = SMALL.replace("id = \"flat\"", "id = \"level\"");
    std::fs::write(bench.suite(), text).unwrap();
    bench.run("renamed", &["--limit", "60"]).assert().success();
    let lost = stderr(&check(&bench.out("renamed"), &baseline, &[]).code(4));
    assert!(lost.contains("probe `flat` is only in the first") && lost.contains("not measured"), "{lost}");
    // Unfinished results are no baseline.
    bench.run("part", &["--limit", "60", "--only", "ft-noto/*"]).assert().success();
    let part = specbench().arg("bless").arg(bench.out("part")).arg("--to").arg(&baseline).assert().code(4);
    assert!(stderr(&part).contains("a baseline must be complete"));
}

/// The page suites/gate/README.md, with its files, in another folder.
#[test]
fn the_walkthrough_ends_as_its_page_says() {
    let bench = Bench::new("");
    let tuned = bench.out("tuned");
    let suite = std::fs::read_to_string(crate::support::root().join("suites/gate.toml")).unwrap();
    std::fs::write(
        bench.suite(),
        suite.replace(".cache/gate/tuned", tuned.to_str().unwrap()).replace("\"demo/", "\"suites/demo/"),
    )
    .unwrap();
    let tune = |recipe: &str| {
        let recipe = format!("suites/gate/{recipe}.toml");
        specbench().args(["tune", &recipe, "-q", "--out"]).arg(&tuned).assert().success();
        bench.run("out", &[]).assert().success();
    };
    let baseline = bench.out("baseline.json");
    tune("regularised");
    specbench().arg("bless").arg(bench.out("out")).arg("--to").arg(&baseline).assert().success();
    tune("broken");
    let text = stdout(&check(&bench.out("out"), &baseline, &[]).code(1));
    assert!(text.contains("of 17 gated metrics)"), "{text}");
    tune("regularised");
    assert!(stdout(&check(&bench.out("out"), &baseline, &[]).success()).contains("verdict: pass"));
}

#[test]
fn clustered_examples_have_wider_intervals_and_bca_can_be_asked_for() {
    let width = |lines: &str, stats: &str| {
        let text = SMALL.replace("id = \"noto\"", &format!("id = \"noto\"{lines}"));
        let bench = Bench::new(&text.replace("resamples = 200", &format!("resamples = 1000{stats}")));
        bench.run("out", &[]).assert().success();
        let scores = std::fs::read_to_string(bench.out("out").join("scores.csv")).unwrap();
        let find = |metric: &str| {
            let row = scores.lines().find(|l| {
                l.contains(",ft-noto,")
                    && l.contains(",noto,speciality,")
                    && l.contains(&format!(",{metric},"))
            });
            let cells: Vec<f64> =
                row.unwrap().split(',').rev().skip(1).take(5).map(|c| c.parse().unwrap()).collect();
            (cells[3], cells[2])
        };
        (find("top1"), find("mean-per-class"))
    };
    let (plain, macro_plain) = width("", "");
    // Views of one concept belong together; their ids share a folder.
    let (clustered, _) = width("\ncluster = \"folder\"", "");
    let length = |i: (f64, f64)| i.1 - i.0;
    assert!(length(clustered) > 1.05 * length(plain), "{clustered:?} {plain:?}");
    let (same, macro_bca) = width("", "\ninterval = \"bca\"");
    assert!(same == plain && macro_bca != macro_plain);
    let text = SMALL.replace("id = \"noto\"", "id = \"noto\"\ncluster = \"article\"");
    let failed = Bench::new(&text).run("out", &[]).assert().code(2);
    assert!(stderr(&failed).contains("no column `article` to cluster by"), "{}", stderr(&failed));
}
