//! The gate's workflow, step by step as a runner would take them, in a repository that is not this one. `gh` and `cargo` are stubs
//! that write down how they were called; git and the program are real.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml_ng::Value;

use crate::support::{Bench, SMALL, root};

/// A checkout with its origin, and what the stubs were told.
struct Repository {
    bench: Bench,
    workflow: Value,
}

/// What `${{ … }}` may name.
type Context = BTreeMap<String, String>;

impl Repository {
    fn new() -> Self {
        let bench = Bench::new(&SMALL.replace("suites/demo/ft-noto", "tuned"));
        let text = std::fs::read_to_string(root().join("suites/gate/github-workflow.yml")).unwrap();
        let this = Self { bench, workflow: serde_yaml_ng::from_str(&text).unwrap() };
        let stub = |name: &str, body: &str| {
            let path = this.home().join(".cargo/bin").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
            #[cfg(unix)]
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        };
        // The first comment is none that could be edited.
        stub(
            "gh",
            "echo \"$@\" >> \"$HOME/gh\"; case \"$*\" in *--edit-last*) test -f \"$HOME/commented\";; *) touch \"$HOME/commented\";; esac",
        );
        let program = assert_cmd::cargo::cargo_bin("specbench");
        stub(
            "cargo",
            &format!("echo \"$@\" >> \"$HOME/cargo\"; cp {program:?} \"$HOME/.cargo/bin/specbench\""),
        );
        this.sh("git init -q --bare ../origin.git && git init -q -b main . && git remote add origin ../origin.git");
        let demo = root().join("suites/demo");
        let suite = std::fs::read_to_string(this.bench.suite()).unwrap();
        std::fs::write(this.file("suite.toml"), suite.replace("suites/demo", demo.to_str().unwrap()))
            .unwrap();
        let recipe = format!(
            "[recipe]\nid = \"tuned\"\nmethod = \"l2-sp\"\nfrom = {:?}\nout = \"tuned\"\nclasses = \"base\"\n[train]\nsteps = 2\n\
             batch = 16\nlr = 1e-4\npenalty = 0.1\n[[data]]\ndataset = \"emoji-noto\"\nsplit = \"val\"\n",
            demo.join("zero-shot"),
        );
        std::fs::write(this.file("recipe.toml"), recipe).unwrap();
        std::fs::write(this.file(".gitignore"), "tuned/\nreports/\n.cache/\njunit.xml\nsummary.md\n")
            .unwrap();
        this.sh("git add -A && git -c user.name=x -c user.email=x@y commit -qm start && git push -q -u origin main");
        this
    }

    fn home(&self) -> PathBuf {
        self.bench.out("home")
    }

    fn file(&self, name: &str) -> PathBuf {
        let folder = self.bench.out("checkout");
        std::fs::create_dir_all(&folder).unwrap();
        folder.join(name)
    }

    fn told(&self, stub: &str) -> String {
        std::fs::read_to_string(self.home().join(stub)).unwrap_or_default()
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-eo", "pipefail", "-c", script]).current_dir(self.file("."));
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("HOME", self.home()).env("PATH", format!("{}/.cargo/bin:{path}", self.home().display()));
        command.env("GITHUB_SHA", "0123456789abcdef").env("NO_COLOR", "1");
        command
    }

    fn sh(&self, script: &str) -> String {
        let output = self.command(script).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Takes the steps of an event whose condition holds; those that only others' actions take are passed over. Gives the name of
    /// the step that failed first and what it said, if one did.
    fn take(&self, event: &str) -> Option<(String, String)> {
        let job = &self.workflow["jobs"]["gate"];
        let mut context = Context::from(
            [
                ("github.server_url", "https://host"),
                ("github.event_name", event),
                ("github.event.pull_request.number", "12"),
                ("github.event.pull_request.head.repo.full_name", "owner/name"),
                ("github.repository", "owner/name"),
                ("github.token", "secret"),
                ("steps.program.outputs.cache-hit", ""),
            ]
            .map(|(a, b)| (a.to_owned(), b.to_owned())),
        );
        let own = [
            ("SUITE", "suite.toml"),
            ("RECIPE", "recipe.toml"),
            ("PROGRAM", "owner/specbench"),
            ("REVISION", "abc"),
        ];
        for (key, value) in job["env"].as_mapping().unwrap() {
            let key = key.as_str().unwrap();
            let own = own.iter().find(|o| o.0 == key).map(|o| o.1);
            context.insert(format!("env.{key}"), own.unwrap_or(value.as_str().unwrap()).to_owned());
        }
        let mut failed = None;
        for step in job["steps"].as_sequence().unwrap() {
            let Some(script) = step["run"].as_str() else { continue };
            let condition = step["if"].as_str().unwrap_or("");
            if !holds(condition, &context) || failed.is_some() && !condition.contains("always()") {
                continue;
            }
            let mut command = self.command(&filled(script, &context));
            command.envs(context.iter().filter_map(|(k, v)| Some((k.strip_prefix("env.")?, v))));
            for (key, value) in step["env"].as_mapping().into_iter().flatten() {
                command.env(key.as_str().unwrap(), filled(value.as_str().unwrap(), &context));
            }
            let output = command.output().unwrap();
            if !output.status.success() {
                let name = step["name"].as_str().unwrap_or(script);
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                failed = failed.or(Some((name.to_owned(), said)));
            }
        }
        failed
    }
}

/// A text with `${{ … }}` replaced.
fn filled(text: &str, context: &Context) -> String {
    let mut parts = text.split("${{");
    let mut all = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").expect("closed");
        all.push_str(context.get(name.trim()).unwrap_or_else(|| panic!("`{name}` is not known here")));
        all.push_str(rest);
    }
    all
}

/// Whether a condition of comparisons holds.
fn holds(condition: &str, context: &Context) -> bool {
    let value = |side: &str| match side.trim().strip_prefix('\'') {
        Some(text) => text.trim_end_matches('\'').to_owned(),
        None => context.get(side.trim()).unwrap_or_else(|| panic!("`{side}` is not known here")).clone(),
    };
    condition.split("&&").all(|part| match part.trim() {
        "" | "always()" => true,
        part => match part.split_once("!=") {
            Some((a, b)) => value(a) != value(b),
            None => part.split_once("==").is_some_and(|(a, b)| value(a) == value(b)),
        },
    })
}

#[test]
fn the_gates_workflow_does_what_it_says_step_by_step() {
    if Command::new("git").arg("--version").output().is_err()
        || Command::new("bash").arg("-c").arg("").output().is_err()
    {
        println!("skipped: it needs git and bash");
        return;
    }
    let repository = Repository::new();
    // The main branch becomes the baseline, once.
    assert_eq!(repository.take("push"), None);
    assert_eq!(
        repository.told("cargo"),
        "install --locked --git https://host/owner/specbench --rev abc specbench\n"
    );
    let log = || repository.sh("git -C ../origin.git log --format=%s main");
    assert_eq!(log(), "Baseline of 0123456789ab [skip ci]\nstart\n");
    assert_eq!(repository.take("push"), None);
    assert_eq!(log().lines().count(), 2, "nothing changed, nothing is pushed");
    // A pull request that changes nothing passes, with one comment that is edited the second time.
    assert_eq!(repository.take("pull_request"), None);
    assert!(repository.file("junit.xml").is_file());
    let summary = std::fs::read_to_string(repository.file("summary.md")).unwrap();
    assert!(summary.contains("pass"), "{summary}");
    assert_eq!(repository.take("pull_request"), None);
    let edit = "pr comment 12 --edit-last --body-file summary.md\n";
    let first = format!("{edit}pr comment 12 --body-file summary.md\n");
    assert_eq!(repository.told("gh"), format!("{first}{edit}"));
    // One that loses generality is stopped by the gate, and still has its comment.
    let recipe = std::fs::read_to_string(repository.file("recipe.toml")).unwrap();
    let worse = recipe.replace("lr = 1e-4", "lr = 0.05").replace("penalty = 0.1", "penalty = 0.0");
    std::fs::write(repository.file("recipe.toml"), worse).unwrap();
    assert_eq!(repository.take("pull_request").map(|f| f.0).as_deref(), Some("gate"));
    let summary = std::fs::read_to_string(repository.file("summary.md")).unwrap();
    assert!(summary.to_lowercase().contains("regression"), "{summary}");
    assert_eq!(repository.told("gh"), format!("{first}{edit}{edit}"));
    assert_eq!(log().lines().count(), 2, "a pull request blesses nothing");
}

/// Every action and command of both workflows is one that is known here: a new one is looked at first.
#[test]
fn workflows_use_what_is_known() {
    let known = ["actions/checkout@v4", "actions/cache@v4", "actions/upload-artifact@v4"];
    for file in [".github/workflows/release.yml", "suites/gate/github-workflow.yml"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let workflow: Value = serde_yaml_ng::from_str(&text).unwrap();
        for (_, job) in workflow["jobs"].as_mapping().unwrap() {
            assert!(job["timeout-minutes"].is_number(), "{file}");
            for step in job["steps"].as_sequence().unwrap() {
                let uses = step["uses"].as_str();
                assert!(uses.is_none_or(|u| known.contains(&u)), "{file}: {uses:?}");
                assert!(uses.is_some() != step["run"].is_string(), "{file}: {step:?}");
                if let Some(script) = step["run"].as_str() {
                    parses(file, script);
                }
            }
        }
    }
}

/// Whether bash can read a script, with any text for what a runner fills in.
fn parses(file: &str, script: &str) {
    let filled: String = script
        .split("${{")
        .enumerate()
        .map(|(i, p)| if i == 0 { p } else { p.split_once("}}").unwrap().1 })
        .collect();
    let path = Path::new("bash");
    let Ok(output) = Command::new(path).args(["-n", "-c", &filled]).output() else { return };
    assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
}
