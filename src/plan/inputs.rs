//! Opened checkpoints.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::PlanError;
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::catalog::Catalog;
use crate::checkpoint::Weights;
use crate::merge::{Beside, COMBINES, MergeFile};
use crate::model::{self, Architecture, ModelError};
use crate::suite::{CheckpointSpec, CombineSpec, Suite};

/// A checkpoint's identity, without its weights.
pub struct CheckpointInfo {
    /// The open checkpoint; weights are mapped, not loaded.
    pub architecture: Arc<dyn Architecture>,
    /// Digest of weights, configuration and preprocessing.
    pub digest: Digest,
    /// Digest of the tokenizer.
    pub tokenizer: Digest,
    /// What lies beside its weights.
    pub beside: BTreeMap<Beside, Statistics>,
}

/// Statistics of a checkpoint, from a file.
#[derive(Clone)]
pub struct Statistics {
    /// By the names of the weights.
    pub weights: Arc<dyn Weights>,
    /// Digest of its file.
    pub digest: Digest,
}

impl CheckpointInfo {
    /// Takes a checkpoint's digests.
    pub fn new(architecture: Arc<dyn Architecture>, digests: &FileDigests) -> Result<Self, ModelError> {
        let (digest, tokenizer) = (architecture.digest(digests)?, architecture.tokenizer_digest()?);
        Ok(Self { architecture, digest, tokenizer, beside: BTreeMap::new() })
    }

    /// With what lies beside the weights in `folder`, or in the files that the suite names.
    fn with_beside(
        mut self,
        spec: &CheckpointSpec,
        folder: &Path,
        catalog: &Catalog,
    ) -> Result<Self, ModelError> {
        for kind in Beside::ALL {
            let named = match kind {
                Beside::Fisher => &spec.fisher,
                Beside::Gram => &spec.gram,
            };
            let named = named.as_ref().map(|f| catalog.find(Path::new(f)));
            let Some(file) = named.or_else(|| Some(folder.join(kind.file())).filter(|f| f.is_file())) else {
                continue;
            };
            let weights = kind.open(&file).map_err(|e| ModelError::Unlike(e.to_string()))?;
            let digest = weights.digest(catalog.digests())?;
            self.beside.insert(kind, Statistics { weights, digest });
        }
        Ok(self)
    }
}

pub(super) fn open_checkpoints(
    suite: &Suite,
    catalog: &Catalog,
) -> Result<BTreeMap<String, CheckpointInfo>, PlanError> {
    let mut all: BTreeMap<String, CheckpointInfo> = BTreeMap::new();
    let mut mistakes = Vec::new();
    for spec in &suite.checkpoints {
        // What lies on top of one that cannot be opened cannot be judged.
        let others = spec.base.iter().chain(&spec.head_of);
        let below = others.chain(spec.combine.iter().flat_map(|c| &c.of));
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
    let headed = |opened: Arc<dyn Architecture>| match spec.head_of.as_ref().and_then(|h| all.get(h)) {
        Some(head) => opened.headed_by(&head.architecture),
        None => Ok(opened),
    };
    let source = catalog.find(Path::new(&spec.source));
    if MergeFile::is_meant_by(&source) {
        let file = MergeFile::open(&source);
        let opened = file.map_err(|e| ModelError::Unlike(e.to_string()));
        let opened = opened.and_then(|file| model::open_merge(&file, catalog.hub())).and_then(headed);
        return opened.and_then(|a| CheckpointInfo::new(a, catalog.digests())).map_err(wrap);
    }
    let path = if spec.source.starts_with("hf:") {
        let wrap = |source| PlanError::Hub { checkpoint: spec.id.clone(), source };
        model::from_hub(catalog.hub(), &spec.source).map_err(wrap)?
    } else {
        source
    };
    let classes = spec.classes.as_ref().map(|c| catalog.lines(&catalog.find(Path::new(c)))).transpose()?;
    let opened = match spec.base.as_ref().and_then(|b| all.get(b)) {
        Some(base) => base.architecture.over(&path, classes.as_deref()),
        None => model::open(&path, classes.as_deref()),
    };
    let info = opened.and_then(headed).and_then(|a| CheckpointInfo::new(a, catalog.digests()));
    let info = info.and_then(|info| info.with_beside(spec, &path, catalog));
    info.map_err(|source| match catalog.beside_suite(&path).filter(|_| !path.exists()) {
        Some(looked) => PlanError::NotThere { checkpoint: spec.id.clone(), source, looked },
        None => wrap(source),
    })
}

/// A checkpoint made of others.
fn combine(
    spec: &CombineSpec,
    base: Option<&CheckpointInfo>,
    all: &BTreeMap<String, CheckpointInfo>,
) -> Result<Arc<dyn Architecture>, ModelError> {
    let method = COMBINES.get(&spec.merge).expect("the suite was validated");
    let of: Vec<Arc<dyn Architecture>> = spec.of.iter().map(|id| Arc::clone(&all[id].architecture)).collect();
    let beside = method.reads().map_or_else(Vec::new, |kind| {
        spec.of.iter().filter_map(|id| Some(Arc::clone(&all[id].beside.get(&kind)?.weights))).collect()
    });
    model::combine(method, &spec.settings, base.map(|b| &b.architecture), &of, beside)
}
