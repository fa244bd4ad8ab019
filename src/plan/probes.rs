//! Opened probes: what is asked of which examples.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{MissingData, PlanError};
use crate::base::digest::Digest;
use crate::catalog::{Catalog, CatalogError, DatasetEntry, OpenSplit};
use crate::data::{DataError, Dataset, Record};
use crate::suite::{ProbeSpec, Suite};
use crate::task::language::{Columns, Definition, LanguageTask, Setting};
use crate::task::{Classify, Task};

/// A probe whose data set is open.
pub struct Probe {
    /// As the suite says.
    pub spec: ProbeSpec,
    /// The opened split, shared by probes on the same split.
    pub data: Arc<dyn Dataset>,
    /// Digest of the split's files.
    pub data_digest: Digest,
    /// How many of the registered examples are here, if not all.
    pub incomplete: Option<String>,
    /// Licence of the data.
    pub licence: String,
    /// What is asked, and what is right.
    pub task: Arc<dyn Task>,
    /// Pixels cut off each side before preprocessing.
    pub border: usize,
    /// Positions of the examples used, ascending.
    pub positions: Vec<usize>,
}

impl Probe {
    /// The right output for an example that the probe uses.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn target(&self, position: usize) -> u32 {
        self.task.target(position, &self.data.examples()[position]).expect("an example of the probe")
    }
}

pub(super) fn open_probes(
    suite: &Suite,
    catalog: &Catalog,
    limit: Option<usize>,
) -> Result<Vec<Probe>, PlanError> {
    let mut missing = Vec::new();
    let mut wanted = Vec::new();
    for spec in &suite.probes {
        let definition = match &spec.task {
            Some(task) => {
                Some(Definition::open(&catalog.task_file(&task.file)).map_err(|e| of_task(spec, &e))?)
            }
            None => None,
        };
        let entry = catalog.data_of(&spec.dataset, definition.as_ref())?;
        let split = catalog.split(&entry, &spec.split)?.clone();
        if let Some(path) = catalog.missing(&split) {
            missing.push(MissingData {
                dataset: entry.name.clone(),
                path: path.display().to_string(),
                obtain: if catalog.on_hub(&split).is_empty() {
                    entry.obtain.clone()
                } else {
                    format!("`specbench data fetch {}` gets it", entry.name)
                },
            });
        }
        wanted.push((spec, definition, entry, split));
    }
    missing.dedup_by(|a, b| a.path == b.path);
    if !missing.is_empty() {
        return Err(PlanError::MissingData(missing));
    }
    let mut open: BTreeMap<(String, String), OpenSplit> = BTreeMap::new();
    let mut probes = Vec::new();
    for (spec, definition, entry, split) in wanted {
        let key = (spec.dataset.clone(), spec.split.clone());
        if !open.contains_key(&key) {
            open.insert(key.clone(), catalog.open_split(&entry, &split).map_err(|e| of_probe(&spec.id, e))?);
        }
        let limit = match (spec.limit, limit) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let split = &open[&key];
        let task: Arc<dyn Task> = match definition {
            Some(definition) => language(spec, Arc::new(definition), catalog, &entry, (split, limit))?,
            None => Arc::new(classification(spec, &entry, catalog, split)?),
        };
        probes.push(probe(spec, &entry, split, task, limit)?);
    }
    Ok(probes)
}

/// What is wrong with a probe's data, with its name.
fn of_probe(probe: &str, error: CatalogError) -> PlanError {
    match error {
        CatalogError::Data(source) => PlanError::Data { probe: probe.to_owned(), source },
        other => other.into(),
    }
}

fn of_task(spec: &ProbeSpec, error: &dyn std::fmt::Display) -> PlanError {
    PlanError::Task { probe: spec.id.clone(), reason: error.to_string() }
}

fn classification(
    spec: &ProbeSpec,
    entry: &DatasetEntry,
    catalog: &Catalog,
    open: &OpenSplit,
) -> Result<Classify, PlanError> {
    let templates = match &spec.templates {
        Some(path) => Catalog::check_templates(&entry.name, catalog.lines(&catalog.find(Path::new(path)))?)?,
        None => catalog.templates(entry)?,
    };
    let names = catalog.class_names(entry, &*open.data)?;
    let rule = Catalog::class_rule(entry, names.len())?;
    Ok(Classify::new(&names, &rule, spec.classes, templates))
}

/// The task of a file on a split's documents, the first `limit` of them.
fn language(
    spec: &ProbeSpec,
    definition: Arc<Definition>,
    catalog: &Catalog,
    entry: &DatasetEntry,
    (open, limit): (&OpenSplit, Option<usize>),
) -> Result<Arc<dyn Task>, PlanError> {
    let wrap = |source| PlanError::Data { probe: spec.id.clone(), source };
    let task = spec.task.as_ref();
    let setting = Setting {
        few_shot: task.and_then(|t| t.few_shot),
        chat: task.is_some_and(|t| t.chat),
        system: task.and_then(|t| t.system.clone()),
        parity: task.is_some_and(|t| t.parity),
    };
    let examples = open.data.examples();
    let n = limit.map_or(examples.len(), |l| l.min(examples.len()));
    let records = open.data.read(0..n).map_err(wrap)?;
    let ids = examples.iter().map(|e| e.id.clone());
    let documents: Vec<(String, Columns)> = ids.zip(records.into_iter().map(Record::into_document)).collect();
    let shown = setting.few_shot.unwrap_or(definition.few_shot.count);
    let mut pool = (Vec::new(), None);
    if shown > 0 && definition.few_shot.samples.is_none() {
        let name = definition.examples().unwrap_or(&spec.split);
        let split = catalog.split(entry, name)?;
        let other;
        let source = if name == spec.split {
            open
        } else {
            other = catalog.open_split(entry, split).map_err(|e| of_probe(&spec.id, e))?;
            &other
        };
        let all = source.data.read(0..source.data.examples().len()).map_err(wrap)?;
        pool = (all.into_iter().map(Record::into_document).collect(), Some(source.digest.clone()));
    }
    let task = LanguageTask::new(definition, setting, &documents, pool).map_err(|e| of_task(spec, &e))?;
    Ok(Arc::new(task))
}

fn probe(
    spec: &ProbeSpec,
    entry: &DatasetEntry,
    open: &OpenSplit,
    task: Arc<dyn Task>,
    limit: Option<usize>,
) -> Result<Probe, PlanError> {
    let examples = open.data.examples();
    if let Some(bad) = examples.iter().find(|e| e.label as usize >= task.known_labels()) {
        let source = DataError::Label { id: bad.id.clone(), label: bad.label, classes: task.known_labels() };
        return Err(PlanError::Data { probe: spec.id.clone(), source });
    }
    let positions: Vec<usize> = (0..examples.len())
        .filter(|&i| task.target(i, &examples[i]).is_some())
        .take(limit.unwrap_or(usize::MAX))
        .collect();
    if positions.is_empty() {
        return Err(PlanError::NoExamples(spec.id.clone()));
    }
    Ok(Probe {
        spec: spec.clone(),
        data: Arc::clone(&open.data),
        data_digest: open.digest.clone(),
        incomplete: open.incomplete(),
        licence: entry.licence.clone(),
        task,
        border: entry.border,
        positions,
    })
}
