//! `specbench import`: results of other programs, and our own as lm-eval's.

use std::path::Path;

use serde_json::Value;
use specbench::store::Manifest;

use crate::support::{root, specbench};

fn frontier(out: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(out.join("frontier.json")).unwrap()).unwrap()
}

fn scores(out: &Path) -> Vec<(String, String, f64)> {
    let mut reader = csv::Reader::from_path(out.join("scores.csv")).unwrap();
    let head = reader.headers().unwrap().clone();
    let at = |name: &str| head.iter().position(|h| h == name).unwrap();
    let (variant, probe, metric, value) = (at("variant"), at("probe"), at("metric"), at("value"));
    let rows = reader.records().map(Result::unwrap);
    rows.map(|r| (r[variant].to_owned(), format!("{}/{}", &r[probe], &r[metric]), r[value].parse().unwrap()))
        .collect()
}

/// `tests/golden/make_lm_eval_run.py` made the folder: what lm-eval 0.4.13 says of the demo's models on twenty documents each.
#[test]
fn a_run_of_lm_eval_becomes_the_same_results_as_our_own() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("theirs"), dir.path().join("ours"));
    specbench()
        .args([
            "import",
            "lm-eval",
            "tests/golden/lm-eval-run",
            "--pretrained",
            "base",
            "--speciality",
            "medicine",
        ])
        .arg("--out")
        .arg(&theirs)
        .assert()
        .success();
    let text = std::fs::read_to_string(root().join("suites/lm_demo.toml")).unwrap();
    let (head, _) = text.split_once("[[sweep]]").unwrap();
    let (_, probes) = text.split_once("# Questions about").unwrap();
    let suite = dir.path().join("demo.toml");
    let lm_demo = format!("\"{}/", root().join("suites/lm_demo").display());
    let (head, probes) = (head.replace("\"lm_demo/", &lm_demo), probes.replace("\"lm_demo/", &lm_demo));
    let probes = probes.replace("role = ", "parity = \"lm-eval\"\nlimit = 20\nrole = ");
    std::fs::write(&suite, format!("{head}# Questions about{probes}")).unwrap();
    specbench().arg("run").arg(&suite).arg("--out").arg(&ours).assert().success();
    let found = scores(&theirs);
    let own = scores(&ours);
    let mut compared = 0;
    for (variant, metric, value) in &found {
        if let Some((.., mine)) = own.iter().find(|(v, m, _)| v == variant && m == metric) {
            // Losses and probabilities are of f32 log-likelihoods.
            assert!((value - mine).abs() < 2e-3, "{variant} {metric}: {value} and {mine}");
            if metric.ends_with("/acc") || metric.ends_with("/exact_match") {
                assert_eq!(value, mine, "{variant} {metric}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 6, "{found:?}");
}

#[test]
fn our_own_results_come_back_through_lm_evals_files() {
    let dir = tempfile::tempdir().unwrap();
    let (run, back) = (dir.path().join("run"), dir.path().join("back"));
    specbench().args(["run", "suites/lm_demo.toml", "--out"]).arg(&run).assert().success();
    specbench()
        .args(["import", "lm-eval"])
        .arg(run.join("lm_eval"))
        .args(["--pretrained", "base", "--speciality", "medicine", "--out"])
        .arg(&back)
        .assert()
        .success();
    let (a, b) = (frontier(&run), frontier(&back));
    let points = |json: &Value| -> Vec<(String, String, String)> {
        let mut all: Vec<_> = json["points"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| (p["variant"].to_string(), p["speciality"].to_string(), p["generality"].to_string()))
            .collect();
        all.sort();
        all
    };
    assert_eq!(points(&a), points(&b));
    assert_eq!(points(&a).len(), 11);
    assert_eq!(a["curves"][0]["curve"], b["curves"][0]["curve"]);
}

#[test]
fn scores_without_examples_have_intervals_by_their_numbers_and_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("results.jsonl");
    let lines = [
        r#"{"exp_name": "ft", "alpha": 0, "ImageNet:top1": 0.6, "ImageNetA:top1": 0.5, "ImageNetA:top5": 0.7}"#,
        r#"{"exp_name": "ft", "alpha": 0.5, "ImageNet:top1": 0.75, "ImageNetA:top1": 0.49}"#,
        r#"{"exp_name": "ft", "alpha": 1, "ImageNet:top1": 0.8, "ImageNetA:top1": 0.4}"#,
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    let out = dir.path().join("out");
    let done = specbench()
        .args(["import", "wise-ft"])
        .arg(&file)
        .args(["--speciality", "ImageNet", "--examples", "ImageNet=50000", "--out"])
        .arg(&out)
        .assert()
        .success();
    let (text, notes) = (
        String::from_utf8_lossy(&done.get_output().stdout).into_owned(),
        String::from_utf8_lossy(&done.get_output().stderr).into_owned(),
    );
    assert!(text.contains("6 of 6 scores were imported without examples"), "{text}");
    assert!(text.contains("3 of them state no error"), "{text}");
    assert!(notes.contains("`ImageNetA:top5` of `ft@0`: only top1 is read"), "{notes}");
    let found = frontier(&out);
    let middle = &found["points"].as_array().unwrap()[1];
    assert_eq!((middle["alpha"].as_f64(), middle["speciality"].as_f64()), (Some(0.5), Some(0.75)));
    // Wilson's interval of 37,500 of 50,000.
    let low = middle["speciality_ci"]["low"].as_f64().unwrap();
    assert!((low - 0.746_19).abs() < 1e-4, "{low}");
    assert!(middle["generality_ci"].is_null() && middle["p_on_frontier"].is_null());
    assert_eq!(Manifest::read(&out).unwrap().curves.len(), 1);
    // What cannot be paired is not compared.
    let compared = specbench().arg("compare").arg(&out).arg(&out).assert();
    assert_ne!(compared.get_output().status.code(), Some(5));
}

#[test]
fn what_does_not_fit_is_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.jsonl");
    std::fs::write(&file, "{\"model_name\": \"a\", \"ImageNet\": 76.5}\n").unwrap();
    let say = |arguments: &[&str]| {
        let done = specbench()
            .arg("import")
            .args(arguments)
            .arg(&file)
            .arg("--out")
            .arg(dir.path().join("out"))
            .assert()
            .code(2);
        String::from_utf8_lossy(&done.get_output().stderr).into_owned()
    };
    assert!(say(&["model-soups"]).contains("`ImageNet` of `a` is 76.5; a fraction is expected"));
    assert!(say(&["model-soup"]).contains("did you mean `model-soups`?"));
    std::fs::write(
        &file,
        "{\"model_name\": \"a\", \"ImageNet\": 0.5}\n{\"model_name\": \"b\", \"ImageNet\": 0.6}\n",
    )
    .unwrap();
    assert!(say(&["model-soups"]).contains("which model is the pretrained one?"));
    assert!(
        say(&["model-soups", "--pretrained", "a", "--speciality", "ObjectNet"])
            .contains("none of the probes: ImageNet")
    );
    std::fs::write(&file, "not json\n").unwrap();
    assert!(say(&["wise-ft"]).contains("line 1"));
}
