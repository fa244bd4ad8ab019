//! Prompts in the blocks of both towers (PromptSRC) and PromptKD's student with the head of its teacher's texts, through the program;
//! `tests/golden/make_block_prompts.py` made the checkpoints, as the released codes store them, and their logits.

use std::path::{Path, PathBuf};

use specbench::checkpoint::{StateDict, Tensors, Weights as _, write_safetensors};
use specbench::store::Predictions;

use crate::learned_parts::{expected, logits, off};
use crate::support::{Bench, root, specbench};
use crate::training::{bench, command, golden, recipe};

/// A checkpoint of a suite.
fn checkpoint(id: &str, source: &PathBuf, more: &str) -> String {
    format!("[[checkpoint]]\nid = \"{id}\"\nrole = \"finetuned\"\nsource = {source:?}\n{more}\n")
}

fn released(name: &str) -> PathBuf {
    root().join("tests/golden/block_prompts").join(name)
}

/// A folder of the golden CLIP of that name, with tokenizer and preprocessing.
fn folder(bench: &Bench, name: &str) -> PathBuf {
    let to = bench.out(name);
    std::fs::create_dir_all(&to).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(released(name).join(file), to.join(file)).unwrap();
    }
    for file in ["tokenizer.json", "preprocessor_config.json"] {
        std::fs::copy(golden().join("clip").join(file), to.join(file)).unwrap();
    }
    to
}

/// The suite's text, with both golden CLIPs and `more`.
fn suite(bench: &Bench, more: &str) {
    let text = format!(
        "[suite]\nname = \"prompts\"\n{}{}{more}[[probe]]\nid = \"one\"\ndataset = \"shapes-one\"\nsplit = \"train\"\n\
         role = \"speciality\"\n[stats]\nresamples = 100\n",
        checkpoint("clip", &folder(bench, "clip"), "").replace("finetuned", "pretrained"),
        checkpoint("large", &folder(bench, "large"), ""),
    );
    std::fs::write(bench.suite(), text).unwrap();
}

/// PromptKD's student with its teacher.
fn distilled() -> String {
    checkpoint("teacher", &released("teacher.pth.tar"), "base = \"large\"")
        + &checkpoint("promptkd", &released("promptkd.pth.tar"), "base = \"clip\"\nhead_of = \"teacher\"")
}

fn run(bench: &Bench, out: &str, extra: &[&str]) {
    let mut command = bench.run(out, extra);
    command.arg("--registry").arg(bench.out("datasets.toml")).assert().success();
}

/// What a plan that fails says.
fn refused(bench: &Bench, more: &str) -> String {
    suite(bench, more);
    let mut command = bench.run("refused", &[]);
    let assert = command.arg("--registry").arg(bench.out("datasets.toml")).assert().failure();
    let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    // As it stands in the messages, whatever their width.
    log.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What `inspect` says of a part on top of `base`.
pub fn inspected(bench: &Bench, base: &Path, part: &Tensors) -> String {
    let path = bench.out("part.safetensors");
    write_safetensors(&path, part, candle_core::DType::F32).unwrap();
    let assert = specbench().arg("inspect").arg(&path).arg("--base").arg(base).assert();
    let output = assert.get_output();
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn found(bench: &Bench, out: &str, variant: &str) -> Vec<[f32; 3]> {
    logits(&Predictions::read(&Predictions::path(&bench.out(out), variant, "one")).unwrap())
}

#[test]
fn logits_are_the_released_codes() {
    let bench = bench();
    let src = checkpoint("promptsrc", &released("promptsrc.pth.tar"), "base = \"clip\"");
    // A combination has the head of what it is made of.
    let twice = "[[checkpoint]]\nid = \"mean\"\nrole = \"finetuned\"\nmerge = \"uniform-soup\"\nof = [\"promptkd\", \"promptkd\"]\n";
    suite(&bench, &(src + &distilled() + twice));
    run(&bench, "out", &[]);
    for (variant, name) in
        [("clip", "plain"), ("promptsrc", "promptsrc"), ("promptkd", "promptkd"), ("mean", "promptkd")]
    {
        let (found, right) = (found(&bench, "out", variant), expected(&released("golden.safetensors"), name));
        assert!(off(&found, &right) < 1e-4, "{variant}: {}", off(&found, &right));
    }
    for batch in ["1", "5"] {
        run(&bench, batch, &["--batch", batch]);
        for variant in ["promptsrc", "promptkd"] {
            assert_eq!(found(&bench, batch, variant), found(&bench, "out", variant), "{variant}, {batch}");
        }
    }
}

#[test]
fn a_head_that_does_not_fit_is_refused() {
    let bench = bench();
    let student = |more: &str| {
        checkpoint("promptkd", &released("promptkd.pth.tar"), &format!("base = \"clip\"\n{more}"))
    };
    let teacher = checkpoint("teacher", &released("teacher.pth.tar"), "base = \"large\"");
    for (more, message) in [
        (
            student(""),
            "images to 20 values of another model; name the checkpoint whose texts make its head with `head_of`",
        ),
        (student("head_of = \"clip\""), "features of 20 values, the texts of"),
        (student("head_of = \"nobody\""), "`nobody`"),
        (checkpoint("same", &bench.out("clip"), "head_of = \"large\""), "features of 12 values"),
        (
            checkpoint("src", &released("promptsrc.pth.tar"), "base = \"clip\"\nhead_of = \"clip\""),
            "holds a head of its own",
        ),
        (
            teacher
                + &student("head_of = \"teacher\"")
                + "[[sweep]]\nmerge = \"wise-ft\"\nfrom = \"clip\"\nto = [\"promptkd\"]\nalphas = [0.5]\n",
            "made of another's texts",
        ),
    ] {
        let log = refused(&bench, &more);
        assert!(log.contains(message), "{message}\n{log}");
    }
}

#[test]
fn what_is_not_whole_is_said() {
    let bench = bench();
    let base = folder(&bench, "clip");
    let inspect = |part: &Tensors| inspected(&bench, &base, part);
    let all = StateDict::open(&released("promptsrc.pth.tar")).unwrap().load_all().unwrap();
    let learned = |n: &str| n.contains("VPT") || n == "prompt_learner.ctx";
    let mut part: Tensors = all.into_iter().filter(|(n, _)| learned(n)).collect();
    assert!(inspect(&part).contains("prompts in blocks"), "{}", inspect(&part));
    let context = part.remove("prompt_learner.ctx").unwrap();
    assert!(inspect(&part).contains("without `prompt.context`"), "{}", inspect(&part));
    part.insert("prompt_learner.ctx".to_owned(), context.narrow(0, 0, 1).unwrap());
    assert!(
        inspect(&part).contains("of shape [2, 16], its configuration says [1, 16]"),
        "{}",
        inspect(&part)
    );
    part.insert("prompt_learner.ctx".to_owned(), context);
    let first = part.remove("image_encoder.VPT").unwrap();
    assert!(inspect(&part).contains("without `vision_model.embeddings.prompts`"), "{}", inspect(&part));
    part.insert("image_encoder.VPT".to_owned(), first);
    let own = part["text_encoder.transformer.resblocks.1.VPT_shallow"].clone();
    part.insert("text_encoder.transformer.resblocks.3.VPT_shallow".to_owned(), own);
    assert!(inspect(&part).contains("text_model.encoder.layers.3.prompts"), "{}", inspect(&part));

    let all = StateDict::open(&released("promptkd.pth.tar")).unwrap().load_all().unwrap();
    let mut part: Tensors = all.into_iter().filter(|(n, _)| n.contains("VPT")).collect();
    assert!(inspect(&part).contains("to 20 values"), "{}", inspect(&part));
    part.remove("VPT_image_trans.conv1.1.running_var");
    assert!(inspect(&part).contains("without `image_projector.norm.running_var`"), "{}", inspect(&part));
}

#[test]
fn a_students_projector_is_not_tuned() {
    let bench = bench();
    let whole = folder(&bench, "clip");
    let mut tensors = StateDict::open(&whole).unwrap().load_all().unwrap();
    let student = StateDict::open(&released("promptkd.pth.tar")).unwrap().load_all().unwrap();
    tensors.extend(student.into_iter().filter(|(n, _)| n.starts_with("VPT_image_trans.")));
    write_safetensors(&whole.join("model.safetensors"), &tensors, candle_core::DType::F32).unwrap();
    let from = format!("{:?}", golden().join("clip"));
    let text = recipe(&bench, "clip", "full", "", "trains = \"full\"").replace(&from, &format!("{whole:?}"));
    let assert = command(&bench, &text, "refused").assert().failure();
    let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(log.contains("holds PromptKD's projector; such a checkpoint is evaluated, not tuned"), "{log}");
}
