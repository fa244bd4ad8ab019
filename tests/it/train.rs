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

#[test]
fn mistakes_in_a_recipe() {
    let bench = recipe("ful", "frm = \"suites/demo/zero-shot\"");
    let output = specbench().arg("tune").arg(bench.out("recipe.toml")).assert().code(2);
    let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(log.contains("did you mean `full`?") && log.contains("did you mean `from`?"), "{log}");
}
