//! Documents with questions and answers: a task file by their columns.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Drafted, InitError, InitRequest, named};
use crate::base::fs::FileError;
use crate::data::{LAYOUTS, LayoutOptions, Record};

/// What a prompt may be called, in the order in which it is looked for.
const PROMPTS: [&str; 6] = ["question", "prompt", "instruction", "input", "query", "text"];
/// What choices may be called.
const CHOICES: [&str; 3] = ["choices", "options", "endings"];
/// What a right answer may be called.
const ANSWERS: [&str; 9] =
    ["answer", "target", "label", "gold", "output", "completion", "response", "answerKey", "answer_idx"];
/// Endings of files with documents.
const ENDINGS: [&str; 5] = ["jsonl", "json", "csv", "parquet", "ndjson"];

/// Task file and probes of a folder, or of one file.
pub(super) fn draft(request: &InitRequest, name: &str) -> Result<Drafted, InitError> {
    let unfit = |reason: String| InitError::Unfit { path: request.data.clone(), reason };
    let files = documents(&request.data)?;
    let is_test = |p: &&PathBuf| stem(p).contains("test");
    let is_train = |p: &&PathBuf| stem(p).contains("train");
    let file = files.iter().find(is_test).or_else(|| files.iter().find(|p| !is_train(p))).or(files.first());
    let Some(file) = file else {
        let endings = ENDINGS.map(|e| format!(".{e}")).join(", ");
        return Err(unfit(format!("holds no documents ({endings}), which a language model is asked about")));
    };
    let first = first(file)?;
    let has = |names: &[&str]| names.iter().copied().find(|n| first.contains_key(*n)).map(str::to_owned);
    let columns = || first.keys().cloned().collect::<Vec<_>>().join(", ");
    let (Some(prompt), Some(answer)) = (has(&PROMPTS), has(&ANSWERS)) else {
        return Err(unfit(format!(
            "holds documents with the columns {}; a prompt ({}) and an answer ({}) are needed. Write a task file as \
             lm-eval's are, and name it in a probe with `task`",
            columns(),
            PROMPTS.join(", "),
            ANSWERS.join(", ")
        )));
    };
    let choices = has(&CHOICES);
    let task = match &choices {
        Some(choices) => multiple_choice(&prompt, choices, &answer, &first),
        None => format!(
            "output_type: loglikelihood\ndoc_to_text: \"{{{{{prompt}}}}}\\n\"\ndoc_to_target: \"{{{{{answer}}}}}\"\n\
             metric_list: [{{metric: inverse_perplexity}}]\n"
        ),
    };
    let data = named(file, &request.out);
    let task = format!(
        "# Written by `specbench init`, with lm-eval's keys.\ntask: {name}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    \
         test: {data}\ntest_split: test\n{task}"
    );
    let how =
        if choices.is_some() { "a multiple-choice question" } else { "a prompt whose answer is scored" };
    let remarks = vec![format!("each document of `{}` is {how} (columns {})", file.display(), columns())];
    let task_file = format!("{name}_task.yaml");
    Ok(Drafted { registry: None, probes: probes(name, &task_file), files: vec![(task_file, task)], remarks })
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn documents(path: &Path) -> Result<Vec<PathBuf>, InitError> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|e| FileError::new("read", path, e))?;
    let fits = |p: &PathBuf| p.extension().is_some_and(|e| ENDINGS.iter().any(|known| e == *known));
    let mut all: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(fits).collect();
    all.sort();
    Ok(all)
}

/// The first document of a file.
fn first(file: &Path) -> Result<Map<String, Value>, InitError> {
    let layout = LAYOUTS.get("records").expect("a layout of this program");
    let data = layout.open(&[file.to_owned()], &LayoutOptions::default())?;
    Ok(data.read(0..1)?.into_iter().next().map(Record::into_document).unwrap_or_default())
}

/// A question with choices; the answer is a place among them, a letter, or a choice itself.
fn multiple_choice(prompt: &str, choices: &str, answer: &str, first: &Map<String, Value>) -> String {
    let nested = first.get(choices).and_then(Value::as_object);
    let list = if nested.is_some_and(|c| c.contains_key("text")) {
        format!("{choices}.text")
    } else {
        choices.to_owned()
    };
    let target = match first.get(answer) {
        Some(Value::String(_)) if nested.is_some_and(|c| c.contains_key("label")) => {
            format!("\"{{{{{choices}.label.index({answer})}}}}\"")
        }
        Some(Value::String(text)) if text.len() == 1 && text.chars().all(|c| c.is_ascii_uppercase()) => {
            format!("\"{{{{'ABCDEFGHIJ'.find({answer})}}}}\"")
        }
        Some(Value::String(_)) => format!("\"{{{{{list}.index({answer})}}}}\""),
        _ => answer.to_owned(),
    };
    // A text that ends in a question of its own is left as it is.
    let asks = first.get(prompt).and_then(Value::as_str).is_some_and(|t| t.trim_end().ends_with(':'));
    let text =
        if asks { format!("{{{{{prompt}}}}}") } else { format!("Question: {{{{{prompt}}}}}\\nAnswer:") };
    format!(
        "output_type: multiple_choice\ndoc_to_text: \"{text}\"\ndoc_to_target: {target}\n\
         doc_to_choice: \"{{{{{list}}}}}\"\nmetric_list: [{{metric: acc}}, {{metric: acc_norm}}]\n"
    )
}

fn probes(name: &str, task: &str) -> String {
    format!(
        "# What the fine-tuning was for.\n[[probe]]\nid = \"{name}\"\ntask = \"{task}\"\nrole = \"speciality\"\n\n\
         # What it may have cost. These questions come with the program, so that there is something to see; put tasks that matter\n\
         # to you in their place (tasks known by name: arc_easy, piqa, hellaswag, ifeval and more).\n[[probe]]\nid = \"animals\"\n\
         task = \"suites/lm_demo/animals.yaml\"\nrole = \"generality\"\n"
    )
}
