//! Scores of single cells.

use std::collections::BTreeMap;

use crate::stats::Estimate;
use crate::store::ProbeRecord;

/// One metric of one cell.
#[derive(Clone, Debug)]
pub struct MetricValue {
    /// Name of the metric.
    pub metric: &'static str,
    /// Its value.
    pub estimate: Estimate,
    /// Bootstrap replicates; replicate `r` of every variant of a probe is on the same draw.
    pub replicates: Vec<f64>,
}

/// All metrics of one cell.
#[derive(Clone, Debug)]
pub struct CellScore {
    /// The variant.
    pub variant: String,
    /// The probe.
    pub probe: String,
    /// Metrics that are defined here.
    pub metrics: Vec<MetricValue>,
}

impl CellScore {
    /// A metric by name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&MetricValue> {
        self.metrics.iter().find(|m| m.metric == name)
    }
}

/// The probe's own metric of a variant.
pub fn main_metric<'a>(
    scores: &'a BTreeMap<(String, String), CellScore>,
    variant: &str,
    probe: &ProbeRecord,
) -> Option<&'a MetricValue> {
    scores.get(&(variant.to_owned(), probe.spec.id.clone()))?.metric(&probe.spec.metric)
}
