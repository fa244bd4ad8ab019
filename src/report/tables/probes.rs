//! Every variant on every probe.

use std::collections::{BTreeMap, BTreeSet};

use super::{Grid, TableSpec, shown};
use crate::base::registry::Named;
use crate::report::ReportData;
use crate::store::ProbeRecord;

/// The table.
pub(super) struct Probes;

impl Named for Probes {
    fn name(&self) -> &'static str {
        "probes"
    }
    fn summary(&self) -> &'static str {
        "each variant on each probe, with intervals"
    }
    fn reference(&self) -> &'static str {
        "Wilson's interval for proportions, otherwise bootstrap percentiles"
    }
}

impl TableSpec for Probes {
    fn build(&self, data: &ReportData) -> Option<Grid> {
        let probes = &data.manifest.probes;
        let role = |p: &ProbeRecord| p.spec.role.name();
        let headers = std::iter::once("variant".to_owned())
            .chain(probes.iter().map(|p| format!("{} ({}, {})", p.spec.id, p.spec.metric, role(p))))
            .collect();
        let rows = data
            .variants_in_order()
            .into_iter()
            .map(|v| {
                let cell = |p| {
                    let value = data.main(v, p).map(|m| shown(&p.spec.metric, &m.estimate));
                    value.unwrap_or_else(|| "-".to_owned())
                };
                std::iter::once(data.label(v)).chain(probes.iter().map(cell)).collect()
            })
            .collect();
        let level = data.manifest.suite.stats.confidence * 100.0;
        let size = |p: &ProbeRecord| {
            let seen =
                data.manifest.cells.iter().find(|c| c.probe == p.spec.id).map_or(p.examples, |c| c.examples);
            let of = if seen == p.examples { String::new() } else { format!(" of {}", p.examples) };
            format!("{} {seen}{of}", p.spec.id)
        };
        let sizes: Vec<String> = probes.iter().map(size).collect();
        Some(Grid {
            title: "Scores in percent".to_owned(),
            headers,
            rows,
            notes: vec![
                format!("In brackets: {level}% intervals. Examples: {}.", sizes.join(", ")),
                clusters(probes),
                heads(data),
                "Selection probes serve to choose alpha and are not results.".to_owned(),
            ],
        })
    }
}

/// Which heads gave the predictions, and what was chosen for lack of something better.
fn heads(data: &ReportData) -> String {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut dropped: BTreeSet<String> = BTreeSet::new();
    for cell in &data.manifest.cells {
        let Some(head) = &cell.head else { continue };
        *kinds.entry(head.to_string()).or_insert(0) += 1;
        // Said of the checkpoint; the variants of its curve follow.
        let is_checkpoint = data.manifest.checkpoints.iter().any(|c| c.id == cell.variant);
        if let (Some(why), true) = (&head.dropped, is_checkpoint) {
            dropped.insert(format!("{} on {}: {why}", cell.variant, cell.probe));
        }
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, n)| format!("{kind} {n} cells")).collect();
    let incomplete = data
        .manifest
        .probes
        .iter()
        .filter_map(|p| Some(format!("{}: {}", p.spec.id, p.incomplete.as_ref()?)));
    let mut all = vec![format!(
        "Heads: {}",
        if kinds.is_empty() { "not recorded".to_owned() } else { kinds.join(", ") }
    )];
    all.extend(dropped);
    all.extend(incomplete);
    format!("{}.", all.join("; "))
}

/// What is said of probes whose examples are drawn in clusters.
fn clusters(probes: &[ProbeRecord]) -> String {
    let by = |p: &&ProbeRecord| p.spec.cluster.is_some();
    let names: Vec<&str> = probes.iter().filter(by).map(|p| p.spec.id.as_str()).collect();
    if names.is_empty() {
        "Examples count as independent.".to_owned()
    } else {
        format!("Resampled in clusters: {}.", names.join(", "))
    }
}
