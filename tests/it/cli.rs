//! The commands as a person uses them.

use crate::support::{Bench, SMALL, root, specbench};

fn stdout(arguments: &[&str]) -> String {
    let output = specbench().args(arguments).assert().success();
    String::from_utf8_lossy(&output.get_output().stdout).into_owned()
}

#[test]
fn help_and_lists() {
    insta::assert_snapshot!("help", stdout(&["--help"]));
    for what in [
        "metrics", "merges", "methods", "terms", "trains", "updates", "models", "probes", "layouts",
        "tables", "figures", "datasets",
    ] {
        assert!(!stdout(&["list", what]).is_empty());
    }
    let metrics: serde_json::Value = serde_json::from_str(&stdout(&["list", "metrics", "--json"])).unwrap();
    assert_eq!(metrics["format"], "specbench-list-1");
    let metrics = &metrics["items"];
    assert!(metrics.as_array().unwrap().iter().any(|m| m["name"] == "top1"));
}

/// What a command does not heed is a mistake there, and its help does not name it.
#[test]
fn options_that_do_nothing_are_not_offered() {
    let computes = ["--device", "--dtype"];
    let (registry, hub) = (["--registry"], ["--offline"]);
    let all = [&computes[..], &registry, &hub].concat();
    let sources = [registry, hub].concat();
    for (commands, offered) in [
        (&["run", "plan", "doctor"][..], &all[..]),
        (&["tune", "init", "slurm", "data verify", "data shots", "data fetch"], &sources),
        (&["merge", "inspect"], &hub),
        (&["list", "data list"], &registry),
        (
            &[
                "report",
                "compare",
                "check",
                "bless",
                "import",
                "keys",
                "man",
                "completions",
                "data split",
                "data build",
            ],
            &[],
        ),
    ] {
        for command in commands {
            let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
            let help = stdout(&arguments);
            let is_named = |option: &&str| help.lines().any(|line| line.trim_start().starts_with(*option));
            let named: Vec<&str> = all.iter().copied().filter(is_named).collect();
            assert_eq!(named, offered, "{command}: {help}");
        }
    }
    let refused = specbench().args(["tune", "spider", "--dtype", "bf16"]).assert().code(2);
    let log = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(log.contains("unexpected argument '--dtype'"), "{log}");
    // What is said of where files come from reaches the nodes.
    let scripts = stdout(&[
        "slurm",
        "demo",
        "--shards",
        "2",
        "--dry-run",
        "--offline",
        "--registry",
        "datasets.toml",
        "--",
        "--limit",
        "4",
    ]);
    let registry = std::path::absolute("datasets.toml").unwrap();
    assert_eq!(
        scripts.matches(&format!("--registry {} --offline --limit 4", registry.display())).count(),
        2,
        "{scripts}"
    );
}

#[test]
fn plan_says_what_run_would_do() {
    let bench = Bench::new(SMALL);
    let out = bench.out("out").display().to_string();
    let suite = bench.suite().display().to_string();
    let plan = |extra: &[&str]| -> serde_json::Value {
        let text = stdout(&[&["plan", &suite, "--out", &out, "--limit", "20", "--json"], extra].concat());
        serde_json::from_str(&text).unwrap()
    };
    let before = plan(&[]);
    assert_eq!((&before["cells"], &before["cells_to_do"]), (&12.into(), &12.into()));
    // Base and novel are halves of one split: its images are decoded once for both.
    assert_eq!((&before["images_to_decode"], &before["predictions_to_make"]), (&80.into(), &240.into()));
    assert_eq!(plan(&["--only", "*/flat"])["predictions_to_make"], 60);
    bench.run("out", &["--limit", "20"]).assert().success();
    assert_eq!(plan(&[])["cells_to_do"], 0);
    assert_eq!(plan(&["--fresh"])["cells_to_do"], 12);
}

#[test]
fn a_run_leaves_the_results_of_the_contract() {
    let bench = Bench::new(SMALL);
    let output = bench.run("out", &["--limit", "60", "--json"]).assert().success();
    let result: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(result["finished"], 12);
    let out = bench.out("out");
    for file in [
        "manifest.json",
        "predictions/ft-noto@0.4/noto.parquet",
        "scores.csv",
        "scores.parquet",
        "frontier.json",
        "tables/probes.md",
        "tables/probes.csv",
        "tables/probes.tex",
        "figures/frontier.svg",
        "figures/frontier.png",
        "figures/frontier-logit.svg",
        "figures/alpha.svg",
        "figures/probes.png",
        "report.html",
    ] {
        assert!(out.join(file).is_file(), "{file}");
    }
    let csv = std::fs::read_to_string(out.join("scores.csv")).unwrap();
    assert_eq!(
        csv.lines().next().unwrap(),
        "suite,curve,variant,alpha,method,probe,role,group,metric,value,ci_low,ci_high,stderr,n,seed"
    );
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(!page.contains("src=\"http") && !page.contains("<link"), "the page is self-contained");

    let frontier: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("frontier.json")).unwrap()).unwrap();
    let points = frontier["points"].as_array().unwrap();
    assert_eq!(points.len(), 3);
    for point in points {
        let p = point["p_on_frontier"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&p));
        let (s, g) = (point["speciality"].as_f64().unwrap(), point["generality"].as_f64().unwrap());
        let h = point["harmonic_mean"].as_f64().unwrap();
        assert!((h - 2.0 * s * g / (s + g)).abs() < 1e-12);
    }
    assert!(frontier["curves"][0]["best_alpha"]["optimism"].as_f64().unwrap() >= 0.0);
}

#[test]
fn drift_is_the_change_of_each_probe_relative_to_the_pretrained_model() {
    let bench = Bench::new(SMALL);
    bench.run("out", &["--limit", "60"]).assert().success();
    let mut scores = csv::Reader::from_path(bench.out("out/scores.csv")).unwrap();
    let heads = scores.headers().unwrap().clone();
    let column = |name: &str| heads.iter().position(|h| h == name).unwrap();
    let rows: Vec<csv::StringRecord> = scores.records().map(Result::unwrap).collect();
    let value = |variant: &str, probe: &str, metric: &str| -> f64 {
        let is = |r: &&csv::StringRecord| {
            (&r[column("variant")], &r[column("probe")], &r[column("metric")]) == (variant, probe, metric)
        };
        rows.iter().find(is).unwrap()[column("value")].parse().unwrap()
    };
    // Nothing made the pretrained model.
    assert!(rows.iter().all(|r| (&r[column("variant")] == "zero-shot") == r[column("method")].is_empty()));
    let mut drift = csv::Reader::from_path(bench.out("out/tables/drift.csv")).unwrap();
    let heads: Vec<String> = drift.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(heads, ["method", "quantity", "value", "ci_low", "ci_high", "sd", "unit", "text"]);
    let drifts: Vec<csv::StringRecord> = drift.records().map(Result::unwrap).collect();
    for (probe, metric) in [("noto", "top1"), ("novel", "mean-per-class"), ("flat", "top1")] {
        let row = drifts.iter().find(|r| r[1].starts_with(&format!("{probe} ("))).unwrap();
        let found: f64 = row[2].parse().unwrap();
        let (start, end) = (value("zero-shot", probe, metric), value("ft-noto", probe, metric));
        assert!((found - (end - start) / start).abs() < 1e-12 && &row[6] == "fraction", "{probe}: {row:?}");
    }
}

#[test]
fn the_demo_shows_the_trade_off() {
    // The committed example report, which the README shows, must be of the committed demo.
    let text = std::fs::read_to_string(root().join("reports/demo/frontier.json")).unwrap();
    let frontier: serde_json::Value = serde_json::from_str(&text).unwrap();
    let point = |variant: &str| {
        frontier["points"].as_array().unwrap().iter().find(|p| p["variant"] == variant).unwrap().clone()
    };
    let bound = |p: &serde_json::Value, axis: &str, end: &str| p[axis][end].as_f64().unwrap();
    let (start, end) = (point("zero-shot"), point("ft-noto"));
    assert!(bound(&end, "speciality_ci", "low") > bound(&start, "speciality_ci", "high"));
    assert!(bound(&end, "generality_ci", "high") < bound(&start, "generality_ci", "low"));
    let manifest = std::fs::read_to_string(root().join("reports/demo/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let suite = std::fs::read_to_string(root().join("suites/demo.toml")).unwrap();
    assert_eq!(manifest["suite"]["text"].as_str().unwrap(), suite);
}

#[test]
fn the_embedded_data_are_what_the_registry_says() {
    let text = stdout(&["data", "verify"]);
    let ok = text.lines().filter(|l| l.starts_with("ok ")).count();
    assert_eq!(ok, 8, "{text}");
    assert!(!text.contains("bad "), "{text}");
    let bundle: u64 = std::fs::read_dir(root().join("suites/emoji"))
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bundle <= 8_000_000, "the bundle has {bundle} bytes");
}

#[test]
fn fashion_mnist_where_it_is_installed() {
    let listed = stdout(&["data", "verify", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let here = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .any(|v| v["dataset"] == "fashion-mnist" && v["state"] != "missing");
    if !here {
        println!("skipped: Fashion-MNIST is not installed");
        return;
    }
    let suite = SMALL.split("[[probe]]").next().unwrap().to_owned()
        + "[[probe]]\nid = \"fashion\"\ndataset = \"fashion-mnist\"\nrole = \"generality\"\n";
    let bench = Bench::new(&suite);
    bench.run("out", &["--limit", "200"]).assert().success();
    let cell = bench.out("out").join("predictions/zero-shot/fashion.parquet");
    assert_eq!(specbench::store::Predictions::read(&cell).unwrap().label.len(), 200);
}

#[test]
fn merge_lists_first_and_writes_what_the_sweep_evaluates() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("merged");
    let merge = |extra: &[&str]| {
        let ends = ["--from", "suites/demo/zero-shot", "--to", "suites/demo/ft-noto", "--alpha", "0.4"];
        let mut command = specbench();
        command.args(["merge", "wise-ft"]).args(ends).args(extra);
        command.assert()
    };
    let listed = merge(&["--json"]).success();
    let json: serde_json::Value = serde_json::from_slice(&listed.get_output().stdout).unwrap();
    let count = |key: &str| json[key].as_array().unwrap().len();
    assert!(count("interpolated") > 0 && count("equal") > 0);
    assert_eq!(count("problems"), 0);
    // One end has a classifier, the other has not: what the sweep does with that must be said.
    let refused = merge(&["--out", out.to_str().unwrap()]).code(2);
    let text = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(text.contains("only one checkpoint has a classifier"), "{text}");
    let bare = dir.path().join("bare");
    let dropped = ["--out", bare.to_str().unwrap(), "--drop-heads"];
    let refused = merge(&[&dropped[..], &["--templates", "suites/templates/emoji.txt"]].concat()).code(2);
    let text = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(text.contains("leave `--templates` out") && !bare.exists(), "{text}");
    merge(&dropped).success();
    merge(&["--out", out.to_str().unwrap(), "--templates", "suites/templates/emoji.txt"]).success();
    let inspected = specbench().args(["inspect", "--json"]).arg(&out).assert().success();
    let json: serde_json::Value = serde_json::from_slice(&inspected.get_output().stdout).unwrap();
    assert_eq!(json["holds"], "image tower, text tower, linear head");
    // To the last bit what the sweep gives at that alpha.
    let suite = format!(
        "[suite]\nname = \"same\"\n[[checkpoint]]\nid = \"zs\"\nrole = \"pretrained\"\nsource = \
         \"suites/demo/zero-shot\"\n[[checkpoint]]\nid = \"ft\"\nrole = \"finetuned\"\nsource = \
         \"suites/demo/ft-noto\"\n[[checkpoint]]\nid = \"merged\"\nrole = \"finetuned\"\nsource = {:?}\n[[sweep]]\n\
         merge = \"wise-ft\"\nfrom = \"zs\"\nto = [\"ft\"]\nalphas = [0.4]\n[[probe]]\nid = \"noto\"\ndataset = \
         \"emoji-noto\"\nrole = \"speciality\"\nclasses = \"base\"\n",
        out.display()
    );
    let bench = Bench::new(&suite);
    bench.run("out", &["--limit", "100"]).assert().success();
    let read = |variant: &str| {
        specbench::store::Predictions::read(
            &bench.out("out").join(format!("predictions/{variant}/noto.parquet")),
        )
        .unwrap()
    };
    assert_eq!(read("merged"), read("ft@0.4"));
    merge(&["--alpha", "7"]).failure();
    specbench().args(["inspect", "tests/golden/heads/linear.pt"]).assert().code(4);
}
