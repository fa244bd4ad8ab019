//! Writes which examples of a probe belong together, where a suite asks for it.

use super::{RunError, RunOptions};
use crate::plan::{Plan, Probe};
use crate::store::Clusters;

/// Writes the clusters of every probe that has some.
pub fn write_clusters(plan: &Plan, options: &RunOptions) -> Result<(), RunError> {
    for probe in &plan.probes {
        let Some(rule) = &probe.spec.cluster else { continue };
        let names = names(probe, rule)?;
        let used = probe.positions.iter().map(|&i| (probe.data.examples()[i].id.clone(), names[i].clone()));
        Clusters::write(&Clusters::path(&options.out, &probe.spec.id), used.collect())?;
    }
    Ok(())
}

/// The cluster of every example of the probe's split.
fn names(probe: &Probe, rule: &str) -> Result<Vec<String>, RunError> {
    if rule == "folder" {
        let folder = |id: &str| id.rsplit_once('/').map_or(id, |(folder, _)| folder).to_owned();
        return Ok(probe.data.examples().iter().map(|e| folder(&e.id)).collect());
    }
    let wrap = |source| RunError::Data { name: probe.spec.dataset.clone(), source };
    probe
        .data
        .column(rule)
        .map_err(wrap)?
        .ok_or_else(|| RunError::Cluster { probe: probe.spec.id.clone(), rule: rule.to_owned() })
}
