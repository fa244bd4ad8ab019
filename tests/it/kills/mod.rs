//! A run that is ended at one file operation after the other: the next run's results are those of an uninterrupted one,
//! and nothing is left behind. CI visits some operations; `SPECBENCH_KILL_STRIDE=1 cargo test --release kills` all.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Bench, SMALL, assert_same, contents, root, setting};

/// Compiles the library that counts and kills; `None` where the loader knows no `LD_PRELOAD`.
fn library(folder: &Path) -> Option<std::path::PathBuf> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let file = folder.join("libkill_at.so");
    let compiler = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let source = root().join("tests/it/kills/kill_at.rs");
    let mut compile = Command::new(compiler);
    compile.args(["--edition", "2021", "--crate-type", "cdylib", "-O", "-o"]).arg(&file).arg(source);
    let output = compile.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(file)
}

/// `specbench run` into a folder that is then called `out`; `kill` names the operation at which it ends.
fn run(bench: &Bench, library: &Path, kill: Option<u64>) -> std::process::ExitStatus {
    let mut command = Command::new(env!("CARGO_BIN_EXE_specbench"));
    command.current_dir(root()).arg("run").arg(bench.suite()).args(["--limit", "12", "--threads", "1"]);
    command.arg("--out").arg(bench.out("out")).arg("--cache").arg(bench.out("crops"));
    if let Some(at) = kill {
        command.env("LD_PRELOAD", library).env("SPECBENCH_KILL_AT", at.to_string());
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

#[test]
fn killed_at_each_file_operation_and_run_again() {
    use std::os::unix::process::ExitStatusExt as _;
    let bench = Bench::new(SMALL);
    let Some(library) = library(bench.dir.path()) else {
        println!("skipped: no LD_PRELOAD on this system");
        return;
    };
    let stride = setting("SPECBENCH_KILL_STRIDE", 29);
    let clear = || {
        for folder in ["out", "crops"] {
            let _ = std::fs::remove_dir_all(bench.out(folder));
        }
    };
    assert!(run(&bench, &library, None).success());
    std::fs::rename(bench.out("out"), bench.out("whole")).unwrap();
    let crops: Vec<String> = contents(&bench.out("crops")).into_keys().collect();

    let mut kills = 0;
    for at in (1..).step_by(usize::try_from(stride).unwrap()) {
        clear();
        let status = run(&bench, &library, Some(at));
        if status.success() {
            break;
        }
        assert_eq!(status.signal(), Some(9), "operation {at}: {status}");
        assert!(run(&bench, &library, None).success(), "after a kill at operation {at}");
        assert_same(&bench.out("whole"), &bench.out("out"));
        let kept: Vec<String> = contents(&bench.out("crops")).into_keys().collect();
        assert_eq!(kept, crops, "operation {at}");
        kills += 1;
    }
    println!("{kills} kills");
    assert!(kills > 100 / stride, "{kills} kills: are file operations seen?");
}
