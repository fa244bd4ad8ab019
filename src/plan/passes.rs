//! Cells grouped so that each example is read once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cells::{Cell, VariantInputs};
use super::{CheckpointInfo, Plan};
use crate::base::digest::Digest;
use crate::base::rng::CounterRng;
use crate::data::Dataset;
use crate::model::Architecture;
use crate::suite::{CorruptionSpec, ProbeSpec};
use crate::task::Task;

/// Cells that read the same questions in the same way.
pub struct Pass {
    /// Data set and split, and the corruption if there is one.
    pub name: String,
    /// The opened split.
    pub data: Arc<dyn Dataset>,
    /// Digest of the split's content.
    pub data_digest: Digest,
    /// A task that shows what all tasks of the pass show.
    pub task: Arc<dyn Task>,
    /// A checkpoint that reads as all of the pass do.
    pub reader: Arc<dyn Architecture>,
    /// Pixels cut off each side before preprocessing.
    pub border: usize,
    /// What is done to every image before the model reads it.
    pub corruption: Option<CorruptionSpec>,
    /// Indices into the plan's cells, ascending.
    pub cells: Vec<usize>,
    /// Positions of all examples that any cell needs: ascending, or in random order for a race.
    pub positions: Vec<usize>,
    /// Identifies the work: a pass with the same key can go on from its finished segments.
    pub key: Digest,
}

pub(super) fn group(plan: &Plan, wanted: impl Fn(&Cell) -> bool) -> Vec<Pass> {
    let mut groups: BTreeMap<(usize, Digest), (&CheckpointInfo, Vec<usize>)> = BTreeMap::new();
    for (index, cell) in plan.cells.iter().enumerate().filter(|(_, c)| wanted(c)) {
        let reader = match &plan.variants[cell.variant].inputs {
            VariantInputs::Checkpoint(id) | VariantInputs::Merged { from: id, .. } => id,
        };
        let info = &plan.checkpoints[reader];
        let key = (first_on_split(plan, cell.probe), info.architecture.reader().digest());
        groups.entry(key).or_insert_with(|| (info, Vec::new())).1.push(index);
    }
    groups
        .into_iter()
        .map(|((probe, _), (info, cells))| {
            let probe = &plan.probes[probe];
            let spec = &probe.spec;
            let probes: BTreeSet<usize> = cells.iter().map(|&c| plan.cells[c].probe).collect();
            let positions: BTreeSet<usize> =
                probes.iter().flat_map(|&p| plan.probes[p].positions.iter().copied()).collect();
            let mut positions: Vec<usize> = positions.into_iter().collect();
            if plan.until.is_some() {
                let key = format!("race/{}/{}", spec.dataset, spec.split);
                let order = CounterRng::new(plan.suite.stats.seed, &key).permutation(positions.len());
                positions = order.into_iter().map(|i| positions[i]).collect();
            }
            let fingerprints: Vec<&Digest> = cells.iter().map(|&c| &plan.cells[c].fingerprint).collect();
            Pass {
                name: pass_name(spec),
                data: Arc::clone(&probe.data),
                data_digest: probe.data_digest.clone(),
                task: Arc::clone(&probe.task),
                reader: Arc::clone(&info.architecture),
                border: probe.border,
                corruption: spec.corruption.clone(),
                key: Digest::of_value(&fingerprints),
                positions,
                cells,
            }
        })
        .collect()
}

/// What a probe's pass is called: data set and split, and the corruption if there is one.
#[must_use]
pub fn pass_name(spec: &ProbeSpec) -> String {
    match &spec.corruption {
        Some(c) => format!("{}/{} with {}:{}", spec.dataset, spec.split, c.name, c.severity),
        None => format!("{}/{}", spec.dataset, spec.split),
    }
}

/// The first probe that shows the same: the same split in the same prompt, with the same corruption.
fn first_on_split(plan: &Plan, probe: usize) -> usize {
    let key = |p: &super::Probe| {
        (p.spec.dataset.clone(), p.spec.split.clone(), p.spec.corruption.clone(), p.task.prompt())
    };
    let wanted = key(&plan.probes[probe]);
    plan.probes.iter().position(|p| key(p) == wanted).unwrap_or(probe)
}
