//! What users see of the spine: combined checkpoints, several curves to one checkpoint, why a result is stale, and results
//! of the first format.

use crate::support::{Bench, SMALL, contents, root, specbench};

fn stdout(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

fn stderr(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

/// The small suite with the point halfway, without heads, as a checkpoint of its own; then `more`.
fn bench(more: &str) -> Bench {
    let bench = Bench::new("");
    let demo = |name: &str| root().join("suites/demo").join(name);
    let mut merge = specbench();
    merge.args(["merge", "wise-ft"]).arg("--from").arg(demo("zero-shot")).arg("--to").arg(demo("ft-noto"));
    merge.args(["--alpha", "0.5", "--drop-heads", "--out"]).arg(bench.out("mid")).assert().success();
    let suite =
        SMALL.replace("source = \"suites/demo/ft-noto\"", &format!("source = {:?}", bench.out("mid")));
    std::fs::write(bench.suite(), format!("{suite}\n{more}")).unwrap();
    bench
}

#[test]
fn a_soup_of_two_is_the_point_halfway() {
    let soup = "[[checkpoint]]\nid = \"soup\"\nrole = \"finetuned\"\nmerge = \"uniform-soup\"\n\
                of = [\"zero-shot\", \"ft-noto\"]\n\
                [[sweep]]\nmerge = \"wise-ft\"\nfrom = \"zero-shot\"\nto = [\"soup\"]\nalphas = [0.5]\n";
    let bench = bench(soup);
    let text =
        std::fs::read_to_string(bench.suite()).unwrap().replace("alphas = [0.4]", "alphas = [0.25, 0.5]");
    std::fs::write(bench.suite(), text).unwrap();
    bench.run("out", &["--limit", "40"]).assert().success();
    let files = contents(&bench.out("out"));
    let predictions = |variant: &str, probe: &str| &files[&format!("predictions/{variant}/{probe}.parquet")];
    for probe in ["noto", "novel", "flat"] {
        // Halves are exact, and the sum of two is rounded once either way.
        assert!(predictions("soup", probe) == predictions("ft-noto@0.5", probe), "{probe}");
        assert!(predictions("soup@0.5", probe) == predictions("ft-noto@0.25", probe), "{probe}");
        assert!(predictions("soup", probe) != predictions("ft-noto", probe), "{probe}");
    }
    let manifest = String::from_utf8(files["manifest.json"].clone()).unwrap();
    assert!(manifest.contains("uniform-soup of zero-shot, ft-noto"), "{manifest}");
}

#[test]
fn what_cannot_be_combined_is_said() {
    let with = |more: &str| {
        let bench = Bench::new(&format!("{SMALL}\n{more}"));
        let assert = specbench().arg("plan").arg(bench.suite()).assert();
        (assert.get_output().status.code(), stderr(&assert))
    };
    let head = "[[checkpoint]]\nid = \"soup\"\nrole = \"finetuned\"\n";
    let (code, text) = with(&format!("{head}merge = \"uniform-soup\"\nof = [\"zero-shot\", \"ft-noto\"]\n"));
    assert!(code == Some(4) && text.contains("`classifier.weight` is only in the second"), "{code:?} {text}");
    for (keys, expected) in [
        ("merge = \"uniform-sop\"\nof = [\"ft-noto\"]", "did you mean `uniform-soup`?"),
        ("merge = \"uniform-soup\"", "a combination needs `of`"),
        ("merge = \"uniform-soup\"\nof = [\"nobody\"]", "no checkpoint is called `nobody`"),
        ("merge = \"uniform-soup\"\nof = [\"ft-noto\"]\nsource = \"x\"", "either `source` or `merge`"),
        ("merge = \"uniform-soup\"\nof = [\"ft-noto\"]\nbase = \"zero-shot\"", "takes no `base`"),
        ("source = \"x\"\nof = [\"ft-noto\"]", "`of` needs `merge`"),
    ] {
        let (code, text) = with(&format!("{head}{keys}\n"));
        assert!(code == Some(2) && text.contains(expected), "{expected} not in {code:?} {text}");
    }
}

#[test]
fn two_sweeps_to_one_checkpoint_are_two_curves() {
    let second = "[[sweep]]\nmerge = \"wise-ft\"\nfrom = \"zero-shot\"\nto = [\"ft-noto\"]\nalphas = [0.4]\n\
                  exclude = [\"vision_model.encoder.layers.0.*\"]\n";
    let bench = Bench::new(&format!("{SMALL}\n{second}"));
    let assert = specbench().arg("plan").arg(bench.suite()).assert().code(2);
    assert!(stderr(&assert).contains("a second sweep makes the curve `ft-noto`"), "{}", stderr(&assert));
    let named = second.replace("[[sweep]]", "[[sweep]]\nname = \"late\"");
    std::fs::write(bench.suite(), format!("{SMALL}\n{named}")).unwrap();
    bench.run("out", &["--limit", "40"]).assert().success();
    let files = contents(&bench.out("out"));
    let predictions = |variant: &str| &files[&format!("predictions/{variant}/noto.parquet")];
    assert!(predictions("ft-noto@0.4") != predictions("late@0.4"));
}

#[test]
fn a_plan_says_why_results_do_not_count() {
    let bench = Bench::new(SMALL);
    bench.run("out", &["--limit", "20"]).assert().success();
    let plan = || {
        let mut command = specbench();
        command.arg("plan").arg(bench.suite()).args(["--limit", "20", "--out"]).arg(bench.out("out"));
        stdout(&command.assert().success())
    };
    assert!(plan().contains("12 finished, 0 to evaluate"), "{}", plan());
    let suite = SMALL.replacen("role = \"speciality\"", "role = \"speciality\"\ntemplates = \"t.txt\"", 1);
    let templates = bench.out("t.txt");
    std::fs::write(&templates, "an icon of {}\n").unwrap();
    std::fs::write(bench.suite(), suite.replace("\"t.txt\"", &format!("{templates:?}"))).unwrap();
    let text = plan();
    assert!(text.contains("zero-shot/noto and 2 more: templates differ"), "{text}");
    assert!(text.contains("9 finished, 3 to evaluate"), "{text}");
    // A result of the first format is still read, but does not say what it was made of.
    std::fs::write(bench.suite(), SMALL).unwrap();
    let path = bench.out("out").join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["format"] = "1".into();
    for cell in manifest["cells"].as_array_mut().unwrap() {
        cell.as_object_mut().unwrap().remove("inputs");
        cell["fingerprint"] = "0".repeat(64).into();
    }
    std::fs::write(&path, manifest.to_string()).unwrap();
    let text = plan();
    assert!(text.contains("the result is of an earlier version of this program"), "{text}");
    specbench().arg("report").arg(bench.out("out")).assert().success();
    manifest["format"] = "3.0".into();
    std::fs::write(&path, manifest.to_string()).unwrap();
    let assert = specbench().arg("report").arg(bench.out("out")).assert().code(3);
    assert!(stderr(&assert).contains("has format 3.0, this program reads 2.0"), "{}", stderr(&assert));
}

#[test]
fn a_metric_that_does_not_fit_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    for class in ["a", "b"] {
        let folder = dir.path().join("images").join(class);
        std::fs::create_dir_all(&folder).unwrap();
        let image = specbench::image::Rgb::filled(8, 8, [1, 2, 3]);
        std::fs::write(folder.join("x.png"), image.to_png()).unwrap();
    }
    let registry = "[toys]\nsummary = \"x\"\nlayout = \"image-folder\"\nlicence = \"x\"\norigin = \"x\"\n\
                    classes = \"c.txt\"\ntemplate = \"{}\"\n[toys.split.test]\nfiles = [\"images\"]\n";
    std::fs::write(dir.path().join("c.txt"), "a\nb\n").unwrap();
    std::fs::write(dir.path().join("datasets.toml"), registry).unwrap();
    let suite = "[suite]\nname = \"s\"\n[[checkpoint]]\nid = \"p\"\nrole = \"pretrained\"\n\
                 source = \"suites/demo/zero-shot\"\n[[probe]]\nid = \"t\"\ndataset = \"toys\"\nrole = \"speciality\"\n\
                 metric = \"top5\"\n";
    std::fs::write(dir.path().join("s.toml"), suite).unwrap();
    let mut command = specbench();
    command
        .arg("plan")
        .arg(dir.path().join("s.toml"))
        .arg("--registry")
        .arg(dir.path().join("datasets.toml"));
    let text = stderr(&command.assert().code(2));
    assert!(text.contains("probe `t` cannot be measured by `top5`: there are only 2 classes"), "{text}");
}

/// `tests/golden/results-1` is what the last program of format 1 wrote: `run small.toml --limit 8`, the suite being
/// `SMALL`.
#[test]
fn results_of_the_first_format_are_reported_and_compared() {
    let bench = Bench::new(SMALL);
    for (name, bytes) in contents(&root().join("tests/golden/results-1")) {
        let path = bench.out("old").join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = if name == "manifest.json" {
            std::fs::read(root().join("tests/golden/results-1/manifest.json")).unwrap()
        } else {
            bytes
        };
        std::fs::write(path, bytes).unwrap();
    }
    specbench().arg("report").arg(bench.out("old")).assert().success();
    bench.run("new", &["--limit", "8"]).assert().success();
    let mut compare = specbench();
    compare.arg("compare").arg(bench.out("old")).arg(bench.out("new")).args(["--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&compare.assert().success())).unwrap();
    let cells = json["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 12);
    for cell in cells {
        assert_eq!(cell["before"], cell["after"], "{cell}");
    }
}

#[test]
fn methods_are_compared_as_whole_curves() {
    let bench =
        bench("[[sweep]]\nmerge = \"slerp\"\nfrom = \"zero-shot\"\nto = [\"ft-*\"]\nalphas = [0, 0.5, 1]\n");
    bench.run("out", &["--limit", "60"]).assert().success();
    let table = std::fs::read_to_string(bench.out("out/tables/methods.csv")).unwrap();
    assert_eq!(table.lines().filter(|l| l.contains(",area,")).count(), 2, "{table}");
    assert!(table.contains("full, slerp"), "{table}");
    let frontier: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.out("out/frontier.json")).unwrap()).unwrap();
    let methods = frontier["methods"]["methods"].as_array().unwrap();
    // A resample in which both areas are equal counts for neither.
    let p = |i: usize, j: usize| methods[i]["larger"][j].as_f64().unwrap();
    assert!(p(0, 1) + p(1, 0) <= 1.0 + 1e-9 && methods[0]["larger"][0].is_null());
    assert!(methods[0]["area"].as_f64() >= methods[1]["area"].as_f64());
    for file in ["tables/above.md", "figures/methods.svg", "figures/methods.png"] {
        assert!(bench.out("out").join(file).is_file(), "{file}");
    }
}

#[test]
fn a_combination_with_settings_is_a_checkpoint() {
    let ties = "[[checkpoint]]\nid = \"ties\"\nrole = \"finetuned\"\nmerge = \"ties\"\nbase = \"zero-shot\"\nof = [\"ft-noto\"]\n";
    let run = |more: &str, out: &str| {
        let bench = bench(&format!("{ties}{more}"));
        bench.run(out, &["--limit", "40", "--only", "ties/*"]).assert().success();
        let path = bench.out(out).join("manifest.json");
        let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        manifest["cells"][0]["fingerprint"].clone()
    };
    // Settings are part of what a cell depends on.
    let (whole, half) = (run("density = 1.0\n", "a"), run("density = 0.5\n", "b"));
    assert_ne!(whole, half);
    let bench = bench(&format!("{ties}gamma = 0.5\n"));
    let log = stderr(&bench.run("c", &[]).assert().code(2));
    assert!(log.contains("unknown key `gamma`"), "{log}");
}

#[test]
fn seeds_are_checkpoints_of_their_own() {
    let seeds = |lines: &str| {
        let bench = bench(&format!("[[checkpoint]]\nrole = \"finetuned\"\nmethod = \"m\"\n{lines}\n"));
        let output = bench.run("out", &["--limit", "5", "--only", "nothing-matches"]).assert().failure();
        stderr(&output)
    };
    let missing = seeds("id = \"m-{seed}\"\nsource = \"nowhere-{seed}\"\nseeds = [3, 4]");
    assert!(missing.contains("checkpoint `m-3`") && missing.contains("checkpoint `m-4`"), "{missing}");
    for (lines, part) in [
        ("id = \"m\"\nsource = \"nowhere\"\nseeds = [3, 4]", "need `{seed}`"),
        ("id = \"m-{seed}\"\nsource = \"x-{seed}\"\nseeds = []", "list of whole numbers"),
        ("id = \"m-{seed}\"\nsource = \"x-{seed}\"\nseed = 1\nseeds = [1]", "either `seed` or `seeds`"),
    ] {
        let log = seeds(lines);
        assert!(log.contains(part), "{part} not in {log}");
    }
}
