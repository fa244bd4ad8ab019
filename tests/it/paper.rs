//! What a paper takes from a results folder: figures of its width, tables for LaTeX, numbers for pandas.

use std::path::Path;
use std::process::Command;

use crate::support::{Bench, SMALL, root, specbench};

fn measured() -> Bench {
    let bench = Bench::new(SMALL);
    bench.run("out", &["--limit", "60"]).assert().success();
    bench
}

#[test]
fn figures_hold_their_text_at_the_width_that_is_printed() {
    let bench = measured();
    let out = bench.out("out");
    let report = |width: &str, font: &str| {
        specbench().arg("report").arg(&out).args(["--figure-width", width, "--font-size", font]).assert()
    };
    report("3.25in", "8pt").success();
    for figure in ["frontier", "frontier-logit", "alpha", "probes", "shifts"] {
        let file = |ending: &str| out.join("figures").join(format!("{figure}.{ending}"));
        let svg = std::fs::read_to_string(file("svg")).unwrap();
        let head = svg.split('>').next().unwrap();
        let points: f64 =
            head.split("width=\"").nth(1).unwrap().split("pt\"").next().unwrap().parse().unwrap();
        assert!((points - 234.0).abs() < 1.0, "{figure}: {head}");
        // Axes are labelled in 8 points: 12.1 units of which 354 make the width.
        assert!(svg.contains("font-size=\"12.09"), "{figure}");
        let png = image::open(file("png")).unwrap();
        assert!(png.width().abs_diff(975) < 5, "{figure}: {}", png.width());
        assert!(std::fs::read(file("pdf")).unwrap().starts_with(b"%PDF-"), "{figure}");
    }
    // The page keeps figures for a screen.
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<svg width=\"760\"") && !page.contains("pt\" height"));
    let refused = report("2furlongs", "8pt").code(2);
    let text = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(text.contains("`2furlongs` is no length; write one such as 3.25in"), "{text}");
    let narrow = report("1in", "10pt").code(2);
    let text = String::from_utf8_lossy(&narrow.get_output().stderr).into_owned();
    assert!(text.contains("it needs 215 to"), "{text}");
}

/// Runs a program that need not be there; `None`, and a line that says so, where it is not.
#[expect(clippy::print_stdout, reason = "says that it skips")]
fn ran(program: &str, probe: &[&str], arguments: &[&str], folder: &Path) -> Option<std::process::Output> {
    let there = Command::new(program).args(probe).output().is_ok_and(|o| o.status.success());
    if !there {
        println!("skipped: `{program} {}` does not run here", probe.join(" "));
        return None;
    }
    Some(Command::new(program).args(arguments).current_dir(folder).output().unwrap())
}

#[test]
fn the_recipe_for_pandas_draws_the_frontier() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let script = readme.split("```python\n").nth(1).and_then(|t| t.split("```").next()).unwrap();
    let bench = measured();
    let script = script.replace("reports/demo", &bench.out("out").display().to_string());
    let file = bench.dir.path().join("frontier.py");
    std::fs::write(&file, format!("import matplotlib\nmatplotlib.use('Agg')\n{script}")).unwrap();
    let probe = ["-c", "import pandas, matplotlib"];
    let Some(output) = ran("python3", &probe, &[file.to_str().unwrap()], bench.dir.path()) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let drawn = image::open(bench.dir.path().join("frontier.png")).unwrap();
    assert!(drawn.width() > 300);
}

#[test]
fn tables_are_taken_by_latex() {
    let bench = measured();
    let mut text =
        String::from("\\documentclass[twocolumn]{article}\\usepackage{booktabs,graphicx}\\begin{document}\n");
    let mut labels = Vec::new();
    for entry in std::fs::read_dir(bench.out("out/tables")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "tex") {
            let table = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(table.contains(&format!("\\label{{tab:{name}}}")), "{table}");
            labels.push(name);
            text += &table;
        }
    }
    assert!(labels.len() >= 6 && text.contains("\\mathbf{"), "{labels:?}");
    text += "\\end{document}\n";
    let file = bench.dir.path().join("all.tex");
    std::fs::write(&file, text).unwrap();
    let arguments = ["-halt-on-error", "-interaction=nonstopmode", "all.tex"];
    let Some(output) = ran("pdflatex", &["--version"], &arguments, bench.dir.path()) else { return };
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{log}");
    // Nothing sticks out of its column by more than a hair.
    let far = |line: &&str| {
        let points = line.strip_prefix("Overfull \\hbox (").and_then(|r| r.split("pt").next());
        points.is_some_and(|p| p.parse::<f64>().unwrap() > 2.0)
    };
    assert!(!log.lines().any(|l| far(&l)), "{log}");
}

#[test]
fn several_runs_stand_on_one_page() {
    let bench = measured();
    bench.run("other", &["--limit", "50"]).assert().success();
    let page = bench.dir.path().join("runs.html");
    let report = || {
        let mut command = specbench();
        command.arg("report").arg(bench.out("out")).arg(bench.out("other"));
        command
    };
    let refused = report().assert().code(2);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("name it with `--html FILE`"));
    report().arg("--html").arg(&page).assert().success();
    let text = std::fs::read_to_string(&page).unwrap();
    for part in ["<h2>Leaderboard</h2>", "other: ft-noto", "out: ft-noto", "<td>ft-noto</td>", "id=\"data\""]
    {
        assert!(text.contains(part), "{part}");
    }
    assert!(text.contains("`noto`: other measured 50 examples, out 60."), "{text}");
    let same = bench.dir.path().join("compare.html");
    let mut command = specbench();
    command
        .arg("compare")
        .arg(bench.out("out"))
        .arg(bench.out("out"))
        .arg("--html")
        .arg(&same)
        .assert()
        .success();
    let text = std::fs::read_to_string(&same).unwrap();
    assert!(
        text.contains("0 rose and 0 fell beyond chance") && text.contains("<th>difference</th>"),
        "{text}"
    );
}
