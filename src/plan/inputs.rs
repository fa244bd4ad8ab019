//! What the cells are computed from: opened probes and checkpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::classes::ClassSpace;
use super::{MissingData, PlanError};
use crate::base::digest::Digest;
use crate::base::hub::HubRepository;
use crate::catalog::{Catalog, CatalogError, DatasetEntry, OpenSplit};
use crate::data::{DataError, Dataset};
use crate::image::Preprocessor;
use crate::model::CheckpointFolder;
use crate::suite::{CheckpointSpec, ProbeSpec, Suite};

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
    /// What the probe tells apart.
    pub classes: ClassSpace,
    /// Pixels cut off each side before preprocessing.
    pub border: usize,
    /// Templates of the zero-shot head.
    pub templates: Vec<String>,
    /// Positions of the examples used, ascending.
    pub positions: Vec<usize>,
}

/// A checkpoint's identity, without its weights.
pub struct CheckpointInfo {
    /// The open folder; weights are mapped, not loaded.
    pub folder: Arc<CheckpointFolder>,
    /// Digest of weights, configuration and preprocessing.
    pub digest: Digest,
    /// Digest of the tokenizer.
    pub tokenizer: Digest,
}

impl CheckpointInfo {
    /// How this checkpoint reads images.
    #[must_use]
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.folder.preprocessor
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
    let classes = ClassSpace::new(catalog, entry, &*open.data, spec.classes)?;
    let templates = match &spec.templates {
        Some(path) => Catalog::check_templates(&entry.name, catalog.lines(Path::new(path))?)?,
        None => catalog.templates(entry)?,
    };
    let limit = match (spec.limit, limit) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let examples = open.data.examples();
    if let Some(bad) = examples.iter().find(|e| e.label as usize >= classes.known_labels()) {
        let source =
            DataError::Label { id: bad.id.clone(), label: bad.label, classes: classes.known_labels() };
        return Err(PlanError::Data { probe: spec.id.clone(), source });
    }
    let positions: Vec<usize> = (0..examples.len())
        .filter(|&i| classes.output(examples[i].label).is_some())
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
        classes,
        border: entry.border,
        templates,
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
        if spec.base.as_ref().is_some_and(|b| !all.contains_key(b)) {
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
    let path = match HubRepository::parse(&spec.source) {
        Ok((repository, inside)) => {
            let wrap = |source| PlanError::Hub { checkpoint: spec.id.clone(), source };
            if inside.is_empty() {
                catalog.hub().model(&repository).map_err(wrap)?
            } else {
                catalog.hub().file(&repository, &inside).map_err(wrap)?
            }
        }
        Err(_) => PathBuf::from(&spec.source),
    };
    let classes = spec.classes.as_ref().map(|c| catalog.lines(Path::new(c))).transpose()?;
    let folder = match spec.base.as_ref().and_then(|b| all.get(b)) {
        Some(base) => CheckpointFolder::open_over(&path, &base.folder, classes.as_deref()),
        None => CheckpointFolder::open_named(&path, classes.as_deref()),
    };
    let folder = folder.map_err(wrap)?;
    // Tokenizers are opened now: a file that cannot be used is a mistake of the suite, not of a run.
    folder.tokenizer().map_err(wrap)?;
    let (digest, tokenizer) =
        folder.digest(catalog.digests()).and_then(|d| Ok((d, folder.tokenizer_digest()?))).map_err(wrap)?;
    Ok(CheckpointInfo { folder: Arc::new(folder), digest, tokenizer })
}
