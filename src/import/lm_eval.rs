//! The output folders of lm-evaluation-harness: `results_DATE.json` and, with `--log_samples`, `samples_TASK_DATE.jsonl`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::names::plain;
use super::{Format, Found, ImportError, Rows, files, objects};
use crate::base::digest::Digest;
use crate::base::registry::Named;
use crate::metric::METRICS;
use crate::store::{Predictions, Stated};
use crate::task::TOP;

/// The format.
pub struct LmEval;

impl Named for LmEval {
    fn name(&self) -> &'static str {
        "lm-eval"
    }
    fn summary(&self) -> &'static str {
        "results_*.json, with the examples of samples_*.jsonl where they are"
    }
    fn reference(&self) -> &'static str {
        "EleutherAI/lm-evaluation-harness 0.4.13, loggers/evaluation_tracker.py"
    }
}

/// Metrics that are means of a number of each example, and the name of that number.
const MEANS: [(&str, &str); 9] = [
    ("acc", "acc"),
    ("acc_norm", "acc_norm"),
    ("acc_bytes", "acc_bytes"),
    ("acc_mutual_info", "acc_mutual_info"),
    ("exact_match", "exact_match"),
    ("f1", "f1"),
    ("rougeL", "rougeL"),
    ("prompt_level_strict_acc", "prompt_strict"),
    ("prompt_level_loose_acc", "prompt_loose"),
];
/// Metrics that are shares of instructions, and the name of the number that are followed.
const SHARES: [(&str, &str); 2] =
    [("inst_level_strict_acc", "followed_strict"), ("inst_level_loose_acc", "followed_loose")];

impl Format for LmEval {
    fn read(&self, paths: &[PathBuf]) -> Result<(Vec<Found>, Vec<String>), ImportError> {
        let named = |name: &str| name.starts_with("results") && name.ends_with(".json");
        // Later runs of a model and task replace earlier ones; names begin with the date.
        let mut newest: BTreeMap<(String, String), (String, Found)> = BTreeMap::new();
        let mut order: Vec<(String, String)> = Vec::new();
        let mut left_out = Vec::new();
        for path in files(paths, &named)? {
            let bad = |reason: String| ImportError::Unreadable { path: path.clone(), reason };
            let json = objects(&path)?.into_iter().next().unwrap_or_default();
            let date = date_of(&path);
            for found in run(&path, &json, &date, &mut left_out).map_err(bad)? {
                let key = (found.variant.clone(), found.probe.clone());
                match newest.get(&key) {
                    Some((other, _)) if *other >= date => {
                        left_out.push(format!("`{}` on `{}` of {date}: there is a newer run", key.0, key.1));
                        continue;
                    }
                    Some((other, _)) => {
                        left_out.push(format!("`{}` on `{}` of {other}: there is a newer run", key.0, key.1));
                    }
                    None => order.push(key.clone()),
                }
                newest.insert(key, (date.clone(), found));
            }
        }
        let all = order.iter().filter_map(|key| newest.remove(key)).map(|(_, found)| found).collect();
        Ok((all, left_out))
    }
}

fn date_of(path: &Path) -> String {
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    stem.strip_prefix("results").unwrap_or(stem).trim_start_matches('_').to_owned()
}

/// The model of a run: the last part of what it was loaded from.
fn model(json: &Map<String, Value>) -> Option<String> {
    let config = json.get("config").and_then(Value::as_object);
    let arguments = config.and_then(|c| c.get("model_args"));
    // `--model_args` as lm-eval keeps them: `key=value,…`, or an object.
    let argument = |key: &str| match arguments? {
        Value::String(all) => {
            all.split(',').find_map(|a| Some(a.trim().strip_prefix(key)?.strip_prefix('=')?.to_owned()))
        }
        other => Some(other.get(key)?.as_str()?.to_owned()),
    };
    let text = |map: Option<&Map<String, Value>>, key: &str| {
        map.and_then(|m| m.get(key)).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
    };
    // `config.model` is a kind of model (`hf`), or a path where the model was given as an object.
    let path = text(config, "model").filter(|m| m.contains('/'));
    // An adapter is the model that was evaluated.
    let whole = argument("peft").or_else(|| argument("pretrained")).or(path);
    let whole = whole.or_else(|| text(Some(json), "model_name"))?;
    whole.trim_end_matches('/').rsplit('/').next().map(plain)
}

/// The tasks of one file.
fn run(
    path: &Path,
    json: &Map<String, Value>,
    date: &str,
    left_out: &mut Vec<String>,
) -> Result<Vec<Found>, String> {
    let variant = model(json).ok_or("says no model (`config.model_args`, `model_name` or `config.model`)")?;
    let object = |key: &str| json.get(key).and_then(Value::as_object);
    let results = object("results").ok_or("has no `results`")?;
    let configs = object("configs");
    let mut all = Vec::new();
    for (task, scores) in results {
        let Some(config) = configs.and_then(|c| c.get(task)) else {
            left_out.push(format!("`{task}` of `{variant}`: a group of tasks, which are read one by one"));
            continue;
        };
        let scores = scores.as_object().ok_or_else(|| format!("the scores of `{task}` are no object"))?;
        let n = json.get("n-samples").and_then(|n| n.get(task)?.get("effective")?.as_u64());
        let n = n.or_else(|| scores.get("sample_len").and_then(Value::as_u64)).map(|n| n as usize);
        let filtered = by_filter(scores, n);
        let only = filtered.len() == 1;
        for (filter, stated) in filtered {
            let probe = if only || filter == "none" { task.clone() } else { format!("{task}-{filter}") };
            let known: Vec<(&'static str, Stated)> =
                stated.iter().filter_map(|(m, s)| Some((known(m)?, s.clone()))).collect();
            for (metric, _) in stated.iter().filter(|(m, _)| METRICS.get(m).is_none()) {
                left_out.push(format!("`{metric}` of `{variant}` on `{probe}`: not a metric here"));
            }
            if known.is_empty() {
                left_out.push(format!("`{variant}` on `{probe}`: no score of which higher is better"));
                continue;
            }
            let samples = path.with_file_name(format!("samples_{task}_{date}.jsonl"));
            let rows = if samples.is_file() {
                let lines = objects(&samples).map_err(|e| e.to_string())?;
                let kind = config.get("output_type").and_then(Value::as_str).unwrap_or_default();
                Some(
                    rows(&lines, &filter, kind, known[0].0)
                        .map_err(|e| format!("`{}`: {e}", samples.display()))?,
                )
            } else {
                None
            };
            all.push(Found { variant: variant.clone(), probe: plain(&probe), scores: known, rows });
        }
    }
    Ok(all)
}

/// A metric that can be an axis.
fn known(metric: &str) -> Option<&'static str> {
    METRICS.get(metric).filter(|m| m.higher_is_better()).map(Named::name)
}

/// Scores by filter, as `metric,filter` keys say.
fn by_filter(scores: &Map<String, Value>, n: Option<usize>) -> BTreeMap<String, Vec<(String, Stated)>> {
    let mut all: BTreeMap<String, Vec<(String, Stated)>> = BTreeMap::new();
    for (key, value) in scores {
        let Some((metric, filter)) = key.split_once(',') else { continue };
        let Some(value) = value.as_f64().filter(|_| !metric.ends_with("_stderr")) else { continue };
        let stderr = scores.get(&format!("{metric}_stderr,{filter}")).and_then(Value::as_f64);
        all.entry(filter.to_owned()).or_default().push((metric.to_owned(), Stated { value, stderr, n }));
    }
    all
}

/// The examples of a task, in the order of its documents.
fn rows(lines: &[Map<String, Value>], filter: &str, kind: &str, main: &str) -> Result<Rows, String> {
    let mut own: Vec<&Map<String, Value>> = lines
        .iter()
        .filter(|l| l.get("filter").and_then(Value::as_str).is_none_or(|f| f == filter))
        .collect();
    own.sort_by_key(|l| l.get("doc_id").and_then(Value::as_u64));
    let mut made = Predictions::default();
    let mut hashes = Vec::new();
    let mut likelihoods = Vec::new();
    let choices = kind == "multiple_choice";
    for line in &own {
        let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
        let id = line.get("doc_id").and_then(Value::as_u64).ok_or("a line has no `doc_id`")?;
        hashes.push(text("doc_hash").to_owned());
        made.example_id.push(id.to_string());
        if choices {
            likelihoods.push(nats(line)?);
        } else {
            let right = number(line.get(main)).ok_or_else(|| format!("document {id} has no `{main}`"))?;
            made.label.push(0);
            made.prediction.push(u32::from(right < 1.0));
            made.loss.push((1.0 - right) as f32);
            made.score.push(1.0);
        }
    }
    let mut outputs = vec!["right".to_owned(), "wrong".to_owned()];
    if choices {
        let most = likelihoods.iter().map(Vec::len).max().unwrap_or(0);
        outputs = (1..=most).map(|i| format!("choice {i}")).collect();
        for (line, own) in own.iter().zip(&likelihoods) {
            choice(line, own, &mut made)?;
        }
        made.lists.push(("loglikelihoods".to_owned(), likelihoods));
    } else if own.iter().all(|l| l.get("filtered_resps").is_some_and(|r| r[0].is_string())) {
        let written =
            |l: &&Map<String, Value>| l["filtered_resps"][0].as_str().unwrap_or_default().to_owned();
        made.texts = Some(own.iter().map(written).collect());
    }
    made.k = outputs.len().min(TOP);
    made.numbers = numbers(&own);
    top(&mut made);
    Ok(Rows { predictions: made, outputs, questions: Digest::of_value(&hashes).to_string() })
}

/// Numbers of metrics that every example has.
fn numbers(own: &[&Map<String, Value>]) -> Vec<(String, Vec<f64>)> {
    let all = |f: &dyn Fn(&Map<String, Value>) -> Option<f64>| {
        own.iter().map(|l| f(l)).collect::<Option<Vec<f64>>>()
    };
    let mut found = Vec::new();
    for (metric, name) in MEANS {
        found.extend(all(&|l| number(l.get(metric))).map(|v| (name.to_owned(), v)));
    }
    let count = |l: &Map<String, Value>, metric: &str| Some(l.get(metric)?.as_array()?.len() as f64);
    let followed = |l: &Map<String, Value>, metric: &str| {
        let list = l.get(metric)?.as_array()?;
        list.iter().map(|v| number(Some(v))).sum::<Option<f64>>()
    };
    for (metric, name) in SHARES {
        found.extend(all(&|l| followed(l, metric)).map(|v| (name.to_owned(), v)));
    }
    found.extend(all(&|l| count(l, SHARES[0].0)).map(|v| ("instructions".to_owned(), v)));
    found
}

fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::String(text) => text.parse().ok(),
        other => other.as_f64(),
    }
}

/// Log-likelihood of each choice; with `acc_mutual_info` the ones without context follow, which are not choices.
fn nats(line: &Map<String, Value>) -> Result<Vec<f64>, String> {
    let all = line.get("filtered_resps").and_then(Value::as_array).ok_or("a line has no `filtered_resps`")?;
    let one = |pair: &Value| {
        number(pair.get(0))
            .or_else(|| number(pair[0].get(0)))
            .ok_or("a response is no log-likelihood".to_owned())
    };
    let nats: Vec<f64> = all.iter().map(one).collect::<Result<_, String>>()?;
    let doubled = line.contains_key("acc_mutual_info") && nats.len().is_multiple_of(2);
    Ok(if doubled { nats[..nats.len() / 2].to_vec() } else { nats })
}

/// Label, prediction and loss of a choice.
fn choice(line: &Map<String, Value>, nats: &[f64], made: &mut Predictions) -> Result<(), String> {
    let best = nats.iter().enumerate().fold(0, |best, (i, v)| if *v > nats[best] { i } else { best });
    let target = line.get("target").map(|t| t.as_str().map_or_else(|| t.to_string(), str::to_owned));
    let target = target.unwrap_or_default();
    let asked = |i: usize| {
        let argument = line.get("arguments")?.get(format!("gen_args_{i}"))?.get("arg_1")?.as_str()?;
        Some(argument.trim().to_owned())
    };
    let place = target.parse().ok().filter(|i| *i < nats.len());
    let place = place.or_else(|| (0..nats.len()).find(|i| asked(*i).as_deref() == Some(target.trim())));
    let label = place.ok_or_else(|| format!("the target `{target}` is none of {} choices", nats.len()))?;
    let most = nats.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = nats.iter().map(|v| (v - most).exp()).sum();
    made.label.push(label as u32);
    made.prediction.push(best as u32);
    made.score.push((1.0 / total) as f32);
    made.loss.push((total.ln() + most - nats[label]) as f32);
    Ok(())
}

/// The likeliest outputs of each row, as our own runs keep them.
fn top(made: &mut Predictions) {
    let likelihoods = made.lists.iter().find(|l| l.0 == "loglikelihoods").map(|l| &l.1);
    for (i, prediction) in made.prediction.iter().enumerate() {
        let mut ranked: Vec<(u32, f32)> = match likelihoods {
            Some(all) => all[i].iter().enumerate().map(|(c, v)| (c as u32, *v as f32)).collect(),
            None => vec![(*prediction, 1.0), (1 - prediction, 0.0)],
        };
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked.resize(made.k, (u32::MAX, f32::NEG_INFINITY));
        made.top_classes.extend(ranked.iter().map(|r| r.0));
        made.top_logits.extend(ranked.iter().map(|r| r.1));
    }
}
