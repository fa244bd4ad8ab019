//! CLIP-CITE and stochastic WiSE-FT against PyTorch and at their limits; `tests/golden/make_clip_cite.py` made the golden files.

use specbench::checkpoint::{StateDict, Weights as _};

use crate::support::root;
use crate::training::{against, bench, command, golden, largest, recipe, tuned, weights};

#[test]
fn ten_steps_of_clip_cite_and_of_a_place_on_the_way_are_pytorchs() {
    let expected = root().join("tests/golden/clip-cite/expected.safetensors");
    let expected = StateDict::open(&expected).unwrap().load_all().unwrap();
    let bench = bench();
    let terms = "[[term]]\nkind = \"contrast\"\n[[term]]\nkind = \"similarity\"\n[train]";
    for (case, method, data, train, count) in [
        ("one", "clip-cite", "shapes-one", "", 5),
        ("printed", "clip-cite", "shapes-one", "denominator = \"printed\"", 4),
        ("two", "clip-cite", "shapes", "", 4),
        ("frozen-texts", "full", "shapes", "", 2),
        ("place", "stochastic-wise-ft", "shapes", "from_alpha = 0.3\nto_alpha = 0.3", 2),
    ] {
        let mut text = recipe(&bench, "clip", method, "", train).replace("\"shapes\"", &format!("{data:?}"));
        if case == "frozen-texts" {
            text = text.replace("[train]", terms);
        }
        let (worst, compared) = against(&expected, case, &tuned(&bench, &text, case));
        println!("{case}: {worst:.2e} over {compared} tensors");
        assert!(worst < 1e-5 && compared == count, "{case}: {worst}, {compared}");
    }
    // What is kept are the towers: without a head, the texts of any class make one.
    assert!(!bench.out("one/classifier.json").exists());
    assert!(!weights(&bench.out("one")).contains_key("classifier.weight"));
    assert!(bench.out("frozen-texts/classifier.json").exists());
}

#[test]
fn without_its_terms_clip_cite_is_plain_fine_tuning_and_leaves_the_texts_alone() {
    let bench = bench();
    let plain = |text: String| text.replace("weight_decay = 0.1", "weight_decay = 0.0");
    let full = tuned(&bench, &plain(recipe(&bench, "clip", "full", "", "")), "full");
    let without = recipe(&bench, "clip", "clip-cite", "", "contrast = 0.0\nsimilarity = 0.0");
    let without = tuned(&bench, &plain(without), "without");
    let (start, with) = (
        weights(&golden().join("clip")),
        tuned(&bench, &recipe(&bench, "clip", "clip-cite", "", ""), "with"),
    );
    assert_eq!(without.len() + 2, full.len());
    for (name, tensor) in &without {
        assert_eq!(largest(tensor, &full[name]), 0.0, "{name}");
        if name.starts_with("text") {
            assert_eq!(largest(tensor, &start[name]), 0.0, "{name}");
        }
    }
    let name = "text_model.encoder.layers.0.mlp.fc1.weight";
    assert!(largest(&start[name], &with[name]) > 1e-3);
}

#[test]
fn stochastic_wise_ft_at_its_ends() {
    let bench = bench();
    let run =
        |out: &str, method: &str, train: &str| tuned(&bench, &recipe(&bench, "clip", method, "", train), out);
    let full = run("full", "full", "");
    let end = run("end", "stochastic-wise-ft", "from_alpha = 1.0");
    let drawn = run("drawn", "stochastic-wise-ft", "");
    for (name, tensor) in &full {
        assert_eq!(largest(tensor, &end[name]), 0.0, "{name}");
    }
    let name = "visual_projection.weight";
    assert!(largest(&full[name], &drawn[name]) > 1e-4);
    // At the start nothing moves but by weight decay.
    let text = recipe(&bench, "clip", "stochastic-wise-ft", "", "to_alpha = 0.0");
    let still = tuned(&bench, &text.replace("weight_decay = 0.1", "weight_decay = 0.0"), "still");
    let start = weights(&golden().join("clip"));
    assert!(start.iter().all(|(name, tensor)| largest(tensor, &still[name]) == 0.0));
}

#[test]
fn what_does_not_fit_is_said() {
    let bench = bench();
    let contrast = "[[term]]\nkind = \"contrast\"\n[train]";
    let drawn = "[[term]]\nkind = \"drawn-path\"\n[train]";
    for (track, method, train, more, batch, message) in [
        ("clip", "clip-cite", "denominator = \"printed\"", "", "1", "one class alone"),
        (
            "clip",
            "clip-cite",
            "trains = \"head\"",
            "",
            "64",
            "leaves the head behind, and nothing else would train",
        ),
        ("clip", "cocoop", "", contrast, "64", "no captions that are the same for all images of a class"),
        ("lm", "full", "", contrast, "64", "no captions"),
        ("lm", "clip-cite", "", "", "64", "this method learns from images of classes"),
        ("lm", "flyp", "", "", "64", "this method learns from images of classes"),
        ("clip", "stochastic-wise-ft", "", drawn, "64", "two are drawn"),
        ("clip", "coop", "", drawn, "64", "a way from the start is one of weights"),
        (
            "clip",
            "stochastic-wise-ft",
            "from_alpha = 0.7\nto_alpha = 0.2",
            "",
            "64",
            "`from_alpha` is larger than `to_alpha`",
        ),
    ] {
        let mut text = recipe(&bench, track, method, "", train);
        text = text.replace("batch = 64", &format!("batch = {batch}"));
        if !more.is_empty() {
            text = text.replace("[train]", more);
        }
        let output = command(&bench, &text, "none").assert().failure();
        let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(log.contains(message), "{method} {train} {more}: {log}");
    }
}
