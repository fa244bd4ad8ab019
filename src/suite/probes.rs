//! Probes of a suite file.

use std::collections::BTreeMap;

use super::names::read_id;
use super::spec::{CorruptionSpec, ProbeRole, ProbeSpec, TaskSpec};
use crate::base::config::{Located, Section, Span};
use crate::catalog::{Catalog, CatalogError};
use crate::data::ClassSubset;
use crate::image::corruptions::CORRUPTIONS;
use crate::metric::{METRICS, Metric};
use crate::task::language::Definition;

/// All probes.
pub fn read(root: &Section<'_>, catalog: &Catalog) -> Vec<ProbeSpec> {
    let mut seen = BTreeMap::new();
    root.sections("probe").iter().filter_map(|s| read_probe(s, &mut seen, catalog)).collect()
}

fn read_probe(
    section: &Section<'_>,
    seen: &mut BTreeMap<String, Span>,
    catalog: &Catalog,
) -> Option<ProbeSpec> {
    let id = read_id(section, seen, "probe");
    let (task, definition) = read_task(section, catalog).unzip();
    // A task that names its own files, or whose name is a data set's, needs no `dataset`.
    let dataset = match &definition {
        Some(d) => {
            let named = Located { value: d.name.clone(), span: section.span.clone() };
            Some(section.text("dataset").unwrap_or(named))
        }
        None => section.required_text("dataset"),
    };
    let split = section.text("split");
    let default = definition.as_ref().map_or("test", |d| d.evaluated()).to_owned();
    if definition.as_ref().is_none_or(|d| d.files.is_empty()) {
        check_data(section, catalog, dataset.as_ref(), split.as_ref(), &default);
    }
    let role = section.required_choice("role", &ProbeRole::CHOICES);
    let group = section.text("group").map(|g| g.value).unwrap_or_default();
    let metric = section.text("metric");
    metric.iter().for_each(|m| check_metric(section, m));
    let classes = section.choice("classes", &ClassSubset::CHOICES).map_or(ClassSubset::All, |c| c.value);
    let limit = section.count("limit");
    if let Some(limit) = limit.as_ref().filter(|l| l.value == 0) {
        section.note(limit.span.clone(), "`limit = 0` leaves nothing to measure", None);
    }
    let templates = section.text("templates").map(|t| t.value);
    let cluster = section.text("cluster").map(|c| c.value);
    let corruption = section.text("corruption").and_then(|text| read_corruption(section, &text));
    section.finish();
    Some(ProbeSpec {
        id: id?,
        dataset: dataset?.value,
        split: split.map_or(default, |s| s.value),
        role: role?.value,
        group,
        metric: metric.map_or_else(|| main_metric(definition.as_ref()), |m| m.value),
        classes,
        limit: limit.map(|l| l.value as usize),
        templates,
        cluster,
        corruption,
        task,
    })
}

/// What `task` names, and how prompts are put together.
fn read_task(section: &Section<'_>, catalog: &Catalog) -> Option<(TaskSpec, Definition)> {
    let file = section.text("task")?;
    let few_shot = section.count("few_shot").map(|c| c.value as usize);
    let chat = section.flag("chat").is_some_and(|f| f.value);
    let system = section.text("system").map(|s| s.value);
    let parity = section.choice("parity", &[("lm-eval", true)]).is_some();
    match Definition::open(&catalog.task_file(&file.value)) {
        Ok(definition) => Some((TaskSpec { file: file.value, few_shot, chat, system, parity }, definition)),
        Err(error) => {
            section.note(file.span, error.to_string(), Some(catalog.known_tasks()));
            None
        }
    }
}

/// The first metric of a task of which more is better; `top1` without a task.
fn main_metric(definition: Option<&Definition>) -> String {
    let Some(definition) = definition else { return "top1".to_owned() };
    let axis = |name: &str| METRICS.get(name).is_some_and(Metric::higher_is_better);
    let own = definition.metrics.iter().map(|m| m.name.as_str()).find(|n| axis(n));
    own.unwrap_or("inverse_perplexity").to_owned()
}

fn read_corruption(section: &Section<'_>, text: &Located<String>) -> Option<CorruptionSpec> {
    let (name, severity) = text.value.split_once(':').unwrap_or((&text.value, ""));
    let name = Located { value: name.to_owned(), span: text.span.clone() };
    section.known(&name, &CORRUPTIONS);
    let severity = severity.parse().ok().filter(|s| (1..=5).contains(s));
    if severity.is_none() {
        let help = format!("such as `{}:3`; severities are 1 to 5", name.value);
        section.note(text.span.clone(), "a corruption is `name:severity`", Some(help));
    }
    Some(CorruptionSpec { name: name.value, severity: severity? })
}

/// Notes a data set or a split that the registry does not have.
fn check_data(
    section: &Section<'_>,
    catalog: &Catalog,
    dataset: Option<&Located<String>>,
    split: Option<&Located<String>>,
    default: &str,
) {
    let entry = dataset.and_then(|name| match catalog.dataset(&name.value) {
        Ok(entry) => Some(entry),
        Err(CatalogError::UnknownDataset { name: wanted, advice }) => {
            section.note(name.span.clone(), format!("unknown data set `{wanted}`"), Some(advice));
            None
        }
        Err(error) => {
            section.note(name.span.clone(), error.to_string(), None);
            None
        }
    });
    let split_name = split.map_or(default, |s| s.value.as_str());
    if let Some(Err(CatalogError::UnknownSplit { dataset, split: wanted, advice })) =
        entry.map(|e| catalog.split(e, split_name))
    {
        let span = split.map_or(section.span.clone(), |s| s.span.clone());
        section.note(span, format!("data set `{dataset}` has no split `{wanted}`"), Some(advice));
    }
}

fn check_metric(section: &Section<'_>, metric: &Located<String>) {
    section.known(metric, &METRICS);
    if METRICS.get(&metric.value).is_some_and(|m| !m.higher_is_better()) {
        let help = "use a metric of which more is better; the loss is always reported".to_owned();
        section.note(metric.span.clone(), format!("`{}` cannot be an axis", metric.value), Some(help));
    }
}
