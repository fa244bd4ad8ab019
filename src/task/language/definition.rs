//! Task files: YAML with lm-eval's field names, every key accounted for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::filter::Filter;
use crate::base::account::{Fields, Harmless};
use crate::base::digest::Digest;
use crate::base::fs::{FileError, located, read_text};

/// Why a task file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TaskFileError {
    /// It is not there.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what it should be.
    #[error("`{}`: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What is asked of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputType {
    /// Which of some continuations is likeliest.
    MultipleChoice,
    /// How likely one continuation is.
    Loglikelihood,
    /// How likely a whole text is.
    Rolling,
    /// What the model writes.
    Generate,
}

/// A field of a document: a column, a template, or the same for all.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// The name of a column, or a Jinja template.
    Text(String),
    /// Always the same.
    Fixed(Value),
}

/// A metric as the file lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricUse {
    /// Its name.
    pub name: String,
    /// Whether case counts for exact matches.
    pub ignore_case: bool,
    /// Whether punctuation counts.
    pub ignore_punctuation: bool,
    /// Whether digits count.
    pub ignore_numbers: bool,
    /// Patterns that are taken out first.
    pub regexes_to_ignore: Vec<String>,
}

/// How few-shot examples are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct FewShot {
    /// How many, unless the probe says otherwise.
    pub count: usize,
    /// The first ones rather than a draw.
    pub first: bool,
    /// The split they come from, if the file says.
    pub split: Option<String>,
    /// A column in which examples must equal the document; lm-eval has a task of its own for each value.
    pub matching: Option<String>,
    /// The examples themselves, if the file has them.
    pub samples: Option<Vec<Map<String, Value>>>,
}

/// A task as its file defines it.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// What is asked.
    pub output: OutputType,
    /// Local files by split, where the file names them.
    pub files: BTreeMap<String, Vec<PathBuf>>,
    /// Splits: training, validation, test.
    pub splits: [Option<String>; 3],
    /// The question.
    pub text: Field,
    /// The answer.
    pub target: Field,
    /// The choices.
    pub choice: Option<Field>,
    /// Before everything; a template.
    pub description: String,
    /// Between question and answer.
    pub target_delimiter: String,
    /// After an example.
    pub fewshot_delimiter: String,
    /// Beginning of the answer.
    pub gen_prefix: Option<String>,
    /// Few-shot examples.
    pub few_shot: FewShot,
    /// Metrics, the first being the main one.
    pub metrics: Vec<MetricUse>,
    /// Texts that end a generation.
    pub until: Vec<String>,
    /// New tokens at most.
    pub limit: usize,
    /// What is taken out of a generation, step by step.
    pub filters: Vec<Filter>,
    /// What words and bytes are counted on, if not on the target; a template.
    pub counted: Option<String>,
    /// A scorer of generations that is more than a comparison.
    pub scorer: Option<String>,
    /// Identifies all of this.
    pub digest: Digest,
}

/// What may be left over.
const LEFT: &[Harmless] = &[
    Harmless {
        names: &["tag", "task_alias", "metadata", "group", "group_alias"],
        reason: "names and versions",
    },
    Harmless {
        names: &["should_decontaminate", "doc_to_decontamination_query"],
        reason: "of a search for overlaps with training data, which is not made",
    },
    Harmless {
        names: &["dataset_path", "dataset_name"],
        reason: "where the data come from; the registry says where they are",
    },
];

/// lm-eval's limit of new tokens where a task does not say one (`max_gen_toks` of HFLM).
const NEW_TOKENS: usize = 256;

impl Definition {
    /// Reads a file and those that it includes.
    pub fn open(path: &Path) -> Result<Self, TaskFileError> {
        let json = load(path, 0)?;
        let invalid = |reason: String| TaskFileError::Invalid { path: path.to_owned(), reason };
        Self::read(&json, path.parent().unwrap_or(Path::new(""))).map_err(invalid)
    }

    /// As [`Definition::open`], of keys that are read already.
    #[cfg(test)]
    pub(crate) fn of_keys(keys: &Value) -> Result<Self, String> {
        Self::read(keys, Path::new(""))
    }

    fn read(json: &Value, folder: &Path) -> Result<Self, String> {
        let fields = Fields::new("", json)?;
        if let Some(members) = json.get("task").and_then(Value::as_array) {
            let names: Vec<&str> = members.iter().filter_map(Value::as_str).collect();
            return Err(format!("is a group of tasks; write a probe for each of {}", names.join(", ")));
        }
        let output = match fields.or("output_type", "generate_until".to_owned())?.as_str() {
            "multiple_choice" => OutputType::MultipleChoice,
            "loglikelihood" => OutputType::Loglikelihood,
            "loglikelihood_rolling" => OutputType::Rolling,
            "generate_until" => OutputType::Generate,
            other => return Err(format!("`output_type` is `{other}`, which is not supported")),
        };
        for key in
            ["process_docs", "custom_dataset", "use_prompt", "doc_to_image", "doc_to_audio", "unsafe_code"]
        {
            fields.only(key, &[json!(false), Value::Null])?;
        }
        fields.only("repeats", &[json!(1)])?;
        let split = |key: &str| fields.get::<String>(key);
        let description: Option<String> = fields.get("description")?;
        let (until, limit) = generation(&fields)?;
        let this = Self {
            name: fields.need("task")?,
            output,
            files: data_files(&fields, folder)?,
            splits: [split("training_split")?, split("validation_split")?, split("test_split")?],
            text: field(&fields, "doc_to_text")?.unwrap_or(Field::Fixed(json!(""))),
            target: field(&fields, "doc_to_target")?.ok_or("`doc_to_target` is missing")?,
            choice: field(&fields, "doc_to_choice")?,
            description: description.unwrap_or_default(),
            target_delimiter: fields.or("target_delimiter", " ".to_owned())?,
            fewshot_delimiter: fields.or("fewshot_delimiter", "\n\n".to_owned())?,
            gen_prefix: fields.get("gen_prefix")?,
            few_shot: few_shot(&fields)?,
            metrics: metrics(&fields, output)?,
            until,
            limit,
            filters: filters(&fields)?,
            counted: fields.get("count_on")?,
            scorer: scorer(&fields)?,
            digest: Digest::of_value(json),
        };
        if this.choice.is_none() && output == OutputType::MultipleChoice {
            return Err("`doc_to_choice` is missing".to_owned());
        }
        fields.finish(&[LEFT])?;
        Ok(this)
    }

    /// The split that is evaluated, unless the probe names one.
    #[must_use]
    pub fn evaluated(&self) -> &str {
        let [_, validation, test] = &self.splits;
        test.as_ref().or(validation.as_ref()).map_or("test", String::as_str)
    }

    /// The split that few-shot examples come from: the one the file names, else training, validation, test.
    #[must_use]
    pub fn examples(&self) -> Option<&str> {
        let [training, validation, test] = &self.splits;
        let own = self.few_shot.split.as_ref();
        own.or(training.as_ref()).or(validation.as_ref()).or(test.as_ref()).map(String::as_str)
    }
}

/// A YAML file as JSON, with what it includes below its own keys.
fn load(path: &Path, depth: usize) -> Result<Value, TaskFileError> {
    let invalid = |reason: String| TaskFileError::Invalid { path: path.to_owned(), reason };
    let text = read_text(path)?;
    let yaml: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).map_err(|e| invalid(e.to_string()))?;
    let mut json = plain(&yaml, "").map_err(invalid)?;
    let Value::Object(map) = &mut json else { return Err(invalid("is not a table of keys".to_owned())) };
    let Some(include) = map.remove("include") else { return Ok(json) };
    if depth > 8 {
        return Err(invalid("`include` goes round in circles".to_owned()));
    }
    let listed = include.as_array().map_or_else(|| vec![include.clone()], Clone::clone);
    let mut all = Map::new();
    // Later files over earlier ones, this file over all, as lm-eval merges them.
    for name in &listed {
        let name = name.as_str().ok_or_else(|| invalid("`include` must name files".to_owned()))?;
        if let Value::Object(below) = load(&path.parent().unwrap_or(Path::new("")).join(name), depth + 1)? {
            all.extend(below);
        }
    }
    all.extend(std::mem::take(map));
    Ok(Value::Object(all))
}

/// YAML as JSON; a Python function has no place in it.
fn plain(yaml: &serde_yaml_ng::Value, at: &str) -> Result<Value, String> {
    use serde_yaml_ng::Value as Yaml;
    Ok(match yaml {
        Yaml::Tagged(tagged) => {
            let what = tagged.value.as_str().unwrap_or_default();
            return Err(format!(
                "`{at}` is the Python function `{what}`, which cannot be run here; write it as a Jinja template"
            ));
        }
        Yaml::Sequence(all) => Value::Array(all.iter().map(|v| plain(v, at)).collect::<Result<_, _>>()?),
        Yaml::Mapping(all) => {
            let mut map = Map::new();
            for (key, value) in all {
                let key = match key {
                    Yaml::String(key) => key.clone(),
                    other => serde_yaml_ng::to_string(other).map_err(|e| e.to_string())?.trim().to_owned(),
                };
                let value = plain(value, &key)?;
                map.insert(key, value);
            }
            Value::Object(map)
        }
        other => serde_json::to_value(other).map_err(|e| format!("`{at}`: {e}"))?,
    })
}

fn field(fields: &Fields, key: &str) -> Result<Option<Field>, String> {
    Ok(match fields.value(key) {
        None => None,
        Some(Value::String(text)) => Some(Field::Text(text.clone())),
        Some(Value::Object(map)) => Some(Field::Fixed(Value::Array(map.values().cloned().collect()))),
        Some(other) => Some(Field::Fixed(other.clone())),
    })
}

/// `dataset_kwargs.data_files`: beside the task file, or else in the working folder.
fn data_files(fields: &Fields, folder: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>, String> {
    let Some(arguments) = fields.section("dataset_kwargs")? else { return Ok(BTreeMap::new()) };
    let mut all = BTreeMap::new();
    let list = |value: &Value| -> Vec<PathBuf> {
        let each = value.as_array().map_or_else(|| vec![value.clone()], Clone::clone);
        each.iter().filter_map(Value::as_str).map(|f| located(folder, Path::new(f))).collect()
    };
    match arguments.value("data_files") {
        Some(Value::Object(splits)) => all.extend(splits.iter().map(|(s, f)| (s.clone(), list(f)))),
        // `datasets` calls a split that has no name `train`.
        Some(other) => drop(all.insert("train".to_owned(), list(other))),
        None => {}
    }
    // They say how files are fetched, not what is in them.
    for key in ["trust_remote_code", "streaming", "revision"] {
        arguments.value(key);
    }
    arguments.finish(&[])?;
    Ok(all)
}

fn few_shot(fields: &Fields) -> Result<FewShot, String> {
    let mut this = FewShot {
        count: fields.or("num_fewshot", 0)?,
        first: false,
        split: fields.get("fewshot_split")?,
        matching: None,
        samples: None,
    };
    if let Some(section) = fields.section("fewshot_config")? {
        this.first = match section.or("sampler", "default".to_owned())?.as_str() {
            "default" => false,
            "first_n" => true,
            other => return Err(format!("the few-shot sampler `{other}` is not supported")),
        };
        this.split = section.get("split")?.or(this.split);
        this.samples = section.get("samples")?;
        this.matching = section.get("match")?;
        section.finish(&[])?;
    }
    Ok(this)
}

/// Metrics by output type, the first being the main one where the file lists none.
fn known(output: OutputType) -> &'static [&'static str] {
    match output {
        OutputType::MultipleChoice => &["acc", "acc_norm", "acc_bytes", "acc_mutual_info"],
        OutputType::Loglikelihood => &["perplexity", "acc", "inverse_perplexity", "token_loss"],
        OutputType::Rolling => &["word_perplexity", "byte_perplexity", "bits_per_byte", "inverse_perplexity"],
        OutputType::Generate => &[
            "exact_match",
            "f1",
            "rougeL",
            "prompt_level_strict_acc",
            "inst_level_strict_acc",
            "prompt_level_loose_acc",
            "inst_level_loose_acc",
        ],
    }
}

fn metrics(fields: &Fields, output: OutputType) -> Result<Vec<MetricUse>, String> {
    let listed: Vec<Value> = fields.or("metric_list", Vec::new())?;
    let mut all = Vec::new();
    for value in &listed {
        let one = Fields::new("metric_list", value)?;
        let name: String = one.need("metric")?;
        if !known(output).contains(&name.as_str()) {
            return Err(format!(
                "the metric `{name}` is not computed here; known: {}",
                known(output).join(", ")
            ));
        }
        // They follow from the metric.
        for key in ["aggregation", "higher_is_better", "weight_by_size"] {
            one.value(key);
        }
        all.push(MetricUse {
            name,
            ignore_case: one.or("ignore_case", false)?,
            ignore_punctuation: one.or("ignore_punctuation", false)?,
            ignore_numbers: one.or("ignore_numbers", false)?,
            regexes_to_ignore: one.or("regexes_to_ignore", Vec::new())?,
        });
        one.finish(&[])?;
    }
    if all.is_empty() {
        let name = known(output)[0].to_owned();
        all.push(MetricUse {
            name,
            ignore_case: false,
            ignore_punctuation: false,
            ignore_numbers: false,
            regexes_to_ignore: Vec::new(),
        });
    }
    Ok(all)
}

/// Stop texts and the limit. Generation is greedy: anything else is refused.
fn generation(fields: &Fields) -> Result<(Vec<String>, usize), String> {
    let Some(section) = fields.section("generation_kwargs")? else {
        return Ok((vec!["\n\n".to_owned()], NEW_TOKENS));
    };
    section.only("do_sample", &[json!(false)])?;
    section.only("temperature", &[json!(0), json!(0.0)])?;
    section.only("num_beams", &[json!(1)])?;
    let until = match section.value("until") {
        None => vec!["\n\n".to_owned()],
        Some(Value::String(one)) => vec![one.clone()],
        Some(_) => section.need("until")?,
    };
    let limit = match section.size("max_gen_toks")? {
        Some(limit) => limit,
        None => section.size("max_new_tokens")?.unwrap_or(NEW_TOKENS),
    };
    section.finish(&[])?;
    Ok((until, limit))
}

/// The steps of the one filter; several filters would be several results.
fn filters(fields: &Fields) -> Result<Vec<Filter>, String> {
    let listed: Vec<Value> = fields.or("filter_list", Vec::new())?;
    let [first, rest @ ..] = &listed[..] else { return Ok(Vec::new()) };
    if !rest.is_empty() {
        return Err("`filter_list` has several filters; write one task for each".to_owned());
    }
    let one = Fields::new("filter_list", first)?;
    one.value("name");
    let steps: Vec<Value> = one.need("filter")?;
    one.finish(&[])?;
    steps.iter().map(Filter::read).collect()
}

/// Scorers that are part of this program.
fn scorer(fields: &Fields) -> Result<Option<String>, String> {
    let found: Option<String> = fields.get("process_results")?;
    match found.as_deref() {
        None | Some("ifeval") => Ok(found),
        Some(other) => Err(format!("`process_results` is `{other}`; only `ifeval` is known here")),
    }
}
