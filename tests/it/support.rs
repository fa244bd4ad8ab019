//! Helpers: the program, small suites over the embedded data, and comparing results folders.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// The program, started in the repository's root.
pub(crate) fn specbench() -> Command {
    let mut command = Command::cargo_bin("specbench").expect("the program is built with the tests");
    command.current_dir(root()).env("NO_COLOR", "1");
    command
}

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A number from the environment that makes a test longer.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
}

/// A suite over the embedded data, small enough for a test: three alphas, three probes.
pub(crate) const SMALL: &str = r#"
[suite]
name = "small"
track = "clip"
[[checkpoint]]
id = "zero-shot"
role = "pretrained"
source = "suites/demo/zero-shot"
[[checkpoint]]
id = "ft-noto"
role = "finetuned"
method = "full"
source = "suites/demo/ft-noto"
[[sweep]]
merge = "wise-ft"
from = "zero-shot"
to = ["ft-noto"]
alphas = [0.4]
[[probe]]
id = "noto"
dataset = "emoji-noto"
classes = "base"
role = "speciality"
[[probe]]
id = "novel"
dataset = "emoji-noto"
classes = "novel"
role = "generality"
metric = "mean-per-class"
[[probe]]
id = "flat"
dataset = "emoji-fluent-emoji-flat"
role = "generality"
[[probe]]
id = "val"
dataset = "emoji-noto"
split = "val"
classes = "base"
role = "selection"
[stats]
resamples = 200
"#;

/// A folder with a suite file in it.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new(suite: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("suite.toml"), suite).expect("a writable folder");
        Self { dir }
    }

    pub(crate) fn suite(&self) -> PathBuf {
        self.dir.path().join("suite.toml")
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `specbench run` on the suite into the folder `out`.
    pub(crate) fn run(&self, out: &str, extra: &[&str]) -> Command {
        let mut command = specbench();
        command
            .arg("run")
            .arg(self.suite())
            .arg("--out")
            .arg(self.out(out))
            .arg("--cache")
            .arg(self.out("crops"));
        command.args(extra);
        command
    }
}

/// All files below a folder with their bytes, by relative path. Of the manifest, the wall times and
/// the command line are left out: they differ between equal runs.
pub(crate) fn contents(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("below").display().to_string();
            let mut bytes = std::fs::read(&path).expect("a readable file");
            if name == "manifest.json" {
                let mut json: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
                json.as_object_mut().expect("an object").retain(|k, _| k != "timing" && k != "command");
                bytes = serde_json::to_vec(&json).expect("JSON");
            }
            all.insert(name, bytes);
        }
    }
    all
}

/// Asserts that two results folders hold the same files.
pub(crate) fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (contents(a), contents(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        assert!(bytes == &b[name], "`{name}` differs");
    }
}

/// Weights under CLIP's names, whatever their layout.
pub fn clip_weights(
    path: &std::path::Path,
) -> Result<specbench::checkpoint::StateDict, specbench::checkpoint::CheckpointError> {
    specbench::checkpoint::StateDict::open_as(path, &specbench::model::clip::ClipNames)
}
