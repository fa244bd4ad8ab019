//! Ensembles of outputs, alphas by group, greedy soups and mergekit's files, through the program.

use std::path::Path;

use specbench::checkpoint::{StateDict, Tensors, Weights as _, write_safetensors};
use specbench::run::SoupChoice;
use specbench::store::Predictions;

use crate::support::{Bench, SMALL, contents, root, specbench};

fn demo(name: &str) -> std::path::PathBuf {
    root().join("suites/demo").join(name)
}

fn weights(folder: &Path) -> Tensors {
    StateDict::open(&folder.join("model.safetensors")).unwrap().load_all().unwrap()
}

/// A folder of the demo's fine-tuned checkpoint with other weights.
fn folder(bench: &Bench, name: &str, tensors: &Tensors) {
    let out = bench.out(name);
    std::fs::create_dir(&out).unwrap();
    for entry in std::fs::read_dir(demo("ft-noto")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            std::fs::copy(&path, out.join(path.file_name().unwrap())).unwrap();
        }
    }
    write_safetensors(&out.join("model.safetensors"), tensors, candle_core::DType::F32).unwrap();
}

/// The small suite to another fine-tuned checkpoint, with another sweep over the same alphas.
fn with_sweep(bench: &Bench, source: &str, sweep: &str) {
    let suite =
        SMALL.replace("source = \"suites/demo/ft-noto\"", &format!("source = {:?}", bench.out(source)));
    let text =
        format!("{suite}\n[[sweep]]\nfrom = \"zero-shot\"\nto = [\"ft-noto\"]\nalphas = [0.4]\n{sweep}");
    std::fs::write(bench.suite(), text).unwrap();
}

fn predictions(bench: &Bench, variant: &str, probe: &str) -> Predictions {
    Predictions::read(&Predictions::path(&bench.out("out"), variant, probe)).unwrap()
}

/// Logits that are stored of an example, by class.
fn logits(of: &Predictions, example: usize) -> Vec<(u32, f32)> {
    let row = example * of.k..(example + 1) * of.k;
    of.top_classes[row.clone()].iter().copied().zip(of.top_logits[row].iter().copied()).collect()
}

#[test]
fn an_ensemble_of_heads_is_their_interpolation_and_one_of_towers_is_not() {
    // Of a linear model the mean of the outputs is the output of the mean.
    let bench = Bench::new("");
    let (start, tuned) = (weights(&demo("zero-shot")), weights(&demo("ft-noto")));
    let mut head = start;
    head.extend(tuned.into_iter().filter(|(name, _)| name.starts_with("classifier.")));
    folder(&bench, "head", &head);
    with_sweep(&bench, "head", "merge = \"output-ensemble\"\n");
    bench.run("out", &["--limit", "40"]).assert().success();
    for probe in ["noto", "novel", "flat"] {
        let (merged, ensemble) = (
            predictions(&bench, "ft-noto@0.4", probe),
            predictions(&bench, "ft-noto+output-ensemble@0.4", probe),
        );
        let off = merged.loss.iter().zip(&ensemble.loss).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-4, "{probe}: {off}");
    }
    // Of the whole fine-tuned model it is not; its logits are the mean of both ends' logits.
    let bench = Bench::new("");
    let source = demo("ft-noto");
    with_sweep(&bench, source.to_str().unwrap(), "merge = \"output-ensemble\"\n");
    bench.run("out", &["--limit", "40"]).assert().success();
    let of = |variant: &str| predictions(&bench, variant, "noto");
    let (start, end, merged, ensemble) =
        (of("zero-shot"), of("ft-noto"), of("ft-noto@0.4"), of("ft-noto+output-ensemble@0.4"));
    assert!(merged.loss != ensemble.loss);
    let mut compared = 0;
    for example in 0..ensemble.label.len() {
        let (a, b) = (logits(&start, example), logits(&end, example));
        for (class, found) in logits(&ensemble, example) {
            let at = |all: &[(u32, f32)]| all.iter().find(|l| l.0 == class).map(|l| l.1);
            if let (Some(a), Some(b)) = (at(&a), at(&b)) {
                assert!((0.6 * a + 0.4 * b - found).abs() < 1e-4, "{a} {b} {found}");
                compared += 1;
            }
        }
    }
    assert!(compared > 40, "{compared}");
}

#[test]
fn fisher_information_that_is_one_everywhere_changes_nothing_and_must_be_there() {
    let bench = Bench::new("");
    let (start, tuned) = (weights(&demo("zero-shot")), weights(&demo("ft-noto")));
    let fisher = |factor: f64| -> Tensors {
        let of = |(name, tensor): (&String, &candle_core::Tensor)| {
            (name.clone(), (tensor.ones_like().unwrap() * factor).unwrap())
        };
        start.iter().map(of).collect()
    };
    let store = |name: &str, tensors: &Tensors| {
        write_safetensors(&bench.out(name), tensors, candle_core::DType::F32).unwrap();
    };
    folder(&bench, "tuned", &tuned);
    with_sweep(&bench, "tuned", "merge = \"fisher\"\n");
    let plan = || specbench().arg("plan").arg(bench.suite()).assert();
    let log = String::from_utf8_lossy(&plan().code(4).get_output().stderr).into_owned();
    assert!(log.contains("`zero-shot` has no Fisher information, by which `fisher` weighs"), "{log}");
    // Beside the fine-tuned checkpoint, and named for the pretrained one.
    store("tuned/fisher.safetensors", &fisher(2.0));
    let name_it = |file: &str| {
        let text = std::fs::read_to_string(bench.suite()).unwrap();
        let key = format!("role = \"pretrained\"\nfisher = {:?}", bench.out(file));
        std::fs::write(bench.suite(), text.replacen("role = \"pretrained\"", &key, 1)).unwrap();
    };
    name_it("start.safetensors");
    let log = String::from_utf8_lossy(&plan().failure().get_output().stderr).into_owned();
    assert!(log.contains("start.safetensors"), "{log}");
    store("start.safetensors", &fisher(2.0));
    bench.run("out", &["--limit", "40"]).assert().success();
    let of = |variant: &str, probe: &str| predictions(&bench, variant, probe);
    for probe in ["noto", "novel", "flat"] {
        let (plain, weighed) = (of("ft-noto@0.4", probe), of("ft-noto+fisher@0.4", probe));
        let off = plain.loss.iter().zip(&weighed.loss).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-4, "{probe}: {off}");
    }
    // Another file, another result: that of alpha 0.1, where the start matters six times as much.
    let before = of("ft-noto+fisher@0.4", "novel");
    store("start.safetensors", &fisher(12.0));
    bench.run("out", &["--limit", "40"]).assert().success();
    assert!(of("ft-noto+fisher@0.4", "novel").loss != before.loss);
    // A tensor that differs and has none.
    let mut partial = fisher(1.0);
    partial.remove("visual_projection.weight");
    store("start.safetensors", &partial);
    let assert = bench.run("other", &["--limit", "40"]).assert().failure();
    let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(
        log.contains("has nothing for `visual_projection.weight`, which the checkpoints differ in"),
        "{log}"
    );
}

#[test]
fn an_image_adapter_is_an_end_of_a_path_from_the_model_without() {
    let bench = Bench::new("");
    // In the names of the released code, which stores no ratio.
    let down: Vec<f32> = (0..16 * 96).map(|i| (i as f32 * 0.37).sin()).collect();
    let up: Vec<f32> = (0..96 * 16).map(|i| (i as f32 * 0.73).cos()).collect();
    let t = |v: &[f32], shape: (usize, usize)| {
        candle_core::Tensor::from_slice(v, shape, &candle_core::Device::Cpu).unwrap()
    };
    let adapter = Tensors::from([
        ("fc.0.weight".to_owned(), t(&down, (16, 96))),
        ("fc.2.weight".to_owned(), t(&up, (96, 16))),
    ]);
    write_safetensors(&bench.out("adapter.safetensors"), &adapter, candle_core::DType::F32).unwrap();
    let of = |id: &str, source: &str| {
        format!(
            "[[checkpoint]]\nid = \"{id}\"\nrole = \"finetuned\"\nsource = {:?}\nbase = \"zero-shot\"\n",
            bench.out(source)
        )
    };
    let suite = SMALL.replace("[[sweep]]", &format!("{}[[sweep]]", of("adapter", "adapter.safetensors")));
    let sweep =
        "\n[[sweep]]\nmerge = \"wise-ft\"\nfrom = \"zero-shot\"\nto = [\"adapter\"]\nalphas = [0.001, 0.5]\n";
    std::fs::write(bench.suite(), format!("{suite}{sweep}")).unwrap();
    bench.run("out", &["--limit", "40"]).assert().success();
    let far = |variant: &str| {
        let (a, b) = (predictions(&bench, "zero-shot", "novel"), predictions(&bench, variant, "novel"));
        a.loss.iter().zip(&b.loss).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    // Near its start it is the model without; the further, the less.
    assert!(far("adapter@0.001") < 0.05, "{}", far("adapter@0.001"));
    assert!(
        far("adapter@0.5") > 0.05 && far("adapter") > far("adapter@0.5"),
        "{} {}",
        far("adapter@0.5"),
        far("adapter")
    );
    let mut inspect = specbench();
    inspect.arg("inspect").arg(bench.out("adapter.safetensors")).arg("--base").arg(demo("zero-shot"));
    let out = String::from_utf8_lossy(&inspect.assert().success().get_output().stdout).into_owned();
    assert!(out.contains("width 16, ratio 0.2, the released code's: it holds none"), "{out}");
    // One layer without the other.
    let half = Tensors::from([("fc.0.weight".to_owned(), t(&down, (16, 96)))]);
    write_safetensors(&bench.out("adapter.safetensors"), &half, candle_core::DType::F32).unwrap();
    let assert = specbench().arg("plan").arg(bench.suite()).assert().code(4);
    let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(log.contains("the first layer of an image adapter without the second"), "{log}");
}

#[test]
fn what_means_nothing_for_outputs_is_said() {
    for (sweep, code, expected) in [
        ("merge = \"output-ensemble\"\nhead = \"to\"\n", 2, "are about tensors"),
        ("merge = \"wise-ft\"\nname = \"g\"\n[[sweep.group]]\ntensors = [\"*\"]\n", 2, "name two or more"),
    ] {
        let bench = Bench::new("");
        with_sweep(&bench, demo("ft-noto").to_str().unwrap(), sweep);
        let assert = specbench().arg("plan").arg(bench.suite()).assert().code(code);
        let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(log.contains(expected), "{expected} not in {log}");
    }
    let mut merge = specbench();
    merge
        .args(["merge", "output-ensemble"])
        .arg("--from")
        .arg(demo("zero-shot"))
        .arg("--to")
        .arg(demo("ft-noto"));
    let assert = merge.assert().code(2);
    let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(log.contains("no weights to write"), "{log}");
}

#[test]
fn groups_go_different_lengths_of_the_way() {
    let bench = Bench::new("");
    let groups = "merge = \"wise-ft\"\nname = \"parts\"\n[[sweep.group]]\ntensors = [\"head\"]\nweight = 3.0\n\
                  [[sweep.group]]\ntensors = [\"vision_model.*\", \"visual_projection.*\"]\n";
    with_sweep(&bench, demo("ft-noto").to_str().unwrap(), groups);
    bench.run("out", &["--limit", "40"]).assert().success();
    // 0.4 on the mean of two, three to one: the head at 0.6, the tower at 0.2.
    let (start, end) = (weights(&demo("zero-shot")), weights(&demo("ft-noto")));
    let tower: Tensors = end
        .iter()
        .map(|(name, to)| {
            let of_tower = name.starts_with("vision_model.") || name.starts_with("visual_projection.");
            let part = start.get(name).filter(|_| of_tower);
            let tensor = part.map(|from| ((from * 0.8).unwrap() + (to * 0.2).unwrap()).unwrap());
            (name.clone(), tensor.unwrap_or_else(|| to.clone()))
        })
        .collect();
    folder(&bench, "tower", &tower);
    let text = std::fs::read_to_string(bench.suite()).unwrap();
    let text = text.split("[[sweep]]").next().unwrap().to_owned()
        + &format!(
            "[[checkpoint]]\nid = \"tower\"\nrole = \"finetuned\"\nsource = {:?}\n[[sweep]]\nmerge = \"wise-ft\"\n\
             from = \"zero-shot\"\nto = [\"tower\"]\nalphas = [0.6]\ninclude = [\"nothing\"]\n\
             [[probe]]\nid = \"noto\"\ndataset = \"emoji-noto\"\nclasses = \"base\"\nrole = \"speciality\"\n",
            bench.out("tower")
        );
    let other = Bench::new(&text.replace(&format!("{:?}", demo("zero-shot")), "\"\""));
    // The tower fixed at 0.2 as both ends, so that the head alone goes on to 0.6.
    let both =
        start.iter().map(|(name, from)| (name.clone(), tower.get(name).unwrap_or(from).clone())).collect();
    let base = other.out("base");
    std::fs::create_dir(&base).unwrap();
    for entry in std::fs::read_dir(demo("zero-shot")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, base.join(path.file_name().unwrap())).unwrap();
    }
    write_safetensors(&base.join("model.safetensors"), &both, candle_core::DType::F32).unwrap();
    let text = std::fs::read_to_string(other.suite()).unwrap();
    std::fs::write(other.suite(), text.replace("\"suites/demo/zero-shot\"", &format!("{base:?}"))).unwrap();
    other.run("out", &["--limit", "40"]).assert().success();
    let (found, right) = (predictions(&bench, "parts@0.4", "noto"), predictions(&other, "tower@0.6", "noto"));
    let off = found.loss.iter().zip(&right.loss).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 1e-4, "{off}");
}

#[test]
fn a_greedy_soup_is_what_its_scores_say() {
    let bench = Bench::new("");
    let (start, tuned) = (weights(&demo("zero-shot")), weights(&demo("ft-noto")));
    // Three on the way and one beyond, so that not all help.
    for (name, alpha) in [("a", 0.5), ("b", 1.0), ("c", 1.6), ("d", -4.0)] {
        let between = |(name, from): (&String, &candle_core::Tensor)| {
            let to = &tuned[name];
            (name.clone(), ((from * (1.0 - alpha)).unwrap() + (to * alpha).unwrap()).unwrap())
        };
        let mut tensors: Tensors = start.iter().map(between).collect();
        tensors.extend(
            tuned.iter().filter(|(n, _)| n.starts_with("classifier.")).map(|(n, t)| (n.clone(), t.clone())),
        );
        folder(&bench, name, &tensors);
    }
    let four: String = ["a", "b", "c", "d"]
        .iter()
        .map(|id| {
            let source = bench.out(id);
            format!("[[checkpoint]]\nid = \"{id}\"\nrole = \"finetuned\"\nsource = {source:?}\n")
        })
        .collect();
    let soup = |merge: &str, of: &str, more: &str| {
        format!(
            "[[checkpoint]]\nid = \"{merge}\"\nrole = \"finetuned\"\nmerge = \"{merge}\"\nof = [{of}]\n{more}\n"
        )
    };
    let of = "\"a\", \"b\", \"c\", \"d\"";
    let suite = |more: &str| SMALL.replace("[[sweep]]", &format!("{four}{more}[[sweep]]"));
    std::fs::write(bench.suite(), suite(&soup("greedy-soup", of, "select = \"noto\""))).unwrap();
    let assert = bench.run("none", &[]).assert().code(2);
    let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(log.contains("must be a probe of the role `selection`"), "{log}");
    std::fs::write(bench.suite(), suite(&soup("greedy-soup", of, "select = \"val\""))).unwrap();
    let assert = bench.run("out", &["--limit", "80"]).assert().success();
    let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    let choice = std::fs::read(bench.out("out/soups/greedy-soup/choice.json")).unwrap();
    let choice: SoupChoice = serde_json::from_slice(&choice).unwrap();
    assert!(log.contains(&format!("{} averaged", choice.chosen.len())), "{log}");
    // Recipe 1 of the paper, on the scores that were seen.
    let (alone, tried) = choice.looked_at.split_at(4);
    let mut order: Vec<&(Vec<String>, f64)> = alone.iter().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (mut soup_of, mut best) = (order[0].0.clone(), order[0].1);
    for (next, looked) in order[1..].iter().zip(tried) {
        assert_eq!(looked.0, [&soup_of[..], &next.0[..]].concat());
        if looked.1 > best {
            (soup_of, best) = (looked.0.clone(), looked.1);
        }
    }
    assert_eq!((soup_of.len(), &soup_of), (choice.chosen.len(), &choice.chosen));
    assert!(!choice.chosen.contains(&"d".to_owned()), "{choice:?}");
    // And it is that mean.
    let chosen: Vec<String> = choice.chosen.iter().map(|c| format!("\"{c}\"")).collect();
    std::fs::write(bench.suite(), suite(&soup("uniform-soup", &chosen.join(", "), ""))).unwrap();
    bench.run("plain", &["--limit", "80"]).assert().success();
    let (a, b) = (contents(&bench.out("out")), contents(&bench.out("plain")));
    assert!(a["predictions/greedy-soup/noto.parquet"] == b["predictions/uniform-soup/noto.parquet"]);
}

#[test]
fn a_mergekit_file_is_a_checkpoint_and_can_be_written() {
    let bench = Bench::new("");
    let tuned = weights(&demo("ft-noto"));
    let far =
        |factor: f64| tuned.iter().map(|(n, t)| (n.clone(), (t * factor).unwrap())).collect::<Tensors>();
    folder(&bench, "a", &far(1.02));
    folder(&bench, "b", &far(0.97));
    folder(&bench, "base", &far(1.0));
    let file = "models:\n  - model: base\n  - model: a\n    parameters: {density: 0.5, weight: 0.5}\n  - model: b\n    \
                parameters: {density: 0.3, weight: 1}\nmerge_method: ties\nbase_model: base\ndtype: float32\n";
    std::fs::write(bench.out("merge.yml"), file).unwrap();
    let source = |id: &str| {
        format!("[[checkpoint]]\nid = \"{id}\"\nrole = \"finetuned\"\nsource = {:?}\n", bench.out(id))
    };
    let inline = "[[checkpoint]]\nid = \"inline\"\nrole = \"finetuned\"\nmerge = \"ties\"\nbase = \"base\"\n\
                  of = [\"a\", \"b\"]\ndensity = [0.5, 0.3]\nweights = [0.5, 1.0]\n";
    let file = format!(
        "[[checkpoint]]\nid = \"file\"\nrole = \"finetuned\"\nsource = {:?}\n",
        bench.out("merge.yml")
    );
    let written = "written";
    specbench()
        .arg("merge")
        .arg(bench.out("merge.yml"))
        .arg("--out")
        .arg(bench.out(written))
        .assert()
        .success();
    let all = [source("base"), source("a"), source("b"), inline.to_owned(), file, source(written)].concat();
    std::fs::write(bench.suite(), SMALL.replace("[[sweep]]", &format!("{all}[[sweep]]"))).unwrap();
    bench.run("out", &["--limit", "40"]).assert().success();
    let files = contents(&bench.out("out"));
    for other in ["file", written] {
        assert!(
            files["predictions/inline/flat.parquet"] == files[&format!("predictions/{other}/flat.parquet")],
            "{other}"
        );
    }
    assert!(files["predictions/inline/flat.parquet"] != files["predictions/base/flat.parquet"]);
    let assert = specbench().args(["merge", "ties"]).assert().code(2);
    let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(log.contains("describe it in a mergekit file"), "{log}");
}

/// Fine-tuning began at the zero-shot head: a classifier's difference is taken to that of each probe's classes.
#[test]
fn differences_to_a_base_without_a_classifier_reach_the_head() {
    let bench = Bench::new("");
    let tuned = weights(&demo("ft-noto"));
    let far =
        |factor: f64| tuned.iter().map(|(n, t)| (n.clone(), (t * factor).unwrap())).collect::<Tensors>();
    folder(&bench, "b", &far(1.02));
    let two = format!("[[checkpoint]]\nid = \"b\"\nrole = \"finetuned\"\nsource = {:?}\n", bench.out("b"));
    let of = |id: &str, merge: &str, rest: &str| {
        format!(
            "[[checkpoint]]\nid = \"{id}\"\nrole = \"finetuned\"\nmerge = \"{merge}\"\nbase = \"zero-shot\"\n{rest}\n"
        )
    };
    let all = [
        two,
        of("some", "task-arithmetic", "of = [\"ft-noto\"]\nlambda = 0.4"),
        of("none", "ties", "of = [\"ft-noto\", \"b\"]\nlambda = 0.0"),
        of("ties", "ties", "of = [\"ft-noto\", \"b\"]\ndensity = 0.5"),
        of("dare", "dare-linear", "of = [\"ft-noto\"]\ndensity = 0.9"),
    ];
    std::fs::write(bench.suite(), SMALL.replace("[[sweep]]", &format!("{}[[sweep]]", all.concat()))).unwrap();
    bench.run("out", &["--limit", "40"]).assert().success();
    let off = |a: &str, b: &str, probe: &str| {
        let (a, b) = (predictions(&bench, a, probe), predictions(&bench, b, probe));
        a.loss.iter().zip(&b.loss).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    for probe in ["noto", "novel", "flat"] {
        // Of one checkpoint, lambda of the difference is alpha of the way.
        assert!(off("some", "ft-noto@0.4", probe) < 1e-4, "{probe}: {}", off("some", "ft-noto@0.4", probe));
        assert!(off("none", "zero-shot", probe) < 1e-5, "{probe}");
        assert!(off("ties", "zero-shot", probe) > 1e-3 && off("dare", "ft-noto", probe) > 1e-4, "{probe}");
    }
    // What is combined for each probe is a tensor of a file once its templates are said.
    let base = demo("zero-shot");
    let file = format!(
        "models:\n  - model: {}\n    parameters: {{weight: 0.4}}\nmerge_method: task_arithmetic\nbase_model: {}\n\
         dtype: float32\n",
        demo("ft-noto").display(),
        base.display()
    );
    std::fs::write(bench.out("merge.yml"), file).unwrap();
    let merge = |out: &str, more: &[&str]| {
        let mut command = specbench();
        command.arg("merge").arg(bench.out("merge.yml")).args(more).arg("--out").arg(bench.out(out));
        command.assert()
    };
    let log = |more: &[&str]| {
        String::from_utf8_lossy(&merge("none", more).code(2).get_output().stderr).into_owned()
    };
    assert!(log(&[]).contains("with which templates (`--templates FILE`)"), "{}", log(&[]));
    assert!(log(&["--alpha", "0.3"]).contains("leave `--from`, `--to` and `--alpha` out"));
    assert!(log(&["--exclude", "*"]).contains("a combination takes all tensors"));
    let templates = root().join("suites/templates/emoji.txt");
    let templates = ["--templates", templates.to_str().unwrap()];
    let unneeded = log(&[&templates[..], &["--drop-heads"]].concat());
    assert!(unneeded.contains("leave `--templates` out"), "{unneeded}");
    merge("w", &templates).success();
    let written =
        format!("[[checkpoint]]\nid = \"w\"\nrole = \"finetuned\"\nsource = {:?}\n", bench.out("w"));
    std::fs::write(bench.suite(), SMALL.replace("[[sweep]]", &format!("{written}[[sweep]]"))).unwrap();
    bench.run("out", &["--limit", "40"]).assert().success();
    assert!(off("w", "ft-noto@0.4", "noto") < 1e-4, "{}", off("w", "ft-noto@0.4", "noto"));
    // What an earlier one left there goes.
    merge("w", &["--drop-heads"]).success();
    assert!(!bench.out("w/classifier.json").exists());
}
