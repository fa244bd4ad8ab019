//! Learning rates by group, and a balance between two groups, against PyTorch; `tests/golden/make_groups.py` made the golden files.

use specbench::checkpoint::{StateDict, Weights as _};

use crate::support::root;
use crate::training::{against, bench, command, largest, recipe, tuned, weights};

/// A recipe with groups of these globs and rates.
fn with_groups(text: &str, groups: &[(&[&str], f64)]) -> String {
    let group = |(globs, rate): &(&[&str], f64)| format!("[[group]]\ntensors = {globs:?}\nrate = {rate:?}\n");
    text.to_owned() + &groups.iter().map(group).collect::<String>()
}

/// A column of `train.csv`.
fn column(log: &str, name: &str) -> Vec<String> {
    let mut lines = log.lines();
    let place = lines.next().unwrap().split(',').position(|c| c == name).unwrap();
    lines.map(|line| line.split(',').nth(place).unwrap().to_owned()).collect()
}

#[test]
fn ten_steps_with_rates_and_with_a_balance_are_pytorchs() {
    let golden = root().join("tests/golden/groups");
    let expected = StateDict::open(&golden.join("expected.safetensors")).unwrap().load_all().unwrap();
    let json = std::fs::read(golden.join("versions.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let bench = bench();
    let balance = "balance_every = 2";
    let towers: (&[&str], &[&str]) = (&["vision_model.*", "visual_projection.*"], &["text_*"]);
    for (case, track, method, train, first, second) in [
        (
            "rates",
            "clip",
            "full",
            "",
            (&["vision_model.encoder.*"] as &[&str], 0.5),
            (&["classifier.*"] as &[&str], 4.0),
        ),
        ("balance", "clip", "full", balance, (&["vision_model.encoder.*"], 0.5), (&["classifier.*"], 4.0)),
        ("flyp", "clip", "flyp", balance, (towers.0, 1.0), (towers.1, 2.0)),
        ("lm", "lm", "full", balance, (&["model.layers.0.*"], 1.0), (&["model.layers.1.*"], 1.0)),
    ] {
        let text = with_groups(&recipe(&bench, track, method, "", train), &[first, second]);
        let text = if case == "flyp" { text.replace("\"shapes\"", "\"shapes-one\"") } else { text };
        let (worst, compared) = against(&expected, case, &tuned(&bench, &text, case));
        println!("{case}: {worst:.2e} over {compared} tensors");
        assert!(worst < 1e-5 && compared >= 2, "{case}: {worst}, {compared}");
        let log = std::fs::read_to_string(bench.out(case).join("train.csv")).unwrap();
        let right: Vec<f64> = serde_json::from_value(json["coefficients"][case].clone()).unwrap();
        if right.is_empty() {
            assert!(!log.contains("balance"));
            continue;
        }
        let found = column(&log, "balance");
        let measured: Vec<f64> = found.iter().filter_map(|v| v.parse().ok()).collect();
        assert_eq!((measured.len(), found.len()), (right.len(), 10), "{log}");
        for (a, b) in measured.iter().zip(&right) {
            assert!((a / b - 1.0).abs() < 2e-3, "{case}: {a} {b}");
        }
        assert_ne!(column(&log, "rate_1")[0], column(&log, "rate_1")[1]);
    }
}

#[test]
fn groups_at_their_limits() {
    let bench = bench();
    let text = recipe(&bench, "clip", "full", "", "");
    let full = tuned(&bench, &text, "full");
    let all: &[&str] = &["vision_model.*", "visual_projection.*", "classifier.weight"];
    let same = tuned(&bench, &with_groups(&text, &[(all, 1.0)]), "same");
    for (name, tensor) in &full {
        assert_eq!(largest(tensor, &same[name]), 0.0, "{name}");
    }
    // A rate of nothing is a weight that stays.
    let held = tuned(&bench, &with_groups(&text, &[(&["vision_model.*"], 0.0)]), "held");
    for (name, tensor) in weights(&root().join("tests/golden/training/clip")) {
        if name.starts_with("vision_model.") {
            assert_eq!(largest(&tensor, &held[&name]), 0.0, "{name}");
        }
    }
    assert!(largest(&full["classifier.weight"], &held["classifier.weight"]) < 1.0);
}

#[test]
fn a_balance_goes_on_where_it_was_stopped() {
    let bench = bench();
    let text = recipe(&bench, "clip", "full", "", "balance_every = 3\nsave_every = 4");
    let text = with_groups(&text, &[(&["vision_model.*"], 1.0), (&["classifier.*"], 1.0)]);
    let whole = tuned(&bench, &text, "whole");
    let path = bench.out("stopped.toml");
    std::fs::write(&path, &text).unwrap();
    let mut stopped = specbench::train::Recipe::open(&path).unwrap().remove(0);
    stopped.out = bench.out("parts");
    let catalog = specbench::catalog::Catalog::open(&bench.out("datasets.toml")).unwrap();
    let stop = |event| !matches!(event, specbench::train::TuneEvent::Step { step: 8, .. });
    assert!(
        specbench::train::tune(&stopped, &catalog, specbench::train::TuneOptions::default(), stop).is_err()
    );
    let found = tuned(&bench, &text, "parts");
    for (name, tensor) in &whole {
        assert_eq!(largest(tensor, &found[name]), 0.0, "{name}");
    }
    let log = |out: &str| std::fs::read_to_string(bench.out(out).join("train.csv")).unwrap();
    assert_eq!(log("whole"), log("parts"));
}

#[test]
fn groups_that_do_not_fit_are_said() {
    let bench = bench();
    let pair: [(&[&str], f64); 2] = [(&["vision_model.*"], 1.0), (&["classifier.*"], 1.0)];
    let lonely: [(&[&str], f64); 2] = [(&["vision_model.*"], 1.0), (&["text_model.*"], 1.0)];
    let still: [(&[&str], f64); 2] = [(&["vision_model.*"], 0.0), (&["classifier.*"], 1.0)];
    for (method, train, groups, message) in [
        ("full", "balance_every = 2", &pair[..1], "a balance is one of two groups (`[[group]]`), not of 1"),
        ("full", "", &lonely[..], "nothing that trains is in group 2 (`text_model.*`)"),
        ("full", "balance_every = 2", &still[..], "changes nothing of what the model gives"),
        ("coop", "balance_every = 2", &pair[..], "a balance is one of weights"),
        ("full", "", &[(&["[" as &str] as &[&str], 1.0)][..], "not a glob"),
        ("full", "", &[(&[] as &[&str], 1.0)][..], "a group needs `tensors`"),
    ] {
        let text = with_groups(&recipe(&bench, "clip", method, "", train), groups);
        let output = command(&bench, &text, "none").assert().failure();
        let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(log.contains(message), "{method} {train}: {log}");
    }
}

#[test]
fn parts_are_read_where_the_method_is_not_known() {
    let bench = bench();
    let text = recipe(&bench, "clip", "fulll", "", "")
        + "[[group]]\ntensors = [\"a\"]\nrte = 2.0\n[[term]]\nkind = \"l3\"\n";
    let output = command(&bench, &text, "none").assert().code(2);
    let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    for message in ["unknown method `fulll`", "unknown key `rte`", "unknown term `l3`"] {
        assert!(log.contains(message), "{message}: {log}");
    }
    assert!(!log.contains("unknown key `group`") && !log.contains("unknown key `term`"), "{log}");
}
