//! Base-to-novel with seeds, transfer, corruptions, and partial checkpoints, through the program.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use specbench::catalog::Catalog;
use specbench::checkpoint::{Weights as _, write_safetensors};
use specbench::suite::Suite;

use crate::support::{Bench, assert_same, root, specbench};

fn write(folder: &Path, tensors: &BTreeMap<String, Tensor>) {
    write_safetensors(&folder.join("model.safetensors"), tensors, DType::F32).unwrap();
}

/// Context vectors around the embedding of some tokens of the demo's model.
fn context(folder: &Path, seed: u32) {
    let demo = crate::support::clip_weights(&root().join("suites/demo/zero-shot")).unwrap();
    let table = demo.load("text_model.embeddings.token_embedding.weight").unwrap();
    let rows = Tensor::new(&[10 + seed, 20 + seed, 30 + seed], &Device::Cpu).unwrap();
    write(folder, &BTreeMap::from([("ctx".to_owned(), table.index_select(&rows, 0).unwrap())]));
}

const BASE_NOVEL: &str = r#"
[suite]
name = "halves"
[[checkpoint]]
id = "clip"
role = "pretrained"
source = "suites/demo/zero-shot"
[[checkpoint]]
id = "coop-1"
role = "finetuned"
method = "coop"
seed = 1
base = "clip"
source = "SEED1"
probes = ["noto-*"]
[[checkpoint]]
id = "coop-2"
role = "finetuned"
method = "coop"
seed = 2
base = "clip"
source = "SEED2"
probes = ["noto-*"]
[[checkpoint]]
id = "coop-flat"
role = "finetuned"
method = "coop"
base = "clip"
source = "SEED1"
probes = ["flat-*"]
[[probe]]
id = "noto-base"
dataset = "emoji-noto"
classes = "base"
role = "speciality"
[[probe]]
id = "noto-novel"
dataset = "emoji-noto"
classes = "novel"
role = "generality"
[[probe]]
id = "flat-base"
dataset = "again"
classes = "base"
role = "speciality"
[[probe]]
id = "flat-novel"
dataset = "again"
classes = "novel"
role = "generality"
[stats]
resamples = 200
"#;

#[test]
fn prompts_of_several_seeds_and_sets_are_one_method() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = BASE_NOVEL.to_owned();
    for seed in [1, 2] {
        let folder = dir.path().join(format!("seed{seed}"));
        std::fs::create_dir(&folder).unwrap();
        context(&folder, seed);
        text = text.replace(&format!("SEED{seed}"), folder.to_str().unwrap());
    }
    let bench = Bench::new(&text);
    // A second data set with both halves: the same files under another name.
    let registry = dir.path().join("datasets.toml");
    let text = std::fs::read_to_string(root().join("datasets.toml")).unwrap();
    let start = text.find("[emoji-noto]").unwrap();
    let end = start + text[start..].find("[emoji-noto-v1]").unwrap();
    let again = text[start..end].replace("emoji-noto", "again");
    let text = (text[start..end].to_owned() + &again)
        .replace("\"suites/", &format!("\"{}/suites/", root().display()));
    std::fs::write(&registry, text).unwrap();
    let mut run = bench.run("out", &["--limit", "60", "--json"]);
    let run = run.arg("--registry").arg(&registry).assert().success();
    let json: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    // clip on four probes, two seeds on two, one on the other two.
    assert_eq!(json["finished"], 4 + 2 * 2 + 2);
    let table = std::fs::read_to_string(bench.out("out").join("tables/base-novel.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split(',').collect()).collect();
    let count = |method: &str| rows.iter().filter(|r| r[0] == method && r[2] == "H").count();
    // Two data sets, the average, the mean of H.
    assert_eq!((count("clip"), count("coop")), (4, 4), "{table}");
    let sd = rows[0].iter().position(|h| *h == "sd").unwrap();
    let base = |set: &str| rows.iter().find(|r| r[..3] == ["coop", set, "base"]).unwrap();
    assert!(!base("emoji-noto")[sd].is_empty() && base("again")[sd].is_empty(), "{table}");
    assert!(bench.out("out").join("figures/base-novel.png").is_file());
}

#[test]
fn the_transfer_table_counts_targets_below_the_pretrained_model() {
    let bench = Bench::new(crate::support::SMALL);
    bench.run("out", &["--limit", "120"]).assert().success();
    let table = std::fs::read_to_string(bench.out("out").join("tables/transfer.csv")).unwrap();
    let below = |variant: &str| {
        let mut lines = table.lines().map(|l| l.split(',').collect::<Vec<_>>());
        lines.find(|l| l[0] == variant && l[3] == "below zero-shot").map(|l| l[4].parse::<usize>().unwrap())
    };
    assert!(below("ft-noto").is_some_and(|n| n <= 2) && below("zero-shot").is_none(), "{table}");
}

#[test]
fn a_corruption_is_its_own_pass_and_the_same_for_all() {
    let probe = |id: &str, corruption: &str| {
        format!("[[probe]]\nid = \"{id}\"\ndataset = \"emoji-noto\"\nrole = \"generality\"\n{corruption}\n")
    };
    let head = "[suite]\nname = \"c\"\n[[checkpoint]]\nid = \"clip\"\nrole = \"pretrained\"\n\
                source = \"suites/demo/zero-shot\"\n[[checkpoint]]\nid = \"again\"\nrole = \"finetuned\"\n\
                source = \"suites/demo/zero-shot\"\n";
    let noisy = "corruption = \"gaussian-noise:3\"";
    let text = head.to_owned() + &probe("clean", "") + &probe("noisy", noisy);
    let bench = Bench::new(&text);
    let read = |out: &str, variant: &str, probe: &str| {
        let path = bench.out(out).join(format!("predictions/{variant}/{probe}.parquet"));
        specbench::store::Predictions::read(&path).unwrap()
    };
    bench.run("out", &["--limit", "80"]).assert().success();
    let (clean, noisy) = (read("out", "clip", "clean"), read("out", "clip", "noisy"));
    assert_eq!(clean.example_id, noisy.example_id);
    assert_ne!(clean.top_logits, noisy.top_logits);
    assert_eq!(noisy.top_logits, read("out", "again", "noisy").top_logits);
    bench.run("threads", &["--limit", "80", "--threads", "1", "--no-cache"]).assert().success();
    assert_same(&bench.out("out"), &bench.out("threads"));
    // A limit leaves the noise of the remaining examples as it is.
    bench.run("fewer", &["--limit", "30"]).assert().success();
    let fewer = read("fewer", "clip", "noisy");
    let expected: f32 = noisy.score[..30].iter().zip(&fewer.score).map(|(a, b)| (a - b).abs()).sum();
    assert!(expected < 1e-4, "{expected}");

    for (bad, expected) in
        [("gausian-noise:3", "did you mean `gaussian-noise`?"), ("contrast:6", "severities are 1 to 5")]
    {
        let text = text.replace("gaussian-noise:3", bad);
        std::fs::write(bench.dir.path().join("bad.toml"), text).unwrap();
        let failed = specbench().arg("plan").arg(bench.dir.path().join("bad.toml")).assert().code(2);
        let message = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_head_on_a_frozen_backbone_costs_no_forward_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let head = dir.path().join("head");
    std::fs::create_dir(&head).unwrap();
    let tuned = crate::support::clip_weights(&root().join("suites/demo/ft-noto")).unwrap();
    let names = ["classifier.weight", "classifier.bias"];
    write(&head, &names.map(|n| (n.to_owned(), tuned.load(n).unwrap())).into());
    std::fs::copy(root().join("suites/demo/ft-noto/classifier.json"), head.join("classifier.json")).unwrap();
    let mut text = crate::support::SMALL.replace("suites/demo/ft-noto", head.to_str().unwrap());
    text = text.replace("method = \"full\"", "method = \"lp\"\nbase = \"zero-shot\"");
    let bench = Bench::new(&text);
    let run = bench.run("out", &["--limit", "50"]).assert().success();
    let log = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(log.contains("6 of 6 layers computed once"), "{log}");
    let missing = text.replace("base = \"zero-shot\"", "");
    std::fs::write(bench.dir.path().join("suite.toml"), missing).unwrap();
    let failed = bench.run("bad", &[]).assert().code(4);
    let message = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
    assert!(message.contains("linear head") && message.contains("base = ID"), "{message}");
}

#[test]
fn every_shipped_suite_is_valid() {
    let catalog = Catalog::open(&root().join("datasets.toml")).unwrap().beside(&root().join("suites"));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("suites")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let suite = Suite::open(&path, &catalog).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(suite.name, path.file_stem().unwrap().to_str().unwrap());
            names.push(suite.name);
        }
    }
    names.sort();
    assert_eq!(
        names,
        [
            "base_novel",
            "clip_ood",
            "cross_dataset",
            "demo",
            "domain_generalisation",
            "domainnet",
            "gate",
            "lm_demo",
            "lm_medical",
            "lm_real",
            "mergetune",
            "methods_clip",
            "methods_lm",
            "spider"
        ]
    );
    // The 40 classes of COAL and SENTRY (arXiv:1910.10320, arXiv:2012.11460) among DomainNet's 345.
    let names = catalog.lines(Path::new("suites/classnames/domainnet.txt")).unwrap();
    let chosen = catalog.lines(Path::new("suites/classspaces/domainnet-40.txt")).unwrap();
    let chosen: Vec<&str> = chosen.iter().map(|i| names[i.parse::<usize>().unwrap()].as_str()).collect();
    assert_eq!((names.len(), chosen.len()), (345, 40));
    // The label of the t-shirt in the official lists, and the ends of the 40.
    assert_eq!((names[327].as_str(), chosen[0], chosen[39]), ("t-shirt", "airplane", "truck"));
    // Eleven data sets, both halves, and one template each.
    let suite = Suite::open(&root().join("suites/base_novel.toml"), &catalog).unwrap();
    assert_eq!(suite.probes.len(), 22);
    for probe in &suite.probes {
        let entry = catalog.dataset(&probe.dataset).unwrap();
        let templates = probe.templates.as_ref().map_or_else(
            || catalog.templates(entry).unwrap(),
            |path| catalog.lines(&catalog.find(Path::new(path))).unwrap(),
        );
        assert_eq!(templates.len(), 1, "{}", probe.id);
    }
}

#[test]
fn a_split_file_is_made_and_read_and_shots_are_drawn() {
    let dir = tempfile::tempdir().unwrap();
    for class in ["b_c", "a"] {
        std::fs::create_dir_all(dir.path().join("tree").join(class)).unwrap();
        for i in 0..10 {
            std::fs::write(dir.path().join("tree").join(class).join(format!("{i}.png")), "x").unwrap();
        }
    }
    let split = dir.path().join("split_zhou_Toys.json");
    let made =
        specbench().args(["data", "split"]).arg(dir.path().join("tree")).arg("--out").arg(&split).assert();
    let text = String::from_utf8_lossy(&made.success().get_output().stdout).into_owned();
    assert!(text.contains("train 10, val 4, test 6"), "{text}");
    let registry = dir.path().join("datasets.toml");
    std::fs::write(
        &registry,
        "[toys]\nsummary = \"x\"\nlayout = \"zhou-split\"\nlicence = \"MIT\"\norigin = \"x\"\ntemplate = \"{}\"\n\
         [toys.split.train]\nfiles = [\"split_zhou_Toys.json\", \"tree\"]\nexamples = 10\n",
    )
    .unwrap();
    let command = |args: &[&str]| {
        let found = specbench().arg("data").args(args).arg("--registry").arg(&registry).assert().success();
        String::from_utf8_lossy(&found.get_output().stdout).into_owned()
    };
    assert!(command(&["verify", "toys"]).contains("10 examples"));
    let shots = command(&["shots", "toys", "--shots", "2", "--seed", "3"]);
    assert_eq!(shots.lines().count(), 4, "{shots}");
    assert_eq!(shots, command(&["shots", "toys", "--shots", "2", "--seed", "3"]));
    assert_ne!(shots, command(&["shots", "toys", "--shots", "2", "--seed", "1"]));
}

#[test]
fn towers_in_sixteen_bits_agree_with_f32() {
    let bench = Bench::new(crate::support::SMALL);
    let read = |out: &str| {
        let path = bench.out(out).join("predictions/ft-noto@0.4/noto.parquet");
        specbench::store::Predictions::read(&path).unwrap()
    };
    bench.run("f32", &["--limit", "100"]).assert().success();
    for (dtype, allowed) in [("bf16", 1.0), ("f16", 0.15)] {
        bench.run(dtype, &["--limit", "100", "--dtype", dtype]).assert().success();
        let (a, b) = (read("f32"), read(dtype));
        let differences = a.top_logits.iter().zip(&b.top_logits).map(|(x, y)| (x - y).abs());
        let largest = differences.fold(0.0, f32::max);
        let same = a.prediction.iter().zip(&b.prediction).filter(|(x, y)| x == y).count();
        println!("{dtype}: largest difference of a logit {largest}, {same} of 100 predictions the same");
        assert!(largest > 0.0 && largest < allowed && same >= 93, "{dtype}: {largest} {same}");
    }
    if cfg!(feature = "cuda") {
        println!("skipped: this build may have a GPU");
        return;
    }
    let failed = bench.run("cuda", &["--device", "cuda"]).assert().code(2);
    let log = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
    assert!(log.contains("build with `--features cuda`"), "{log}");
}
