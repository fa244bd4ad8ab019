//! Cells grouped so that each image is decoded once.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use super::cells::{Cell, VariantInputs};
use crate::base::digest::Digest;
use crate::base::rng::CounterRng;
use crate::suite::ProbeSpec;

/// Cells that read the same images in the same way.
pub struct Pass {
    /// Data set and split, and the corruption if there is one.
    pub name: String,
    /// Id of a checkpoint whose preprocessing is that of the whole pass.
    pub reader: String,
    /// Indices into the plan's cells, ascending.
    pub cells: Vec<usize>,
    /// Positions of all examples that any cell needs: ascending, or in random order for a race.
    pub positions: Vec<usize>,
    /// Identifies the work: a pass with the same key can go on from its finished segments.
    pub key: Digest,
}

pub(super) fn group(plan: &Plan, wanted: impl Fn(&Cell) -> bool) -> Vec<Pass> {
    let mut groups: BTreeMap<(usize, Digest), (String, Vec<usize>)> = BTreeMap::new();
    for (index, cell) in plan.cells.iter().enumerate().filter(|(_, c)| wanted(c)) {
        let reader = match &plan.variants[cell.variant].inputs {
            VariantInputs::Checkpoint(id) | VariantInputs::Merged { from: id, .. } => id,
        };
        let preprocess = Digest::of_value(plan.checkpoints[reader].preprocessor());
        let key = (first_on_split(plan, cell.probe), preprocess);
        groups.entry(key).or_insert_with(|| (reader.clone(), Vec::new())).1.push(index);
    }
    groups
        .into_iter()
        .map(|((probe, _), (reader, cells))| {
            let spec = &plan.probes[probe].spec;
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
            Pass { name: pass_name(spec), reader, key: Digest::of_value(&fingerprints), positions, cells }
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

/// The first probe on the same split with the same corruption, which stands for them all.
fn first_on_split(plan: &Plan, probe: usize) -> usize {
    let spec = &plan.probes[probe].spec;
    let same = |p: &super::Probe| {
        let p = &p.spec;
        (&p.dataset, &p.split, &p.corruption) == (&spec.dataset, &spec.split, &spec.corruption)
    };
    plan.probes.iter().position(same).unwrap_or(probe)
}
