//! Faults, other writers, other people's files: nothing finished is lost, nothing foreign is believed.

use std::path::Path;
use std::process::Stdio;

use assert_cmd::assert::Assert;

use crate::support::{Bench, SMALL, assert_same, contents, specbench};

fn log(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

#[test]
fn secrets_stay_out_of_files() {
    let bench = Bench::new(SMALL);
    bench.run("out", &["--limit", "20", "--hub-token", "hf_secret"]).assert().success();
    bench.run("two", &["--limit", "20", "--hub-token=hf_secret"]).assert().success();
    for name in ["out", "two"] {
        let manifest = std::fs::read_to_string(bench.out(name).join("manifest.json")).unwrap();
        assert!(!manifest.contains("hf_secret") && manifest.contains("***"));
    }
}

#[test]
fn two_runs_on_one_folder_are_one_result() {
    let bench = Bench::new(SMALL);
    bench.run("alone", &["--limit", "60"]).assert().success();
    let both = std::thread::scope(|scope| {
        let start = |extra: &'static str| {
            let mut command = bench.run("shared", &["--limit", "60", extra]);
            scope.spawn(move || command.assert().success())
        };
        let (a, b) = (start("--quiet"), start("--no-cache"));
        (a.join().unwrap(), b.join().unwrap())
    });
    drop(both);
    let again = bench.run("shared", &["--limit", "60"]).assert().success();
    assert!(log(&again).contains("12 results, 12 finished before"), "{}", log(&again));
    assert_same(&bench.out("alone"), &bench.out("shared"));
}

#[test]
fn finished_cells_outlive_another_limit() {
    let bench = Bench::new(SMALL);
    bench.run("out", &["--limit", "60"]).assert().success();
    // Only one cell is measured with the smaller limit; the others keep their files, and count again.
    bench.run("out", &["--limit", "20", "--only", "ft-noto/flat"]).assert().success();
    let again = bench.run("out", &["--limit", "60"]).assert().success();
    assert!(log(&again).contains("12 results, 11 finished before, 60 predictions"), "{}", log(&again));
}

#[test]
fn damaged_parts_are_evaluated_again_and_fresh_begins_from_nothing() {
    let bench = Bench::new(SMALL);
    bench.run("whole", &[]).assert().success();
    bench.run("out", &["--shard", "1/2"]).assert().success();
    let mut parts = Vec::new();
    let mut open = vec![bench.out("out").join(".parts")];
    while let Some(folder) = open.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                parts.push(path);
            }
        }
    }
    assert!(!parts.is_empty());
    for part in &parts {
        let mut bytes = std::fs::read(part).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        std::fs::write(part, bytes).unwrap();
    }
    let joined = bench.run("out", &[]).assert().success();
    assert!(log(&joined).contains("is damaged; evaluated again"), "{}", log(&joined));
    assert_same(&bench.out("whole"), &bench.out("out"));
    let fresh = bench.run("out", &["--fresh", "--limit", "30"]).assert().success();
    assert!(log(&fresh).contains("0 finished before"), "{}", log(&fresh));
}

#[test]
fn edited_results_are_refused() {
    let bench = Bench::new(SMALL);
    bench.run("out", &["--limit", "20"]).assert().success();
    bench.run("other", &["--limit", "20"]).assert().success();
    let file = bench.out("out").join("predictions/ft-noto/flat.parquet");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (out, baseline) = (bench.out("out"), bench.out("base.json"));
    let edited = |arguments: &[&Path], command: &str| {
        let mut program = specbench();
        program.arg(command).args(arguments);
        let refused = program.assert().code(3);
        assert!(log(&refused).contains("is not the file that the run wrote"), "{}", log(&refused));
    };
    edited(&[&out], "report");
    edited(&[&out, &bench.out("other")], "compare");
    edited(&[&out, Path::new("--to"), &baseline], "bless");
    // A run finds the cell unfinished and measures it again.
    bench.run("out", &["--limit", "20"]).assert().success();
    assert_same(&bench.out("out"), &bench.out("other"));
}

#[test]
fn a_folder_without_results_is_not_measured() {
    let bench = Bench::new(SMALL);
    bench.run("out", &["--limit", "20"]).assert().success();
    let baseline = bench.out("base.json");
    specbench().arg("bless").arg(bench.out("out")).arg("--to").arg(&baseline).assert().success();
    std::fs::create_dir(bench.out("empty")).unwrap();
    specbench().arg("check").arg(bench.out("empty")).arg("--baseline").arg(&baseline).assert().code(4);
    for (flag, value) in
        [("--tolerance", "nan"), ("--tolerance", "5"), ("--significance", "0"), ("--significance", "2")]
    {
        let mut command = specbench();
        command.arg("check").arg(bench.out("out")).arg("--baseline").arg(&baseline).args([flag, value]);
        assert!(log(&command.assert().code(2)).contains("must be from"));
    }
    // A part of the cells is not all of them.
    bench.run("part", &["--limit", "20", "--only", "ft-noto@0.4/*"]).assert().success();
    let part =
        specbench().arg("check").arg(bench.out("part")).arg("--baseline").arg(&baseline).assert().code(4);
    assert!(log(&part).contains("`ft-noto` on probe `flat` is only in the first"), "{}", log(&part));
}

#[test]
fn the_machines_surroundings_stop_nothing() {
    for value in ["1", "TRUE", "", "false"] {
        let mut command = specbench();
        command
            .env("GITHUB_ACTIONS", value)
            .env("GITHUB_STEP_SUMMARY", "")
            .env("HF_HUB_CACHE", "")
            .env("HF_TOKEN", "");
        command.args(["list", "metrics"]).assert().success();
    }
    let many = specbench().args(["--threads", "100000", "list", "metrics"]).assert().success();
    assert!(log(&many).contains("100000 threads are asked for"), "{}", log(&many));
    #[cfg(target_os = "linux")]
    {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let program = assert_cmd::cargo::cargo_bin("specbench");
        let mut command = std::process::Command::new(program);
        command.current_dir(crate::support::root()).args(["list", "metrics"]).stdout(Stdio::from(full));
        assert_eq!(command.output().unwrap().status.code(), Some(5));
    }
}

#[cfg(unix)]
#[test]
fn arguments_that_are_no_text_work() {
    use std::os::unix::ffi::OsStrExt as _;
    let bench = Bench::new(SMALL);
    let name = std::ffi::OsStr::from_bytes(b"o\xffut");
    let mut command = specbench();
    command.arg("run").arg(bench.suite()).arg("--out").arg(bench.dir.path().join(name));
    command.args(["--limit", "10", "--no-cache"]).assert().success();
}

/// A registry and a suite over a folder of images.
fn folder_bench(corrupt: &str) -> Bench {
    let bench = Bench::new("");
    let registry = format!(
        "[toys]\nsummary = \"x\"\nlayout = \"image-folder\"\nlicence = \"x\"\norigin = \"x\"\nclasses = {:?}\n\
         template = \"a {{}}.\"\n[toys.split.test]\nfiles = [{:?}]\nexamples = 6\n",
        bench.out("names.txt"),
        bench.out("images"),
    );
    std::fs::write(bench.out("datasets.toml"), registry).unwrap();
    std::fs::write(bench.out("names.txt"), "\u{feff}dog\r\ncat\r\n").unwrap();
    let suite = format!(
        "[suite]\nname = \"toys\"\ncorrupt = {corrupt:?}\n[[checkpoint]]\nid = \"clip\"\nrole = \"pretrained\"\nsource = \
         \"suites/demo/zero-shot\"\n[[probe]]\nid = \"toys\"\ndataset = \"toys\"\nrole = \"generality\"\n[stats]\n\
         resamples = 100\n",
    );
    std::fs::write(bench.suite(), suite).unwrap();
    bench
}

#[test]
fn replaced_pictures_are_other_data_and_missing_ones_are_said() {
    use specbench::image::Rgb;
    let bench = folder_bench("skip");
    let registry = bench.out("datasets.toml");
    let run = |out: &str| bench.run(out, &["--registry", registry.to_str().unwrap()]).assert().success();
    let write = |name: &str, shade: u8| {
        let path = bench.out("images").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Uncompressed, so that all have one size.
        let mut bytes = b"P6 16 16 255\n".to_vec();
        bytes.extend(Rgb::filled(16, 16, [shade, 255 - shade, 7]).data);
        std::fs::write(path, bytes).unwrap();
    };
    for (i, name) in ["cat/0.ppm", "cat/1.ppm", "dog/0.ppm", "dog/1.ppm"].into_iter().enumerate() {
        write(name, 40 * i as u8);
    }
    let first = run("out");
    assert!(log(&first).contains("4 of 6 examples are here"), "{}", log(&first));
    let read =
        || specbench::store::Predictions::read(&bench.out("out/predictions/clip/toys.parquet")).unwrap();
    let before = read();
    // The names' order is dog, cat, whatever the folders' is.
    assert_eq!(before.label, [0, 0, 1, 1]);
    let again = run("out");
    assert!(log(&again).contains("1 finished before"), "{}", log(&again));
    write("cat/0.ppm", 250);
    let changed = run("out");
    assert!(log(&changed).contains("0 finished before"), "{}", log(&changed));
    assert_ne!(read().top_logits, before.top_logits);
}

#[test]
fn nothing_left_is_not_measured() {
    let bench = folder_bench("skip");
    std::fs::create_dir_all(bench.out("images/cat")).unwrap();
    std::fs::write(bench.out("images/cat/0.png"), "no image").unwrap();
    let registry = bench.out("datasets.toml");
    let failed = bench.run("out", &["--registry", registry.to_str().unwrap()]).assert().code(4);
    assert!(log(&failed).contains("no example is left"), "{}", log(&failed));
}

#[test]
fn damaged_manifests_and_baselines_are_messages() {
    use specbench::base::rng::CounterRng;
    let bench = Bench::new(SMALL);
    bench.run("out", &["--limit", "20"]).assert().success();
    let baseline = bench.out("base.json");
    specbench().arg("bless").arg(bench.out("out")).arg("--to").arg(&baseline).assert().success();
    let manifest = bench.out("out/manifest.json");
    let stream = CounterRng::new(3, "results");
    for (number, (file, whole)) in
        (0..400).map(|i| (i, if i % 2 == 0 { (&manifest, "manifest") } else { (&baseline, "baseline") }))
    {
        let text = std::fs::read(file).unwrap();
        let bytes = crate::mutations::mutate(&text, &mut stream.stream(number));
        std::fs::write(file, bytes).unwrap();
        let message = if whole == "manifest" {
            specbench::report::ReportData::load(&bench.out("out")).err().map(|e| e.to_string())
        } else {
            specbench::compare::Side::of_baseline(file).err().map(|e| e.to_string())
        };
        assert!(message.is_none_or(|m| !m.is_empty()));
        std::fs::write(file, text).unwrap();
    }
    // Script in a name reaches no page.
    let text =
        std::fs::read_to_string(&manifest).unwrap().replace("\"full\"", "\"<script>alert('x')</script>\"");
    std::fs::write(&manifest, text).unwrap();
    specbench().arg("report").arg(bench.out("out")).assert().success();
    let page = String::from_utf8(contents(&bench.out("out"))["report.html"].clone()).unwrap();
    // The page's own script and data begin two; the name is text wherever it stands.
    assert_eq!(page.matches("<script").count(), 2, "a script of a name's is in the page");
    assert!(!page.contains("<script>alert"), "a script of a name's is in the page");
}
