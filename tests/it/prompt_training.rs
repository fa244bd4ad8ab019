//! Ten steps of prompts in the blocks of both towers (IVLP, MaPLe, PromptSRC) against PyTorch, and where they start;
//! `tests/golden/make_prompt_training.py` made the golden files.

use std::path::{Path, PathBuf};

use specbench::catalog::Catalog;
use specbench::checkpoint::{StateDict, Tensors, Weights as _, write_safetensors};
use specbench::train::{Recipe, TuneEvent, TuneOptions, tune};

use crate::support::{Bench, root, specbench};
use crate::training::{against, bench, command, golden, largest, recipe, tuned, weights};

/// The golden CLIP whose towers differ in width, with prompts to start from if there are some.
fn folder(bench: &Bench, name: &str, start: Option<&Path>) -> PathBuf {
    let (to, from) = (bench.out(name), root().join("tests/golden/maple/clip"));
    std::fs::create_dir_all(&to).unwrap();
    std::fs::copy(from.join("config.json"), to.join("config.json")).unwrap();
    for file in ["tokenizer.json", "preprocessor_config.json"] {
        std::fs::copy(golden().join("clip").join(file), to.join(file)).unwrap();
    }
    let mut all = weights(&from);
    if let Some(start) = start {
        all.extend(StateDict::open(start).unwrap().load_all().unwrap());
    }
    write_safetensors(&to.join("model.safetensors"), &all, candle_core::DType::F32).unwrap();
    to
}

/// A recipe of the golden files' settings from such a folder.
fn prompts(bench: &Bench, method: &str, from: &Path, train: &str) -> String {
    let (plain, with) = (golden().join("clip"), from);
    let text = recipe(bench, "clip", method, "", train).replace(&format!("{plain:?}"), &format!("{with:?}"));
    text.replace("\"shapes\"", "\"shapes-one\"")
}

fn released(name: &str) -> PathBuf {
    root().join("tests/golden/prompt-training").join(name)
}

#[test]
fn ten_steps_are_pytorchs() {
    let expected = StateDict::open(&released("expected.safetensors")).unwrap().load_all().unwrap();
    let bench = bench();
    for (method, start, count) in [("ivlp", "ivlp", 4), ("promptsrc", "ivlp", 4), ("maple", "maple", 6)] {
        let from =
            folder(&bench, &format!("from-{method}"), Some(&released(&format!("{start}.safetensors"))));
        let found = tuned(&bench, &prompts(&bench, method, &from, ""), method);
        let (worst, compared) = against(&expected, method, &found);
        println!("{method}: {worst:.2e} over {compared} tensors");
        assert!(worst < 1e-5 && compared == count, "{method}: {worst}, {compared}");
    }
    // What both towers use is one value.
    let found = weights(&bench.out("maple"));
    for (text, image) in [
        ("prompt.context", "vision_model.embeddings.prompts"),
        ("text_model.encoder.layers.1.prompts", "vision_model.encoder.layers.1.prompts"),
    ] {
        assert_eq!(largest(&found[text], &found[image]), 0.0, "{text}");
    }
}

#[test]
fn without_prompts_they_are_drawn_by_seed_and_reach_as_deep_as_asked() {
    let bench = bench();
    let from = folder(&bench, "plain", None);
    let run =
        |out: &str, method: &str, train: &str| tuned(&bench, &prompts(&bench, method, &from, train), out);
    let shapes = |all: &Tensors| all.iter().map(|(n, t)| (n.clone(), t.dims().to_vec())).collect::<Vec<_>>();
    let blocks = |towers: &[(&str, Vec<usize>)], depth: usize| {
        let one = |(tower, shape): &(&str, Vec<usize>)| {
            (1..depth)
                .map(|i| (format!("{tower}.encoder.layers.{i}.prompts"), shape.clone()))
                .collect::<Vec<_>>()
        };
        towers.iter().flat_map(one).collect::<Vec<_>>()
    };
    let ivlp = run("ivlp", "ivlp", "vectors = 3\nimage_vectors = 2");
    let mut right = blocks(&[("text_model", vec![3, 16]), ("vision_model", vec![2, 24])], 3);
    right.insert(0, ("prompt.context".to_owned(), vec![3, 16]));
    right.push(("vision_model.embeddings.prompts".to_owned(), vec![2, 24]));
    right.sort();
    assert_eq!(shapes(&ivlp), right);
    let maple = run("maple", "maple", "vectors = 3\nprompt_depth = 2");
    for name in ["text_model.encoder.layers.1.prompts", "vision_model.encoder.layers.1.prompts"] {
        assert_eq!(maple[name].dims(), [3, 16]);
    }
    assert_eq!(maple["vision_model.encoder.layers.1.prompt_projection.weight"].dims(), [24, 16]);
    assert!(!maple.keys().any(|n| n.contains("layers.2")), "{:?}", maple.keys());
    let (again, other) = (run("again", "ivlp", "vectors = 3\nimage_vectors = 2"), run("other", "ivlp", ""));
    assert_eq!(largest(&again["prompt.context"], &ivlp["prompt.context"]), 0.0);
    assert_eq!(other["prompt.context"].dims(), [4, 16]);
    // What was trained lies over the model it was trained on.
    let assert =
        specbench().arg("inspect").arg(bench.out("maple")).arg("--base").arg(&from).assert().success();
    let text = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(text.contains("prompts in blocks"), "{text}");
}

#[test]
fn an_average_goes_on_where_it_was_stopped() {
    let bench = bench();
    let from = folder(&bench, "plain", None);
    let text = prompts(&bench, "promptsrc", &from, "save_every = 4").replace("batch = 64", "batch = 4");
    let whole = tuned(&bench, &text, "whole");
    std::fs::write(bench.out("stopped.toml"), &text).unwrap();
    let mut stopped = Recipe::open(&bench.out("stopped.toml")).unwrap().remove(0);
    stopped.out = bench.out("parts");
    let catalog = Catalog::open(&bench.out("datasets.toml")).unwrap();
    let stop = |event| !matches!(event, TuneEvent::Step { step: 8, .. });
    assert!(tune(&stopped, &catalog, TuneOptions::default(), stop).is_err());
    let found = tuned(&bench, &text, "parts");
    for (name, tensor) in &whole {
        assert_eq!(largest(tensor, &found[name]), 0.0, "{name}");
    }
}

#[test]
fn prompts_that_do_not_fit_are_said() {
    let bench = bench();
    let coupled = folder(&bench, "coupled", Some(&released("maple.safetensors")));
    let text = prompts(&bench, "ivlp", &coupled, "");
    let log = |text: &str| {
        let output = command(&bench, text, "none").assert().failure();
        String::from_utf8_lossy(&output.get_output().stderr).into_owned()
    };
    assert!(log(&text).contains("prompts are of the other kind"), "{}", log(&text));
    let language = recipe(&bench, "lm", "maple", "", "");
    assert!(log(&language).contains("prompts in blocks are of image-text models"), "{}", log(&language));
}
