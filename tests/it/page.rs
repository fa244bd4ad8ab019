//! The report's page in a browser without a window. Skipped, saying so, where there is no Chromium.

use std::process::Command;

use crate::support::{Bench, SMALL};

/// The first Chromium that can be started.
fn chromium() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let starts = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    names.into_iter().find(starts)
}

/// Points at a model, sorts a table downwards, searches it, chooses a probe; the title says what came of it.
const VISIT: &str = r##"<script>
window.addEventListener("error", (e) => { document.title = "error: " + e.message; });
setTimeout(() => {
  const points = document.querySelectorAll("#explore .point");
  points[2].dispatchEvent(new Event("mouseenter"));
  const tip = document.getElementById("tip").textContent;
  const table = document.querySelector("#table-frontier").parentElement.querySelectorAll("table.data");
  const frontier = [...table].find((t) => t.tHead.textContent.includes("speciality") && t.tHead.textContent.includes("variant"));
  const head = [...frontier.tHead.rows[0].cells].findIndex((c) => c.textContent === "alpha");
  const alphas = () => [...frontier.tBodies[0].rows].map((r) => r.cells[head].textContent);
  frontier.tHead.rows[0].cells[head].click();
  const up = alphas();
  frontier.tHead.rows[0].cells[head].click();
  const down = alphas();
  const select = document.querySelector("#explore select");
  select.value = select.options[select.options.length - 1].value;
  select.dispatchEvent(new Event("change"));
  const after = document.querySelectorAll("#explore .point").length;
  const by = document.querySelector("select[aria-label='wrong by']");
  const examples = [...document.querySelectorAll("details.view .examples > *")];
  by.value = "ft-noto@0.4";
  by.dispatchEvent(new Event("change"));
  const left = examples.filter((e) => !e.hidden);
  const mistakes = [examples.length, left.length, left.filter((e) => e.dataset.along[1] === "0").length];
  const wrong = document.title.startsWith("error") || document.title.includes("EVIL");
  document.title = wrong ? document.title : JSON.stringify({ points: points.length, after, tip, up, down, mistakes });
}, 100);
</script>"##;

#[test]
fn the_page_can_be_explored_and_runs_nothing_that_a_name_says() {
    let Some(browser) = chromium() else {
        println!("skipped: no chromium can be started");
        return;
    };
    let evil = r#"method = "<img src=x onerror=document.title='EVIL'></script>""#;
    let bench = Bench::new(&SMALL.replace("method = \"full\"", evil));
    bench.run("out", &["--limit", "30"]).assert().success();
    let page = std::fs::read_to_string(bench.out("out/report.html")).unwrap();
    for foreign in ["http://", "https://"] {
        let linked = page.matches(&format!("src=\"{foreign}")).count()
            + page.matches(&format!("href=\"{foreign}")).count();
        assert_eq!(linked, 0, "the page needs the network");
    }
    let visited = bench.out("visited.html");
    std::fs::write(&visited, page.replace("</body>", &format!("{VISIT}</body>"))).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"])
        .arg(format!("file://{}", visited.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let title = dom.split("<title>").nth(1).and_then(|t| t.split("</title>").next()).unwrap_or_default();
    let seen: serde_json::Value = serde_json::from_str(title).unwrap_or_else(|_| panic!("{title}"));
    assert_eq!((&seen["points"], &seen["after"]), (&3.into(), &3.into()));
    let tip = seen["tip"].as_str().unwrap();
    assert!(tip.contains("alpha 0.4") && tip.contains("speciality ") && tip.contains('['), "{tip}");
    // Of the examples that the fine-tuned model lost, those that the one in between has wrong as well.
    let mistakes: [usize; 3] = serde_json::from_value(seen["mistakes"].clone()).unwrap();
    assert!(mistakes[0] > mistakes[1] && mistakes[1] > 0 && mistakes[1] == mistakes[2], "{mistakes:?}");
    assert_eq!(seen["up"], serde_json::json!(["0", "0.4", "1"]));
    assert_eq!(seen["down"], serde_json::json!(["1", "0.4", "0"]));
}
