//! Every variant on every probe.

use std::collections::{BTreeMap, BTreeSet};

use super::{Best, Cell, Column, Key, Number, NumberTable, Row, TableSpec};
use crate::base::registry::Named;
use crate::metric::{METRICS, Metric};
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
    fn build(&self, data: &ReportData) -> Option<NumberTable> {
        let probes = &data.manifest.probes;
        let role = |p: &ProbeRecord| p.spec.role.name();
        let column = |p: &ProbeRecord| {
            let title = format!("{} ({}, {})", p.spec.id, p.spec.metric, role(p));
            let higher = METRICS.get(&p.spec.metric).is_none_or(Metric::higher_is_better);
            Column::new(title).best(if higher { Best::Largest } else { Best::Smallest })
        };
        let rows = data
            .variants_in_order()
            .into_iter()
            .map(|v| {
                let cell = |p: &ProbeRecord| {
                    let number = data.main(v, p).map(|m| Number::of_metric(&p.spec.metric, &m.estimate));
                    number.map_or(Cell::Nothing, Cell::Number)
                };
                Row {
                    keys: vec![Key::of_variant(data, v)],
                    origin: Some(data.origin(v)),
                    cells: probes.iter().map(cell).collect(),
                }
            })
            .collect();
        let level = data.manifest.suite.stats.confidence * 100.0;
        let size = |p: &ProbeRecord| {
            let seen = data.examples_of(p);
            let of = if seen == p.examples { String::new() } else { format!(" of {}", p.examples) };
            format!("{} {seen}{of}", p.spec.id)
        };
        let sizes: Vec<String> = probes.iter().map(size).collect();
        Some(NumberTable {
            title: "Scores in percent".to_owned(),
            keys: vec!["variant"],
            columns: probes.iter().map(column).collect(),
            rows,
            notes: [
                Some(format!("In brackets: {level}% intervals. Examples: {}.", sizes.join(", "))),
                Some(clusters(probes)),
                heads(data),
                Some("Selection probes serve to choose alpha and are not results.".to_owned()),
            ]
            .into_iter()
            .flatten()
            .collect(),
        })
    }
}

/// Which heads gave the predictions, and what was chosen for lack of something better.
fn heads(data: &ReportData) -> Option<String> {
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
    let kinds: Vec<String> = kinds.iter().map(|(kind, n)| format!("{kind} {n} results")).collect();
    let incomplete = data
        .manifest
        .probes
        .iter()
        .filter_map(|p| Some(format!("{}: {}", p.spec.id, p.incomplete.as_ref()?)));
    // Texts are answered without one.
    let texts = data.manifest.probes.iter().all(|p| p.spec.task.is_some());
    let said = match (kinds.is_empty(), texts) {
        (true, true) => None,
        (true, false) => Some("Heads: not recorded".to_owned()),
        (false, _) => Some(format!("Heads: {}", kinds.join(", "))),
    };
    let more = dropped.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("and {more} more"));
    let all: Vec<String> =
        said.into_iter().chain(dropped.into_iter().take(SHOWN)).chain(more).chain(incomplete).collect();
    (!all.is_empty()).then(|| format!("{}.", all.join("; ")))
}

/// Checkpoints whose heads are told one by one.
const SHOWN: usize = 12;

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
