//! Every mistake that a person can make ends in one clear message and the right exit code.

use crate::support::{Bench, SMALL, root, specbench};

/// Standard error of a run that must fail with `code`.
fn failure(bench: &Bench, extra: &[&str], code: i32) -> String {
    let output = bench.run("out", extra).assert().failure().code(code);
    String::from_utf8_lossy(&output.get_output().stderr).into_owned()
}

fn replaced(from: &str, to: &str) -> Bench {
    assert!(SMALL.contains(from), "{from}");
    Bench::new(&SMALL.replacen(from, to, 1))
}

/// A copy of a demo checkpoint that a test may damage.
fn copied_checkpoint(bench: &Bench, name: &str) -> std::path::PathBuf {
    let (from, to) = (root().join("suites/demo").join(name), bench.out(name));
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    to
}

/// A bench whose fine-tuned checkpoint is a copy.
fn with_copy() -> (Bench, std::path::PathBuf) {
    let bench = Bench::new("");
    let folder = copied_checkpoint(&bench, "ft-noto");
    let suite = SMALL.replace("suites/demo/ft-noto", &folder.display().to_string());
    std::fs::write(bench.suite(), suite).unwrap();
    (bench, folder)
}

#[test]
fn mistakes_in_the_suite_come_together_with_their_places() {
    let text = SMALL
        .replace("track", "trak")
        .replace("wise-ft", "wise-tf")
        .replace("emoji-fluent-emoji-flat", "emoji-fluent-flat");
    let bench = Bench::new(&text);
    let log = failure(&bench, &[], 2).replace(&bench.suite().display().to_string(), "suite.toml");
    insta::assert_snapshot!("suite_mistakes", log);
    assert!(!bench.out("out").exists(), "nothing is evaluated before the whole file is checked");
}

/// What several recipes have in common is wrong once, and where it was written.
#[test]
fn mistakes_in_recipes_come_together_with_their_places() {
    let dir = tempfile::tempdir().unwrap();
    let recipes = "[recipe]\nfrom = \"zs\"\nout = \"made/{id}-{seed}\"\n\n[train]\nlr = \"fast\"\n\n[[data]]\ndataset = \"d\"\n\n\
                   [grid]\nseed = [1, 2]\n\n[[method]]\nmethod = \"fulll\"\n\n[[method]]\nmethod = \"l2-sp\"\npenaltyy = 0.5\n";
    std::fs::write(dir.path().join("recipes.toml"), recipes).unwrap();
    let assert = specbench().current_dir(dir.path()).args(["tune", "recipes.toml"]).assert().code(2);
    let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    for (place, part) in [
        ("recipes.toml:5:1", "`l2` needs `penalty`"),
        ("recipes.toml:6:6", "`lr` must be a number"),
        ("recipes.toml:15:10", "unknown method `fulll`"),
        ("recipes.toml:19:1", "`penaltyy`"),
    ] {
        assert!(log.contains(place) && log.contains(part), "{place}, {part} not in {log}");
    }
    assert_eq!(log.matches("error: ").count(), 4, "{log}");
}

#[test]
fn missing_files() {
    let log = specbench().args(["run", "no/such.toml"]).assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&log).contains("there is no file `no/such.toml`, and no built-in suite"));
    let log = failure(&replaced("suites/demo/ft-noto", "suites/demo/nowhere"), &[], 4);
    assert!(log.contains("checkpoint `ft-noto`") && log.contains("suites/demo/nowhere"), "{log}");
    let log = specbench().args(["report", "no/such/folder"]).assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&log).contains("manifest.json"));
    let bench = Bench::new(SMALL);
    let text = std::fs::read_to_string(root().join("datasets.toml")).unwrap();
    let text = text.replace("\"suites/", &format!("\"{}/suites/", root().display()));
    let text = text.replace("emoji/noto-val.parquet", "emoji/lost.parquet");
    std::fs::write(bench.out("datasets.toml"), text).unwrap();
    let registry = bench.out("datasets.toml").display().to_string();
    let log = failure(&bench, &["--registry", &registry], 4);
    assert!(log.contains("data set `emoji-noto` is missing") && log.contains("data build emoji"), "{log}");
}

#[test]
fn damaged_checkpoints() {
    let (bench, folder) = with_copy();
    let weights = folder.join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let log = failure(&bench, &[], 4);
    assert!(log.contains("checkpoint `ft-noto`") && log.contains("is not a whole weights file"), "{log}");

    // The last tensor's bytes as 0xFFFF: NaN in half precision.
    let mut poisoned = bytes.clone();
    poisoned.truncate(bytes.len() - 64);
    poisoned.extend([0xFF; 64]);
    std::fs::write(&weights, &poisoned).unwrap();
    let log = failure(&bench, &["--limit", "20"], 4);
    assert!(log.contains("values that are not finite") && log.contains("tensor `"), "{log}");

    std::fs::write(&weights, &bytes).unwrap();
    let config = folder.join("config.json");
    let text = std::fs::read_to_string(&config).unwrap().replacen("quick_gelu", "gelu_new", 1);
    std::fs::write(&config, text).unwrap();
    let log = failure(&bench, &[], 4);
    assert!(log.contains("config.json") && log.contains("gelu_new"), "{log}");
}

#[test]
fn checkpoints_of_different_shapes() {
    let (bench, folder) = with_copy();
    let config = folder.join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replacen("\"num_hidden_layers\": 4", "\"num_hidden_layers\": 3", 1);
    std::fs::write(&config, text).unwrap();
    // The weights hold a fourth layer, which must not be read past.
    let log = failure(&bench, &["--limit", "20"], 4);
    assert!(log.contains("checkpoint `ft-noto`") && log.contains("vision_model.encoder.layers.3."), "{log}");
    assert!(log.contains("too few layers"), "{log}");
}

/// A registry with a copy of a data set whose example 250 is damaged, and a suite that reads it.
fn with_corrupt_image(policy: &str) -> Bench {
    use specbench::base::table::Table;
    let bench = Bench::new("");
    let source = root().join("suites/emoji/noto-val.parquet");
    let table = Table::read(&source, None, None).unwrap();
    let mut images = table.bytes("image").unwrap();
    images[250].truncate(40);
    let mut damaged = Table::new(table.rows());
    damaged.push_strings("id", table.strings("id").unwrap()).unwrap();
    damaged.push_u32("label", table.u32s("label").unwrap()).unwrap();
    damaged.push_bytes("image", &images).unwrap();
    damaged.write(&bench.out("damaged.parquet")).unwrap();
    let absolute = |p: &str| root().join(p).display().to_string();
    let registry = format!(
        "[toys]\nsummary = \"x\"\nlayout = \"parquet\"\nlicence = \"x\"\norigin = \"x\"\nclasses = {:?}\n\
         templates = {:?}\n[toys.split.test]\nfiles = [\"damaged.parquet\"]\n",
        absolute("suites/emoji/classes.txt"),
        absolute("suites/templates/emoji.txt"),
    );
    std::fs::write(bench.out("datasets.toml"), registry).unwrap();
    let head = SMALL
        .split("[[probe]]")
        .next()
        .unwrap()
        .replace("track = \"clip\"", &format!("track = \"clip\"\ncorrupt = \"{policy}\""));
    let suite =
        head + "[[probe]]\nid = \"toys\"\ndataset = \"toys\"\nclasses = \"base\"\nrole = \"speciality\"\n";
    std::fs::write(bench.suite(), suite).unwrap();
    bench
}

#[test]
fn a_corrupt_image_stops_the_run_or_is_counted() {
    let bench = with_corrupt_image("fail");
    let registry = bench.out("datasets.toml").display().to_string();
    let log = failure(&bench, &["--registry", &registry], 4);
    assert!(log.contains("data set `toys/test`, example `noto/"), "{log}");
    assert!(log.contains("corrupt = \"skip\""), "{log}");

    let bench = with_corrupt_image("skip");
    let registry = bench.out("datasets.toml").display().to_string();
    let output = bench.run("out", &["--registry", &registry]).assert().success();
    let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(log.contains("left out"), "{log}");
    let manifest = specbench::store::Manifest::read(&bench.out("out")).unwrap();
    assert_eq!(manifest.skipped.len(), 1);
    assert_eq!(manifest.cells.iter().map(|c| c.examples).collect::<Vec<_>>(), [399; 3]);
    // The list is kept when the cells are reused.
    bench.run("out", &["--registry", &registry]).assert().success();
    assert_eq!(specbench::store::Manifest::read(&bench.out("out")).unwrap().skipped, manifest.skipped);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_a_message_and_keeps_what_is_finished() {
    // A file-size limit fails writes like a full disk, without needing one.
    let bench = Bench::new(SMALL);
    let script = format!(
        "ulimit -f 16; trap '' XFSZ; exec {} run {} --out {}",
        env!("CARGO_BIN_EXE_specbench"),
        bench.suite().display(),
        bench.out("out").display()
    );
    let output =
        std::process::Command::new("bash").current_dir(root()).args(["-c", &script]).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{log}");
    assert!(log.contains("cannot write `"), "{log}");
    bench.run("out", &[]).assert().success();
}

#[test]
fn usage() {
    for arguments in [
        &["frobnicate"][..],
        &["run"],
        &["run", "suites/demo.toml", "--shard", "3/2"],
        &["run", "suites/demo.toml", "--device", "tpu"],
    ] {
        let log = specbench().args(arguments).assert().code(2).get_output().stderr.clone();
        assert!(String::from_utf8_lossy(&log).contains("error"), "{arguments:?}");
    }
}

#[test]
fn a_changed_data_file_is_noticed() {
    let bench = Bench::new(SMALL);
    let folder = bench.out("data");
    std::fs::create_dir_all(&folder).unwrap();
    let text = std::fs::read_to_string(root().join("datasets.toml")).unwrap();
    let text = text.replace("\"suites/", &format!("\"{}/suites/", root().display()));
    let text = text.replacen(
        &format!("{}/suites/emoji/noto-test.parquet", root().display()),
        "noto-test.parquet",
        1,
    );
    std::fs::write(folder.join("datasets.toml"), text).unwrap();
    let mut bytes = std::fs::read(root().join("suites/emoji/noto-test.parquet")).unwrap();
    bytes.push(0);
    std::fs::write(folder.join("noto-test.parquet"), bytes).unwrap();
    let registry = folder.join("datasets.toml").display().to_string();
    let log = failure(&bench, &["--registry", &registry], 4);
    assert!(log.contains("noto-test.parquet") && log.contains("the registry says"), "{log}");
    specbench().args(["data", "verify", "emoji-noto", "--registry", &registry]).assert().code(4);
}
