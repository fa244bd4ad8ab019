//! Language tasks as lm-evaluation-harness writes its results: `lm_eval/<variant>/results_specbench.json` and a
//! `samples_<probe>_specbench.jsonl` per probe (0.4.13, `loggers/evaluation_tracker.py`), for scripts that read those.
//!
//! Documents and prompts are not in them, since results do not hold them; standard errors are those of the report.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::assemble::ReportData;
use super::{CellScore, ReportError};
use crate::base::digest::Digest;
use crate::base::fs::write_atomic;
use crate::metric::METRICS;
use crate::store::{CellRecord, Predictions, ProbeRecord};

/// Stands for the date in file names: equal results are equal files.
const STAMP: &str = "specbench";

/// Writes the files of every variant that was asked a language task.
pub fn write(data: &ReportData, out: &Path) -> Result<(), ReportError> {
    let manifest = &data.manifest;
    for variant in &manifest.variants {
        let folder = out.join("lm_eval").join(&variant.id);
        let mut cells = Vec::new();
        for probe in manifest.probes.iter().filter(|p| p.spec.task.is_some()) {
            let key = (variant.id.clone(), probe.spec.id.clone());
            let (Some(record), Some(score)) = (manifest.cell(&key.0, &key.1), data.scores.get(&key)) else {
                continue;
            };
            let predictions = Predictions::read_record(out, record, probe.class_names.len())?;
            let lines: String = samples(&predictions, score).iter().map(|l| format!("{l}\n")).collect();
            write_atomic(&folder.join(format!("samples_{}_{STAMP}.jsonl", probe.spec.id)), lines.as_bytes())?;
            cells.push((probe, record, score, kind(&predictions)));
        }
        if cells.is_empty() {
            continue;
        }
        let mut text = serde_json::to_string_pretty(&results(data, &variant.id, &cells))
            .expect("plain data always has a JSON form");
        text.push('\n');
        write_atomic(&folder.join(format!("results_{STAMP}.json")), text.as_bytes())?;
    }
    Ok(())
}

/// The metrics of a cell that lm-eval has.
fn metrics(score: &CellScore) -> impl Iterator<Item = (&'static str, bool, &super::MetricValue)> {
    METRICS
        .items
        .iter()
        .filter(|m| m.reference().starts_with("lm-evaluation-harness"))
        .filter_map(|m| Some((m.name(), m.higher_is_better(), score.metric(m.name())?)))
}

/// The output type, by what was kept.
fn kind(predictions: &Predictions) -> &'static str {
    let has = |name: &str| predictions.numbers.iter().any(|n| n.0 == name);
    if predictions.texts.is_some() {
        "generate_until"
    } else if predictions.lists.iter().any(|l| l.0 == "loglikelihoods") {
        "multiple_choice"
    } else if has("words") {
        "loglikelihood_rolling"
    } else {
        "loglikelihood"
    }
}

type Cell<'a> = (&'a ProbeRecord, &'a CellRecord, &'a CellScore, &'static str);

fn results(data: &ReportData, variant: &str, cells: &[Cell<'_>]) -> Value {
    let by_task = |f: &dyn Fn(&Cell<'_>) -> Value| -> Map<String, Value> {
        cells.iter().map(|c| (c.0.spec.id.clone(), f(c))).collect()
    };
    let scores = |(probe, record, score, _): &Cell<'_>| {
        let mut all = Map::from_iter([
            ("alias".to_owned(), json!(probe.spec.id)),
            ("sample_len".to_owned(), json!(record.examples)),
        ]);
        for (name, _, value) in metrics(score) {
            all.insert(format!("{name},none"), json!(value.estimate.value));
            all.insert(format!("{name}_stderr,none"), json!(value.estimate.stderr));
        }
        Value::Object(all)
    };
    let better = |c: &Cell<'_>| {
        Value::Object(metrics(c.2).map(|(name, higher, _)| (name.to_owned(), json!(higher))).collect())
    };
    let config = |(probe, _, _, kind): &Cell<'_>| {
        json!({
            "task": probe.spec.id, "output_type": kind, "test_split": probe.spec.split,
            "num_fewshot": probe.spec.task.as_ref().and_then(|t| t.few_shot),
            "metric_list": [{"metric": probe.spec.metric}],
            "metadata": {"config_source": probe.spec.task.as_ref().map(|t| &t.file)},
        })
    };
    let samples = |c: &Cell<'_>| json!({"original": c.0.examples, "effective": c.1.examples});
    let source = data.manifest.checkpoints.iter().find(|c| c.id == variant).map(|c| c.source.as_str());
    json!({
        "results": by_task(&scores),
        "group_subtasks": {},
        "configs": by_task(&config),
        "higher_is_better": by_task(&better),
        "n-samples": by_task(&samples),
        "config": {
            "model": "specbench", "model_args": {"pretrained": variant, "source": source},
            "model_dtype": data.manifest.numerics.dtype,
        },
        "model_name": variant,
        "lm_eval_version": Value::Null,
        "specbench_version": data.manifest.version,
    })
}

/// One line per example.
fn samples(predictions: &Predictions, score: &CellScore) -> Vec<Value> {
    let named: Vec<&str> = metrics(score).map(|m| m.0).collect();
    let likelihoods = predictions.lists.iter().find(|l| l.0 == "loglikelihoods").map(|l| &l.1);
    let number = |name: &str, i: usize| predictions.numbers.iter().find(|n| n.0 == name).map(|n| n.1[i]);
    let list = |name: &str, i: usize| predictions.lists.iter().find(|l| l.0 == name).map(|l| &l.1[i]);
    let line = |i: usize| {
        let id = &predictions.example_id[i];
        let responses: Vec<Value> = match (likelihoods, &predictions.texts) {
            (Some(all), _) => all[i].iter().map(|nats| json!([nats.to_string(), "False"])).collect(),
            (None, Some(texts)) => vec![json!(texts[i])],
            (None, None) => number("nats", i).map(|n| vec![json!((-n).to_string())]).unwrap_or_default(),
        };
        let mut all = Map::from_iter([
            ("doc_id".to_owned(), json!(i)),
            ("doc".to_owned(), json!({"id": id})),
            ("target".to_owned(), json!(predictions.label[i].to_string())),
            ("resps".to_owned(), responses.iter().map(|r| json!([r])).collect()),
            ("filtered_resps".to_owned(), Value::Array(responses)),
            ("filter".to_owned(), json!("none")),
            ("metrics".to_owned(), json!(named)),
            ("doc_hash".to_owned(), json!(Digest::of_bytes(id.as_bytes()))),
        ]);
        // Of each example what lm-eval aggregates: a number, parts of a ratio, or a list of verdicts.
        let parts = |above: &str, below: &str| Some(json!([-number(above, i)?, number(below, i)?]));
        for name in &named {
            let value = match *name {
                "word_perplexity" => parts("nats", "words"),
                "byte_perplexity" | "bits_per_byte" => parts("nats", "bytes"),
                "token_loss" | "inverse_perplexity" => parts("nats", "tokens"),
                "perplexity" => number("nats", i).map(|n| json!(-n)),
                "prompt_level_strict_acc" => number("prompt_strict", i).map(|n| json!(n == 1.0)),
                "prompt_level_loose_acc" => number("prompt_loose", i).map(|n| json!(n == 1.0)),
                "inst_level_strict_acc" => {
                    list("strict", i).map(|l| l.iter().map(|v| json!(*v == 1.0)).collect())
                }
                "inst_level_loose_acc" => {
                    list("loose", i).map(|l| l.iter().map(|v| json!(*v == 1.0)).collect())
                }
                other => number(other, i).map(|n| json!(n)),
            };
            all.extend(value.map(|v| ((*name).to_owned(), v)));
        }
        Value::Object(all)
    };
    (0..predictions.example_id.len()).map(line).collect()
}
