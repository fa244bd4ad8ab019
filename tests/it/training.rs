//! Ten steps of every method against PyTorch; `tests/golden/make_training.py` made the golden files.

use std::path::Path;

use candle_core::Tensor;
use specbench::catalog::Catalog;
use specbench::checkpoint::{StateDict, Tensors, Weights as _, write_safetensors};
use specbench::model::lm::LanguageFolder;
use specbench::suite::Suite;
use specbench::train::{Recipe, TrainError, TuneEvent, TuneOptions, tune};

use crate::support::{Bench, root, specbench};

pub fn golden() -> std::path::PathBuf {
    root().join("tests/golden/training")
}

/// A bench with a registry of the golden images, and a task over the golden texts.
pub fn bench() -> Bench {
    let bench = Bench::new("");
    let golden = golden();
    let lines = |name: &str, lines: &[&str]| std::fs::write(bench.out(name), lines.join("\n")).unwrap();
    lines("classes.txt", &["red circle", "green square", "blue star"]);
    lines("templates.txt", &["a photo of a {}.", "a {}."]);
    lines("one.txt", &["a photo of a {}."]);
    lines("folders.txt", &["red circle", "green square", "blue star"]);
    let entry = |name: &str, templates: &str| {
        format!(
            "[{name}]\nsummary = \"x\"\nlayout = \"image-folder\"\nlicence = \"MIT\"\norigin = \"x\"\n\
             classes = {:?}\ntemplates = {:?}\nfolders = {:?}\n[{name}.split.train]\nfiles = [{:?}]\n",
            bench.out("classes.txt"),
            bench.out(templates),
            bench.out("folders.txt"),
            golden.join("images"),
        )
    };
    let registry = entry("shapes", "templates.txt") + &entry("shapes-one", "one.txt");
    std::fs::write(bench.out("datasets.toml"), registry).unwrap();
    let task = format!(
        "task: facts\ndataset_path: json\ndataset_kwargs: {{data_files: {{train: {:?}}}}}\ntraining_split: train\n\
         output_type: loglikelihood\ndoc_to_text: \"{{{{prompt}}}}\"\ndoc_to_target: \" {{{{target}}}}\"\n\
         metric_list: [{{metric: perplexity}}]\n",
        golden.join("texts.jsonl"),
    );
    std::fs::write(bench.out("facts.yaml"), task).unwrap();
    let model = bench.out("llama");
    std::fs::create_dir(&model).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(root().join("tests/golden/lm/llama").join(file), model.join(file)).unwrap();
    }
    std::fs::copy(root().join("tests/golden/lm/tokenizer.json"), model.join("tokenizer.json")).unwrap();
    bench
}

/// A recipe of the golden files' settings, with more lines of `[train]`.
pub fn recipe(bench: &Bench, track: &str, method: &str, head: &str, train: &str) -> String {
    let (from, data) = match track {
        "clip" => (golden().join("clip"), "dataset = \"shapes\"".to_owned()),
        _ => (bench.out("llama"), format!("task = {:?}", bench.out("facts.yaml"))),
    };
    format!(
        "[recipe]\nid = \"r\"\nmethod = \"{method}\"\nfrom = {from:?}\nout = \"unused\"\n{head}\n[train]\nsteps = 10\nbatch = 64\n\
         lr = 2e-3\nwarmup = 2\nweight_decay = 0.1\n{train}\n[[data]]\n{data}\nsplit = \"train\"\n"
    )
}

pub fn command(bench: &Bench, text: &str, out: &str) -> assert_cmd::Command {
    let path = bench.out(&format!("{out}.toml"));
    std::fs::write(&path, text).unwrap();
    let mut command = specbench();
    command.arg("tune").arg(path).arg("--out").arg(bench.out(out));
    command.arg("--registry").arg(bench.out("datasets.toml"));
    command
}

pub fn tuned(bench: &Bench, text: &str, out: &str) -> Tensors {
    command(bench, text, out).assert().success();
    weights(&bench.out(out))
}

pub fn weights(folder: &Path) -> Tensors {
    StateDict::open(&folder.join("model.safetensors")).unwrap().load_all().unwrap()
}

pub fn largest(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
}

/// The golden CLIP with a golden part that is trained on, in the released code's names.
pub fn with_part(bench: &Bench, part: &Path) -> std::path::PathBuf {
    let folder = bench.out(&format!("with-{}", part.file_stem().unwrap().display()));
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(golden().join("clip")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let mut all = weights(&golden().join("clip"));
    all.extend(StateDict::open(part).unwrap().load_all().unwrap());
    write_safetensors(&folder.join("model.safetensors"), &all, candle_core::DType::F32).unwrap();
    folder
}

/// Largest difference to the golden weights of a variant, and how many tensors were compared.
pub fn against(expected: &Tensors, prefix: &str, found: &Tensors) -> (f32, usize) {
    let mut worst = (0.0f32, 0);
    for (name, right) in expected {
        let Some(name) = name.strip_prefix(prefix).and_then(|n| n.strip_prefix('/')) else { continue };
        // Softmax does not depend on a bias of keys: its gradient is rounding alone, which Adam scales to whole steps.
        if name.ends_with("k_proj.bias") {
            continue;
        }
        worst = (worst.0.max(largest(right, &found[name])), worst.1 + 1);
    }
    worst
}

#[test]
fn ten_steps_of_every_method_are_pytorchs() {
    let expected = StateDict::open(&golden().join("expected.safetensors")).unwrap().load_all().unwrap();
    let bench = bench();
    let kd = "penalty = 0.7\ntemperature = 2.0";
    for (track, method, preset, train) in [
        ("clip", "full", "full", ""),
        ("clip", "l1", "l1", "penalty = 0.01"),
        ("clip", "l2-sp", "l2-sp", "penalty = 500.0\nreduction = \"mean\""),
        ("clip", "kd-kl", "kd-kl", kd),
        ("clip", "kd-logits", "kd-logits", "penalty = 0.3"),
        ("clip", "kd-features", "kd-features", "penalty = 3.0"),
        ("clip", "spider", "spider", ""),
        ("clip", "magnitude-mask", "magnitude-mask", ""),
        ("clip", "sma", "sma", ""),
        ("clip", "sgd", "full", "optimiser = \"sgd\""),
        ("clip", "linear-probe", "linear-probe", ""),
        ("clip", "projector", "full", "trains = \"projector\""),
        ("clip", "graft", "graft", "density = 0.25"),
        ("clip", "ewc", "ewc", "penalty = 50.0\nfisher = 64"),
        ("clip", "mergetune", "mergetune", "penalty = 0.02\ntau = 0.4"),
        ("clip", "coop", "coop", "vectors = 5"),
        ("clip", "kgcoop", "kgcoop", "vectors = 5"),
        ("clip", "mergetune-features", "mergetune-features", "vectors = 5"),
        ("clip", "clip-adapter", "clip-adapter", ""),
        ("clip", "cocoop", "cocoop", ""),
        ("clip", "flyp", "flyp", ""),
        ("lm", "full", "full", ""),
        ("lm", "l2-sp", "l2-sp", "penalty = 500.0\nreduction = \"mean\""),
        ("lm", "kd-kl", "kd-kl", kd),
        ("lm", "spider", "spider", ""),
        ("lm", "magnitude-mask", "magnitude-mask", ""),
        ("lm", "graft", "graft", "density = 0.25"),
        ("lm", "ewc", "ewc", "penalty = 50.0\nfisher = 64"),
    ] {
        let name = format!("{track}/{method}");
        let head = match method {
            "mergetune" => format!("finetuned = {:?}", bench.out("clip-full")),
            "mergetune-features" => format!("finetuned = {:?}", bench.out("clip-coop")),
            _ => String::new(),
        };
        let mut text = recipe(&bench, track, preset, &head, train);
        let starts = [("clip-adapter", "adapter.safetensors"), ("cocoop", "cocoop.safetensors")];
        if let Some((_, part)) = starts.iter().find(|s| s.0 == method) {
            let (from, with) = (golden().join("clip"), with_part(&bench, &golden().join(part)));
            text = text.replace(&format!("{from:?}"), &format!("{with:?}"));
        }
        if method == "flyp" {
            text = text.replace("\"shapes\"", "\"shapes-one\"");
        }
        let found = tuned(&bench, &text, &name.replace('/', "-"));
        let (worst, compared) = against(&expected, &name, &found);
        println!("{name}: {worst:.2e} over {compared} tensors");
        let few = ["linear-probe", "projector", "coop", "kgcoop", "mergetune-features"].contains(&method);
        assert!(worst < 1e-5 && compared >= if few { 1 } else { 2 }, "{name}: {worst}, {compared}");
    }
}

#[test]
fn fisher_information_is_pytorchs() {
    let expected = StateDict::open(&golden().join("expected.safetensors")).unwrap().load_all().unwrap();
    let bench = bench();
    for track in ["clip", "lm"] {
        let text = recipe(&bench, track, "full", "", "save_fisher = 64").replace("steps = 10", "steps = 0");
        let weights = tuned(&bench, &text, track);
        let found =
            StateDict::open(&bench.out(track).join("fisher.safetensors")).unwrap().load_all().unwrap();
        let mut compared = 0;
        for (name, right) in &expected {
            let Some(name) = name.strip_prefix(&format!("{track}/fisher/")) else { continue };
            let (size, off) = (largest(right, &right.zeros_like().unwrap()), largest(right, &found[name]));
            assert!(size > 0.0 && off < 1e-4 * size, "{name}: {off} of {size}");
            compared += 1;
        }
        assert_eq!(compared, 2);
        // What was trained has it, and nothing else.
        let is_trained = |name: &String| track == "lm" || !name.starts_with("text") && name != "logit_scale";
        let trained: Vec<&String> = weights.keys().filter(|n| is_trained(n)).collect();
        assert_eq!(found.keys().collect::<Vec<_>>(), trained);
    }
}

#[test]
fn methods_at_their_limits() {
    let bench = bench();
    for track in ["clip", "lm"] {
        let run = |out: &str, method: &str, head: &str, train: &str| {
            tuned(&bench, &recipe(&bench, track, method, head, train), &format!("{track}-{out}"))
        };
        let full = run("full", "full", "", "");
        let same = |other: &Tensors, what: &str| {
            for (name, tensor) in &full {
                assert_eq!(largest(tensor, &other[name]), 0.0, "{track}, {what}: {name}");
            }
        };
        // Without strength each is full fine-tuning, bit for bit.
        same(&run("l1", "l1", "", "penalty = 0.0"), "l1");
        same(&run("l2", "l2-sp", "", "penalty = 0.0"), "l2-sp");
        same(&run("ewc", "ewc", "", "penalty = 0.0\nfisher = 2"), "ewc");
        same(&run("kd", "kd-kl", "", "penalty = 0.0"), "kd-kl");
        same(&run("mask", "magnitude-mask", "", "frozen = 0.0"), "magnitude-mask");
        same(&run("spider", "spider", "", "mask = \"none\""), "spider");
        same(&run("graft", "graft", "", "density = 1.0"), "graft");
        same(&run("last", "sma", "", "from_step = 10"), "sma");
        // Strong, it stays where it starts.
        let start = match track {
            "clip" => weights(&golden().join("clip")),
            _ => weights(&bench.out("llama")),
        };
        for stays in
            [run("held", "magnitude-mask", "", "frozen = 1.0"), run("bare", "graft", "", "density = 0.0")]
        {
            for (name, tensor) in &start {
                assert!(largest(tensor, &stays[name]) == 0.0, "{track}: {name}");
            }
        }
        let name =
            if track == "clip" { "visual_projection.weight" } else { "model.layers.1.mlp.up_proj.weight" };
        let far = largest(&start[name], &full[name]);
        let near = largest(&start[name], &run("near", "l2-sp", "", "penalty = 1e4")[name]);
        assert!(near < far, "{near} {far}");
    }
}

#[test]
fn mergetune_at_its_ends() {
    let bench = bench();
    let full = tuned(&bench, &recipe(&bench, "clip", "full", "", ""), "full");
    let head = format!("finetuned = {:?}", bench.out("full"));
    // Without steps that change anything: the start of the way, and its end.
    let at = |tau: &str, out: &str| {
        let text = recipe(&bench, "clip", "mergetune", &head, &format!("penalty = 0.0\ntau = {tau}"));
        tuned(&bench, &text.replace("lr = 2e-3", "lr = 0.0"), out)
    };
    let (start, end, half) = (at("0.0", "zero"), at("1.0", "one"), at("0.5", "half"));
    let zero_shot = weights(&golden().join("clip"));
    for (name, tensor) in &zero_shot {
        assert_eq!(largest(tensor, &start[name]), 0.0, "{name}");
        assert!(largest(&full[name], &end[name]) == 0.0, "{name}");
        let middle = ((tensor + &full[name]).unwrap() * 0.5).unwrap();
        assert!(largest(&middle, &half[name]) < 1e-6, "{name}");
    }
    // A path is needed, and named where it is missing.
    let text = recipe(&bench, "clip", "mergetune", "", "penalty = 0.0");
    let output = command(&bench, &text, "none").assert().code(2);
    let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(log.contains("a path needs `finetuned`"), "{log}");
}

#[test]
fn training_goes_on_where_it_was_stopped() {
    let bench = bench();
    for (track, method, extra) in [
        ("clip", "spider", ""),
        ("lm", "sma", ""),
        ("lm", "magnitude-mask", ""),
        ("clip", "full", "optimiser = \"sgd\""),
        ("clip", "stochastic-wise-ft", ""),
        ("clip", "clip-cite", ""),
        ("clip", "kd-features", "penalty = 1.0\ncrop = [0.3, 0.9]\nflip = true"),
    ] {
        let text = recipe(&bench, track, method, "", &format!("{extra}\nsave_every = 4"))
            .replace("batch = 64", "batch = 3");
        let whole = tuned(&bench, &text, &format!("whole-{track}-{method}"));
        let out = format!("parts-{track}-{method}");
        // Stopped in the middle: the state is there and the result is not.
        let path = bench.out("stopped.toml");
        std::fs::write(&path, &text).unwrap();
        let mut recipe = Recipe::open(&path).unwrap().remove(0);
        recipe.out = bench.out(&out);
        let catalog = Catalog::open(&bench.out("datasets.toml")).unwrap();
        let stop_at_nine = |event| !matches!(event, TuneEvent::Step { step: 9, .. });
        let stopped = tune(&recipe, &catalog, TuneOptions::default(), stop_at_nine);
        assert!(matches!(stopped, Err(TrainError::Interrupted(9))), "{stopped:?}");
        assert!(bench.out(&out).join("resume/state.json").is_file());
        let output = command(&bench, &text, &out).assert().success();
        let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(log.contains("9 done before"), "{log}");
        let found = weights(&bench.out(&out));
        for (name, tensor) in &whole {
            assert_eq!(largest(tensor, &found[name]), 0.0, "{track} {method}: {name}");
        }
        assert!(!bench.out(&out).join("resume").exists());
        let lines = |out: &str| std::fs::read_to_string(bench.out(out).join("train.csv")).unwrap();
        assert_eq!(lines(&out), lines(&format!("whole-{track}-{method}")));
        assert_eq!(lines(&out).lines().count(), 11);
    }
}

#[test]
fn crops_are_drawn_where_the_recipe_says_so() {
    let bench = bench();
    let run = |out: &str, train: &str| tuned(&bench, &recipe(&bench, "clip", "full", "", train), out);
    let (plain, cropped) = (run("plain", ""), run("cropped", "crop = [0.2, 0.6]"));
    let name = "vision_model.embeddings.patch_embedding.weight";
    assert!(largest(&plain[name], &cropped[name]) > 1e-4);
    let again = run("again", "crop = [0.2, 0.6]\nflip = false");
    assert_eq!(largest(&again[name], &cropped[name]), 0.0);
    let text = recipe(&bench, "lm", "full", "", "crop = [0.2, 0.6]");
    let output = command(&bench, &text, "none").assert().failure();
    let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(log.contains("these data are texts"), "{log}");
}

#[test]
fn training_ends_where_the_recipe_says_so() {
    let bench = bench();
    let text = recipe(&bench, "lm", "full", "", "stop_at = 4\nsave_every = 4");
    let early = tuned(&bench, &text, "early");
    // The schedule is that of all steps: the same as what is there after four of ten.
    let path = bench.out("whole.toml");
    std::fs::write(&path, text.replace("stop_at = 4\n", "")).unwrap();
    let mut whole = Recipe::open(&path).unwrap().remove(0);
    whole.out = bench.out("whole");
    let catalog = Catalog::open(&bench.out("datasets.toml")).unwrap();
    let stop = |event| !matches!(event, TuneEvent::Step { step: 4, .. });
    tune(&whole, &catalog, TuneOptions::default(), stop).unwrap_err();
    let state = StateDict::open(&bench.out("whole/resume/step-4.safetensors")).unwrap().load_all().unwrap();
    for (name, tensor) in &early {
        assert_eq!(largest(tensor, &state[&format!("parameter.{name}")]), 0.0, "{name}");
    }
}

#[test]
fn early_stopping_gives_the_best_model_and_ends_there() {
    let bench = bench();
    for track in ["clip", "lm"] {
        let base = recipe(&bench, track, "early-stop", "", "every = 2").replace("lr = 2e-3", "lr = 2e-2");
        let data = base.split("[[data]]").nth(1).unwrap().to_owned();
        let with = |lines: &str| {
            base.replace("every = 2", &format!("every = 2\n{lines}")) + &format!("[validation]{data}")
        };
        let (best, first) = (format!("{track}-best"), format!("{track}-first"));
        let found = tuned(&bench, &with(""), &best);
        let log = std::fs::read_to_string(bench.out(&best).join("train.csv")).unwrap();
        let held: Vec<(usize, f64)> = log
            .lines()
            .skip(1)
            .filter_map(|l| {
                let cells: Vec<&str> = l.split(',').collect();
                Some((cells[0].parse().ok()?, cells[5].parse().ok()?))
            })
            .collect();
        assert_eq!(held.iter().map(|h| h.0).collect::<Vec<_>>(), [2, 4, 6, 8, 10], "{log}");
        let least = held.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        // Plain training of as many steps of the same schedule, stopped there.
        let path = bench.out("until.toml");
        std::fs::write(&path, base.replace("early-stop", "full").replace("every = 2\n", "")).unwrap();
        let mut plain = Recipe::open(&path).unwrap().remove(0);
        plain.out = bench.out(&first);
        let catalog = Catalog::open(&bench.out("datasets.toml")).unwrap();
        let stop = |e| !matches!(e, TuneEvent::Step { step, .. } if step == least.0);
        if least.0 < 10 {
            tune(&plain, &catalog, TuneOptions::default(), stop).unwrap_err();
            let state = bench.out(&first).join(format!("resume/step-{}.safetensors", least.0));
            let state = StateDict::open(&state).unwrap().load_all().unwrap();
            for (name, tensor) in &found {
                if let Some(right) = state.get(&format!("parameter.{name}")) {
                    assert_eq!(largest(tensor, right), 0.0, "{track}: {name}");
                }
            }
        }
        // Accuracy is whole early on; two looks without a better one, and it is over.
        let text = with("by = \"accuracy\"\npatience = 2").replace("lr = 2e-2", "lr = 0.0");
        command(&bench, &text, &format!("{track}-short")).assert().success();
        let folder = bench.out(&format!("{track}-short"));
        assert_eq!(std::fs::read_to_string(folder.join("train.csv")).unwrap().lines().count(), 7);
        let about = std::fs::read_to_string(folder.join("training.json")).unwrap();
        assert!(about.contains("\"steps\": 6"), "{about}");
    }
}

#[test]
fn what_is_there_is_kept_and_grids_are_all_made() {
    let bench = bench();
    let text = recipe(&bench, "lm", "full", "", "")
        .replace("method = \"full\"\n", "")
        .replace("\"unused\"", &format!("\"{}/{{id}}-{{seed}}\"", bench.out("made").display()))
        + "[grid]\nseed = [1, 2]\n[[method]]\nmethod = \"full\"\n[[method]]\nid = \"held\"\nmethod = \"l2-sp\"\npenalty = 0.1\n";
    std::fs::write(bench.out("grid.toml"), text).unwrap();
    let run = |extra: &[&str]| {
        let mut command = specbench();
        command
            .arg("tune")
            .arg(bench.out("grid.toml"))
            .args(["--registry"])
            .arg(bench.out("datasets.toml"))
            .args(extra);
        let output = command.assert().success();
        (
            String::from_utf8_lossy(&output.get_output().stdout).into_owned(),
            String::from_utf8_lossy(&output.get_output().stderr).into_owned(),
        )
    };
    let (out, log) = run(&[]);
    assert_eq!(out.matches("checkpoint: ").count(), 4, "{out}");
    assert!(log.contains("on the sum over") && log.contains("on their mean"), "{log}");
    for name in ["full-1", "full-2", "held-1", "held-2"] {
        for file in ["model.safetensors", "recipe.toml", "train.csv", "training.json"] {
            assert!(bench.out("made").join(name).join(file).is_file(), "{name}/{file}");
        }
    }
    assert_eq!(run(&[]).0.matches("there already").count(), 4);
    assert_eq!(run(&["--only", "held"]).0.matches("there already").count(), 2);
    assert_eq!(run(&["--fresh", "--only", "held"]).0.matches("there already").count(), 0);
    // By the same recipe, but from another checkpoint, it is another one.
    let start = bench.out("llama/model.safetensors");
    let other = weights(&bench.out("made/full-1"));
    write_safetensors(&start, &other, candle_core::DType::F32).unwrap();
    assert_eq!(run(&["--only", "full"]).0.matches("there already").count(), 0);
    assert_eq!(run(&["--only", "full"]).0.matches("there already").count(), 2);
}

#[test]
fn parts_that_do_not_fit_are_said() {
    let bench = bench();
    for (track, method, train, part) in [
        ("lm", "coop", "", "learned context is of image-text models"),
        ("lm", "kd-features", "penalty = 1.0", "no features to distil"),
        ("clip", "lora", "targets = [\"nope\"]", "no module is called nope"),
        ("clip", "l2-sp", "", "`l2` needs `penalty`"),
        ("clip", "full", "penalty = 1.0", "unknown key `penalty`"),
        ("clip", "full", "tau = 0.5", "`finetuned`, which is not given"),
        ("clip", "lora", "[[term]]\nkind = \"l2\"\npenalty = 1.0", "distance to the start is one of weights"),
        ("clip", "full", "[[term]]\nkind = \"l3\"", "did you mean"),
        ("clip", "early-stop", "", "`[validation]` and an update that watches it"),
    ] {
        let text = recipe(&bench, track, method, "", train);
        let output = command(&bench, &text, "none").assert().failure();
        let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(log.contains(part), "{part} not in {log}");
    }
    // A fine-tuned end that nothing goes to.
    tuned(&bench, &recipe(&bench, "lm", "full", "", ""), "end");
    let head = format!("finetuned = {:?}", bench.out("end"));
    let output = command(&bench, &recipe(&bench, "lm", "lora", &head, ""), "none").assert().failure();
    let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(log.contains("`finetuned` is the end of a path"), "{log}");
}

/// `tests/golden/check_peft.py` shows that PEFT reads the same file.
#[test]
fn an_adapter_is_stored_as_peft_stores_it_and_applied_as_it_was_trained() {
    let bench = bench();
    let train = "rank = 4\nlora_alpha = 6.0\ntargets = [\"q_proj\", \"down_proj\"]";
    let text = recipe(&bench, "lm", "lora", "", train).replace("lr = 2e-3", "lr = 2e-2");
    command(&bench, &text, "adapter").assert().success();
    let folder = bench.out("adapter");
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!(
        (&config["r"], &config["lora_alpha"], &config["peft_type"]),
        (&4.into(), &6.0.into(), &"LORA".into())
    );
    let bytes = std::fs::read(folder.join("adapter_model.safetensors")).unwrap();
    let stored = candle_core::safetensors::load_buffer(&bytes, &candle_core::Device::Cpu).unwrap();
    let mut names: Vec<&String> = stored.keys().collect();
    names.sort();
    let module = |layer: usize, module: &str, factor: &str| {
        format!("base_model.model.model.layers.{layer}.{module}.lora_{factor}.weight")
    };
    let mut right = Vec::new();
    for layer in 0..2 {
        for part in ["mlp.down_proj", "self_attn.q_proj"] {
            right.extend(["A", "B"].map(|f| module(layer, part, f)));
        }
    }
    assert_eq!(names, right.iter().collect::<Vec<_>>());
    let base = LanguageFolder::open_any(&bench.out("llama")).unwrap();
    let over = LanguageFolder::open_over(&folder, &base).unwrap();
    for (name, weight) in base.weights.load_all().unwrap() {
        let stem = name.trim_end_matches(".weight");
        let factor = |f: &str| stored.get(&format!("base_model.model.{stem}.lora_{f}.weight"));
        let right = match (factor("A"), factor("B")) {
            (Some(a), Some(b)) => {
                assert!(largest(b, &b.zeros_like().unwrap()) > 0.0, "{name} was not trained");
                (weight + (b.matmul(a).unwrap() * 1.5).unwrap()).unwrap()
            }
            _ => weight,
        };
        assert!(largest(&right, &over.weights.load(&name).unwrap()) < 1e-6, "{name}");
    }
}

#[test]
fn every_shipped_recipe_is_valid_and_makes_what_its_suite_names() {
    let mut made = std::collections::BTreeSet::new();
    for folder in ["suites/recipes", "suites/gate"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "toml") {
                let recipes = Recipe::open(&path).unwrap_or_else(|e| panic!("{e}"));
                made.extend(recipes.into_iter().map(|r| r.out.display().to_string()));
            }
        }
    }
    let catalog = Catalog::open(&root().join("datasets.toml")).unwrap().beside(&root().join("suites"));
    for name in ["methods_clip", "methods_lm", "spider", "mergetune"] {
        let suite = Suite::open(&root().join(format!("suites/{name}.toml")), &catalog).unwrap();
        let tuned = suite.checkpoints.iter().filter(|c| c.source.starts_with(".cache"));
        let missing: Vec<&str> = tuned.map(|c| c.source.as_str()).filter(|s| !made.contains(*s)).collect();
        assert!(missing.is_empty(), "{name}: no recipe makes {}", missing.join(", "));
    }
}
