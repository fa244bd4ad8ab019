//! Prompts of the shipped tasks against lm-evaluation-harness; `tests/golden/make_prompts.py` made the golden file.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use specbench::data::{Example, Record};
use specbench::task::language::{Definition, LanguageTask, Setting};
use specbench::task::{Ask, Context, Task as _};

use crate::support::root;

type Document = Map<String, Value>;

#[derive(Deserialize)]
struct Golden {
    tasks: BTreeMap<String, GoldenTask>,
}

#[derive(Deserialize)]
struct GoldenTask {
    pools: BTreeMap<String, Vec<Document>>,
    evaluated: String,
    shots: BTreeMap<usize, Vec<Asked>>,
}

#[derive(Deserialize)]
struct Asked {
    arguments: Vec<Vec<Value>>,
    gold: Value,
}

fn definition(name: &str) -> Arc<Definition> {
    Arc::new(Definition::open(&root().join("suites/tasks").join(format!("{name}.yaml"))).unwrap())
}

fn text(context: &Context) -> String {
    match context {
        Context::Text { shared, own } => format!("{shared}{own}"),
        Context::Chat { .. } => panic!("{context:?}"),
    }
}

/// What is asked, as lm-eval writes it down.
fn arguments(ask: &Ask) -> Vec<Vec<String>> {
    match ask {
        Ask::Likelihood(all) => all.iter().map(|r| vec![text(&r.context), r.continuation.clone()]).collect(),
        Ask::Rolling(whole) => vec![vec![whole.clone()]],
        Ask::Generate { context, .. } => vec![vec![text(context)]],
        Ask::Choose(_) => panic!("{ask:?}"),
    }
}

#[test]
fn prompts_of_shipped_tasks_are_lm_evals() {
    let bytes = std::fs::read(root().join("tests/golden/prompts.json")).unwrap();
    let golden: Golden = serde_json::from_slice(&bytes).unwrap();
    assert!(golden.tasks.len() >= 18);
    for (name, task) in golden.tasks {
        let definition = definition(&name);
        assert_eq!(definition.evaluated(), task.evaluated, "{name}");
        let documents: Vec<(String, Document)> =
            task.pools[&task.evaluated].iter().enumerate().map(|(i, d)| (i.to_string(), d.clone())).collect();
        for (shots, asked) in task.shots {
            let setting = Setting { few_shot: Some(shots), parity: true, ..Setting::default() };
            let pool = definition.examples().map(|s| task.pools[s].clone()).unwrap_or_default();
            let made = LanguageTask::new(Arc::clone(&definition), setting, &documents, (pool, None));
            let made = made.unwrap_or_else(|e| panic!("{name}: {e}"));
            for (i, right) in asked.iter().enumerate() {
                let question = made.question(i, Record::default()).unwrap();
                let ours = arguments(&question.ask);
                let theirs: Vec<Vec<String>> = right
                    .arguments
                    .iter()
                    .map(|a| a.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
                    .collect();
                assert_eq!(ours, theirs, "{name}, {shots} examples, document {i}");
                if let Some(gold) = right.gold.as_u64().filter(|_| theirs.len() > 1) {
                    let target = made.target(i, &Example { id: String::new(), label: 0 });
                    assert_eq!(target, Some(gold as u32), "{name}");
                }
            }
        }
    }
}

#[test]
fn every_shipped_task_is_read_and_names_known_metrics() {
    let folder = root().join("suites/tasks");
    let mut n = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let definition = Definition::open(&path).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(definition.name.as_str()));
        for metric in &definition.metrics {
            assert!(
                specbench::metric::METRICS.get(&metric.name).is_some(),
                "{}: {}",
                definition.name,
                metric.name
            );
        }
        n += 1;
    }
    assert!(n >= 20);
}

#[test]
fn what_a_task_file_says_and_is_not_followed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.yaml");
    let base = "task: t\noutput_type: multiple_choice\ntest_split: test\ndoc_to_text: q\ndoc_to_target: 0\ndoc_to_choice: [a, b]\n";
    let refused = |more: &str| {
        std::fs::write(&path, format!("{base}{more}")).unwrap();
        Definition::open(&path).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(refused(""), "");
    for (more, part) in [
        ("process_docs: !function utils.process\n", "Python function `utils.process`"),
        ("doc_to_txt: q\n", "`doc_to_txt`"),
        ("metric_list:\n  - metric: brier_score\n", "`brier_score`"),
        ("generation_kwargs:\n  temperature: 0.7\n", "temperature"),
        ("filter_list:\n  - name: a\n    filter: [{function: majority_vote}]\n", "majority_vote"),
        ("fewshot_config:\n  sampler: balanced\n", "balanced"),
        ("repeats: 3\n", "repeats"),
        ("include: missing.yaml\n", "missing.yaml"),
        ("include: t.yaml\n", "circles"),
        ("include: [missing.yaml]\n", "missing.yaml"),
    ] {
        let message = refused(more);
        assert!(message.contains(part), "{part} not in `{message}`");
    }
    std::fs::write(&path, "group: g\ntask: [arc_easy, piqa]\n").unwrap();
    let message = Definition::open(&path).unwrap_err().to_string();
    assert!(message.contains("a probe for each of arc_easy, piqa"), "{message}");
    // Later files over earlier ones, this one over all.
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("a.yaml", "task: a\ndescription: a\ntarget_delimiter: a\n");
    write("b.yaml", "task: b\ndescription: b\n");
    std::fs::write(&path, format!("{base}include: [a.yaml, b.yaml]\n")).unwrap();
    let merged = Definition::open(&path).unwrap();
    assert_eq!((&*merged.name, &*merged.description, &*merged.target_delimiter), ("t", "b", "a"));
}
