//! Axes of a variant: its probes aggregated, with replicates.

use std::collections::BTreeMap;

use super::cells::{CellScore, MetricValue, main_metric};
use crate::stats::{Aggregate, Interval, percentile};
use crate::store::Manifest;
use crate::suite::ProbeRole;

/// An aggregate over the probes of one role.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The value.
    pub value: f64,
    /// Its replicates.
    pub replicates: Vec<f64>,
    /// Its interval where it is no matter of replicates: that of the one score it is, or one over seeds.
    pub own_interval: Option<Interval>,
}

/// A variant on both axes.
pub struct OnAxes {
    /// The variant.
    pub variant: String,
    /// Its speciality.
    pub speciality: Axis,
    /// Its generality.
    pub generality: Axis,
}

impl OnAxes {
    /// Replicates that both axes have.
    pub fn resamples(&self) -> usize {
        self.speciality.replicates.len().min(self.generality.replicates.len())
    }
}

impl Axis {
    /// A score as an axis.
    pub fn of(score: &MetricValue) -> Self {
        Self {
            value: score.estimate.value,
            replicates: score.replicates.clone(),
            own_interval: score.estimate.interval,
        }
    }

    /// Mean of some axes, replicate by replicate.
    pub fn mean<A: std::borrow::Borrow<Self>>(all: &[A]) -> Self {
        let n = all.len() as f64;
        let resamples = all.iter().map(|a| a.borrow().replicates.len()).min().unwrap_or(0);
        let replicate = |r: usize| all.iter().map(|a| a.borrow().replicates[r]).sum::<f64>() / n;
        Self {
            value: all.iter().map(|a| a.borrow().value).sum::<f64>() / n,
            replicates: (0..resamples).map(replicate).collect(),
            own_interval: None,
        }
    }

    /// Its own interval, or the percentiles of its replicates.
    pub fn interval(&self, level: f64) -> Option<Interval> {
        self.own_interval.or_else(|| percentile(&self.replicates, level))
    }

    /// A function of two axes, replicate by replicate.
    pub fn combine(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            value: f(self.value, other.value),
            replicates: self.replicates.iter().zip(&other.replicates).map(|(a, b)| f(*a, *b)).collect(),
            own_interval: None,
        }
    }
}

/// Joins cells of one variant over the probes of a role. `None` if there is no such probe or a
/// cell is missing.
pub fn axis(
    manifest: &Manifest,
    scores: &BTreeMap<(String, String), CellScore>,
    variant: &str,
    role: ProbeRole,
    aggregate: Aggregate,
    loss: bool,
) -> Option<Axis> {
    let cells = manifest
        .probes
        .iter()
        .filter(|p| p.spec.role == role)
        .map(|p| {
            if loss {
                scores.get(&(variant.to_owned(), p.spec.id.clone()))?.metric("loss")
            } else {
                main_metric(scores, variant, p)
            }
        })
        .collect::<Option<Vec<_>>>()?;
    let value = aggregate.of(cells.iter().map(|c| c.estimate.value))?;
    let resamples = cells.iter().map(|c| c.replicates.len()).min()?;
    let replicates = (0..resamples)
        .map(|r| aggregate.of(cells.iter().map(|c| c.replicates[r])).unwrap_or(f64::NAN))
        .collect();
    // One score is one number with one interval, in whichever table it stands.
    let own_interval = cells.first().filter(|_| cells.len() == 1).and_then(|c| c.estimate.interval);
    Some(Axis { value, replicates, own_interval })
}
