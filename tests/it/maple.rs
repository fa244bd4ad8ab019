//! MaPLe's learners, whose prompts in the image tower are made of those in the text tower, through the program;
//! `tests/golden/make_maple.py` made the checkpoints, as the released code stores them, and their logits.

use std::path::PathBuf;

use specbench::checkpoint::{StateDict, Tensors, Weights as _};
use specbench::store::Predictions;

use crate::block_prompts::inspected;
use crate::learned_parts::{expected, logits, off};
use crate::support::{Bench, root};
use crate::training::{bench, golden};

fn released(name: &str) -> PathBuf {
    root().join("tests/golden/maple").join(name)
}

/// The golden CLIP, with tokenizer and preprocessing.
fn folder(bench: &Bench) -> PathBuf {
    let to = bench.out("clip");
    std::fs::create_dir_all(&to).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(released("clip").join(file), to.join(file)).unwrap();
    }
    for file in ["tokenizer.json", "preprocessor_config.json"] {
        std::fs::copy(golden().join("clip").join(file), to.join(file)).unwrap();
    }
    to
}

/// A suite of the model and both learners, with a sweep from one of them to the second.
fn suite(bench: &Bench, merge: &str, from: &str) {
    let learner = |id: &str| {
        let source = released(&format!("{id}.pth.tar"));
        format!("[[checkpoint]]\nid = \"{id}\"\nrole = \"finetuned\"\nsource = {source:?}\nbase = \"clip\"\n")
    };
    let text = format!(
        "[suite]\nname = \"maple\"\n[[checkpoint]]\nid = \"clip\"\nrole = \"pretrained\"\nsource = {:?}\n{}{}\
         [[sweep]]\nmerge = \"{merge}\"\nfrom = \"{from}\"\nto = [\"second\"]\nalphas = [0, 0.5, 1]\n\
         [[probe]]\nid = \"one\"\ndataset = \"shapes-one\"\nsplit = \"train\"\nrole = \"speciality\"\n[stats]\nresamples = 100\n",
        folder(bench),
        learner("first"),
        learner("second"),
    );
    std::fs::write(bench.suite(), text).unwrap();
}

#[test]
fn logits_are_the_released_codes_at_both_ends_and_between_them() {
    let bench = bench();
    suite(&bench, "wise-ft", "first");
    for batch in ["12", "5"] {
        let mut command = bench.run(batch, &["--batch", batch]);
        command.arg("--registry").arg(bench.out("datasets.toml")).assert().success();
    }
    let variants: Vec<String> = std::fs::read_dir(bench.out("12").join("predictions"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    for (variant, name) in [("clip", "plain"), ("first", "first"), ("second", "second"), ("0.5", "middle")] {
        let full = variants.iter().find(|v| *v == variant || variant == "0.5" && v.contains("0.5")).unwrap();
        let found =
            |out: &str| logits(&Predictions::read(&Predictions::path(&bench.out(out), full, "one")).unwrap());
        let right = expected(&released("golden.safetensors"), name);
        assert!(off(&found("12"), &right) < 1e-4, "{full}: {}", off(&found("12"), &right));
        assert_eq!(found("12"), found("5"), "{full}");
    }
}

#[test]
fn outputs_are_averaged_with_a_model_that_has_no_prompts() {
    let bench = bench();
    suite(&bench, "output-ensemble", "clip");
    let mut command = bench.run("out", &[]);
    command.arg("--registry").arg(bench.out("datasets.toml")).assert().success();
    let found = |variant: &str| {
        logits(&Predictions::read(&Predictions::path(&bench.out("out"), variant, "one")).unwrap())
    };
    let [plain, second] = ["plain", "second"].map(|name| expected(&released("golden.safetensors"), name));
    let mean: Vec<[f32; 3]> =
        plain.iter().zip(&second).map(|(a, b)| std::array::from_fn(|i| (a[i] + b[i]) / 2.0)).collect();
    let half = found("second+output-ensemble@0.5");
    assert!(off(&half, &mean) < 1e-4, "{}", off(&half, &mean));
    assert!(off(&found("second"), &second) < 1e-4);
}

#[test]
fn a_learner_that_is_not_whole_or_has_no_partner_is_refused() {
    let bench = bench();
    suite(&bench, "wise-ft", "clip");
    let assert =
        bench.run("refused", &[]).arg("--registry").arg(bench.out("datasets.toml")).assert().failure();
    let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(log.contains("prompt"), "{log}");

    let base = folder(&bench);
    let inspect = |part: &Tensors| inspected(&bench, &base, part);
    let all = StateDict::open(&released("second.pth.tar")).unwrap().load_all().unwrap();
    assert!(inspect(&all).contains("prompts in blocks"), "{}", inspect(&all));
    for (without, message) in [
        ("prompt_learner.ctx", "without `vision_model.embeddings.prompts`"),
        ("prompt_learner.compound_prompt_projections.0.bias", "prompt_projection.bias"),
        ("prompt_learner.compound_prompts_text.0", "prompt_projection"),
    ] {
        let mut part = all.clone();
        assert!(part.remove(without).is_some(), "{:?}", all.keys());
        let log = inspect(&part);
        assert!(log.contains(message), "{without}: {log}");
    }
}
