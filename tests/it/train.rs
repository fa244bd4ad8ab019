//! Recipes: repeatable, and their results go back in.

use crate::support::{Bench, root, specbench};

/// A registry whose training split is the committed validation split, and a recipe over it.
fn recipe(method: &str, extra: &str) -> Bench {
    let bench = Bench::new("");
    let text = std::fs::read_to_string(root().join("datasets.toml")).unwrap();
    let text = text.replace("\"suites/", &format!("\"{}/suites/", root().display()));
    let text = text.replace(
        ".cache/emoji/noto-train.parquet",
        &format!("{}/suites/emoji/noto-val.parquet", root().display()),
    );
    std::fs::write(bench.out("datasets.toml"), text).unwrap();
    let recipe = format!(
        "[recipe]\nid = \"r\"\nmethod = \"{method}\"\nout = \"unused\"\nclasses = \"base\"\n{extra}\n\
         [train]\nsteps = 3\nbatch = 32\nlr = 1e-3\nwarmup = 1\n[[data]]\ndataset = \"emoji-noto\"\n"
    );
    std::fs::write(bench.out("recipe.toml"), recipe).unwrap();
    bench
}

fn tune(bench: &Bench, out: &str, extra: &[&str]) -> Vec<u8> {
    specbench()
        .arg("tune")
        .arg(bench.out("recipe.toml"))
        .arg("--out")
        .arg(bench.out(out))
        .arg("--registry")
        .arg(bench.out("datasets.toml"))
        .args(extra)
        .assert()
        .success();
    std::fs::read(bench.out(out).join("model.safetensors")).unwrap()
}

#[test]
fn fine_tuning_is_repeatable_on_any_number_of_threads() {
    let bench = recipe("full", "from = \"suites/demo/zero-shot\"");
    let first = tune(&bench, "a", &[]);
    assert!(first == tune(&bench, "b", &["--threads", "1"]), "another number of threads");
    assert!(bench.out("a").join("classifier.json").is_file());
    let start = std::fs::read(root().join("suites/demo/zero-shot/model.safetensors")).unwrap();
    assert!(first != start, "nothing was trained");
}

#[test]
fn pretraining_makes_a_checkpoint_that_can_be_evaluated() {
    let bench = recipe(
        "contrastive",
        "model = \"suites/demo/model.json\"\ntokenizer = \"suites/demo/tokenizer.json\"\nseed = 1",
    );
    let (a, b) = (tune(&bench, "a", &[]), tune(&bench, "b", &["--threads", "1"]));
    assert!(a == b, "another number of threads");
    let suite = format!(
        "[suite]\nname = \"fresh\"\n[[checkpoint]]\nid = \"a\"\nrole = \"pretrained\"\nsource = \"{}\"\n\
         [[probe]]\nid = \"p\"\ndataset = \"emoji-noto\"\nrole = \"generality\"\nlimit = 50\n",
        bench.out("a").display()
    );
    std::fs::write(bench.suite(), suite).unwrap();
    bench.run("out", &[]).assert().success();
}

/// Adds lines to a recipe's `[train]`.
fn with_train(bench: &Bench, lines: &str) {
    let path = bench.out("recipe.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("warmup = 1", &format!("warmup = 1\n{lines}"));
    std::fs::write(path, text).unwrap();
}

#[test]
fn l2_sp_without_penalty_is_full_and_a_strong_one_stays_near_the_start() {
    let from = "from = \"suites/demo/zero-shot\"";
    let full = tune(&recipe("full", from), "out", &[]);
    let tuned = |penalty: &str| {
        let bench = recipe("l2-sp", from);
        with_train(&bench, &format!("weight_decay = 0.0\npenalty = {penalty}"));
        tune(&bench, "out", &[]);
        use specbench::checkpoint::Weights as _;
        let dict = crate::support::clip_weights(&bench.out("out")).unwrap();
        let start = crate::support::clip_weights(&root().join("suites/demo/zero-shot")).unwrap();
        let name = "vision_model.encoder.layers.1.mlp.fc1.weight";
        let distance = (dict.load(name).unwrap() - start.load(name).unwrap()).unwrap();
        distance.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()
    };
    let (free, held) = (tuned("0"), tuned("1000"));
    assert!(held < 0.8 * free, "{held} {free}");
    let bench = recipe("l2-sp", from);
    with_train(&bench, "penalty = 0.0");
    assert!(tune(&bench, "out", &[]) == full, "no penalty is no change");
    let bare = recipe("l2-sp", from);
    let mut command = specbench();
    command.arg("tune").arg(bare.out("recipe.toml")).arg("--registry").arg(bare.out("datasets.toml"));
    let log = String::from_utf8_lossy(&command.assert().code(2).get_output().stderr).into_owned();
    assert!(log.contains("needs `penalty`"), "{log}");
}

#[test]
fn shots_are_drawn_before_training() {
    let bench = recipe("full", "from = \"suites/demo/zero-shot\"");
    let all = tune(&bench, "all", &[]);
    let path = bench.out("recipe.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.clone() + "shots = 1\n").unwrap();
    let one = tune(&bench, "one", &[]);
    std::fs::write(&path, text + "shots = 1\nshots_seed = 2\n").unwrap();
    let other = tune(&bench, "other", &[]);
    assert!(one != all && one != other);
}

#[test]
fn mistakes_in_a_recipe() {
    let bench = recipe("ful", "frm = \"suites/demo/zero-shot\"");
    let output = specbench().arg("tune").arg(bench.out("recipe.toml")).assert().code(2);
    let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(log.contains("did you mean `full`?") && log.contains("did you mean `from`?"), "{log}");
}
