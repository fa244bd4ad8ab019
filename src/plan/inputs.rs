//! What the cells are computed from: opened probes and checkpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{MissingData, PlanError};
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::hub::HubRepository;
use crate::catalog::{Catalog, CatalogError, DatasetEntry, OpenSplit};
use crate::data::{DataError, Dataset};
use crate::merge::{COMBINES, Combination};
use crate::model::{self, Architecture, ModelError};
use crate::suite::{CheckpointSpec, CombineSpec, ProbeSpec, Suite};
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

/// A checkpoint's identity, without its weights.
pub struct CheckpointInfo {
    /// The open checkpoint; weights are mapped, not loaded.
    pub architecture: Arc<dyn Architecture>,
    /// Digest of weights, configuration and preprocessing.
    pub digest: Digest,
    /// Digest of the tokenizer.
    pub tokenizer: Digest,
}

impl CheckpointInfo {
    /// Takes a checkpoint's digests.
    pub fn new(architecture: Arc<dyn Architecture>, digests: &FileDigests) -> Result<Self, ModelError> {
        let (digest, tokenizer) = (architecture.digest(digests)?, architecture.tokenizer_digest()?);
        Ok(Self { architecture, digest, tokenizer })
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
        let entry = catalog.dataset(&spec.dataset)?;
        let split = catalog.split(entry, &spec.split)?;
        if let Some(path) = catalog.missing(split) {
            missing.push(MissingData {
                dataset: entry.name.clone(),
                path: path.display().to_string(),
                obtain: if catalog.on_hub(split).is_empty() {
                    entry.obtain.clone()
                } else {
                    format!("`specbench data fetch {}` gets it", entry.name)
                },
            });
        }
        wanted.push((spec, entry, split));
    }
    missing.dedup_by(|a, b| a.path == b.path);
    if !missing.is_empty() {
        return Err(PlanError::MissingData(missing));
    }
    let mut open: BTreeMap<(String, String), OpenSplit> = BTreeMap::new();
    let mut probes = Vec::new();
    for (spec, entry, split) in wanted {
        let key = (spec.dataset.clone(), spec.split.clone());
        if !open.contains_key(&key) {
            open.insert(key.clone(), catalog.open_split(entry, split).map_err(|e| of_probe(&spec.id, e))?);
        }
        probes.push(probe(spec, entry, catalog, &open[&key], limit)?);
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

fn probe(
    spec: &ProbeSpec,
    entry: &DatasetEntry,
    catalog: &Catalog,
    open: &OpenSplit,
    limit: Option<usize>,
) -> Result<Probe, PlanError> {
    let names = catalog.class_names(entry, &*open.data)?;
    let rule = catalog.class_rule(entry, names.len())?;
    let templates = match &spec.templates {
        Some(path) => Catalog::check_templates(&entry.name, catalog.lines(Path::new(path))?)?,
        None => catalog.templates(entry)?,
    };
    let task = Classify::new(&names, &rule, spec.classes, templates);
    let limit = match (spec.limit, limit) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
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
        task: Arc::new(task),
        border: entry.border,
        positions,
    })
}

pub(super) fn open_checkpoints(
    suite: &Suite,
    catalog: &Catalog,
) -> Result<BTreeMap<String, CheckpointInfo>, PlanError> {
    let mut all: BTreeMap<String, CheckpointInfo> = BTreeMap::new();
    let mut mistakes = Vec::new();
    for spec in &suite.checkpoints {
        // What lies on top of one that cannot be opened cannot be judged.
        let below = spec.base.iter().chain(spec.combine.iter().flat_map(|c| &c.of));
        if below.into_iter().any(|b| !all.contains_key(b)) {
            continue;
        }
        match open_checkpoint(spec, catalog, &all) {
            Ok(info) => {
                all.insert(spec.id.clone(), info);
            }
            Err(mistake) => mistakes.push(mistake),
        }
    }
    match mistakes.len() {
        0 => Ok(all),
        1 => Err(mistakes.remove(0)),
        _ => Err(PlanError::Several(mistakes)),
    }
}

fn open_checkpoint(
    spec: &CheckpointSpec,
    catalog: &Catalog,
    all: &BTreeMap<String, CheckpointInfo>,
) -> Result<CheckpointInfo, PlanError> {
    let wrap = |source| PlanError::Model { checkpoint: spec.id.clone(), source };
    if let Some(how) = &spec.combine {
        let base = spec.base.as_ref().and_then(|b| all.get(b));
        let made = combine(how, base, all).and_then(|a| CheckpointInfo::new(a, catalog.digests()));
        return made.map_err(wrap);
    }
    let path = match HubRepository::parse(&spec.source) {
        Ok((repository, inside)) => {
            let wrap = |source| PlanError::Hub { checkpoint: spec.id.clone(), source };
            if inside.is_empty() {
                model::fetch_model(catalog.hub(), &repository).map_err(wrap)?
            } else {
                catalog.hub().file(&repository, &inside).map_err(wrap)?
            }
        }
        Err(_) => PathBuf::from(&spec.source),
    };
    let classes = spec.classes.as_ref().map(|c| catalog.lines(Path::new(c))).transpose()?;
    let opened = match spec.base.as_ref().and_then(|b| all.get(b)) {
        Some(base) => base.architecture.over(&path, classes.as_deref()),
        None => model::open(&path, classes.as_deref()),
    };
    opened.and_then(|a| CheckpointInfo::new(a, catalog.digests())).map_err(wrap)
}

/// A checkpoint made of others.
fn combine(
    spec: &CombineSpec,
    base: Option<&CheckpointInfo>,
    all: &BTreeMap<String, CheckpointInfo>,
) -> Result<Arc<dyn Architecture>, ModelError> {
    let method = COMBINES.get(&spec.merge).expect("the suite was validated");
    let of: Vec<Arc<dyn Architecture>> = spec.of.iter().map(|id| Arc::clone(&all[id].architecture)).collect();
    let weights = of.iter().map(|a| Arc::clone(a.weights())).collect();
    let base = base.map(|b| Arc::clone(b.architecture.weights()));
    let weights = Combination::new(method, base, weights).map_err(|e| ModelError::Unlike(e.to_string()))?;
    of[0].combined(weights, &of[1..])
}
