//! What was evaluated, from what, and how: enough to compare two results folders or refuse to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::base::digest::Digest;
use crate::base::fs::{read, write_atomic};
use crate::model::Numerics;
use crate::plan::{CellInputs, Curve, HeadRecord, Reference, Variant};
use crate::stats::{Aggregate, Interval};
use crate::suite::{CheckpointRole, GateSpec, ProbeSpec, StatsSpec};

/// Format of the results folder: major and minor. A minor version adds what older readers may ignore; a major one changes
/// what is there. 1: first release. 2.0: cells keep the parts of their fingerprints, curves may have names of their own.
pub const FORMAT: &str = "2.0";

/// Majors that are read. The first had no parts of fingerprints; all else is the same.
const READABLE: [&str; 2] = ["1", "2"];

/// The suite as it was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteRecord {
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Digest of the text.
    pub digest: Digest,
    /// The text.
    pub text: String,
    /// Speciality probes to one number.
    pub speciality: Aggregate,
    /// Generality probes to one number.
    pub generality: Aggregate,
    /// Statistics.
    pub stats: StatsSpec,
    /// What the gate fails on.
    #[serde(default)]
    pub gate: GateSpec,
}

/// A checkpoint as it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointRecord {
    /// Its name in the suite.
    pub id: String,
    /// What it is.
    pub role: CheckpointRole,
    /// How it was made.
    pub method: Option<String>,
    /// Its training seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Where it came from.
    pub source: String,
    /// Digest of weights, configuration and preprocessing.
    pub digest: Digest,
    /// Digest of the tokenizer.
    pub tokenizer: Digest,
    /// How it reads questions.
    pub preprocess: serde_json::Value,
}

/// A probe as it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// As the suite says.
    #[serde(flatten)]
    pub spec: ProbeSpec,
    /// Digest of the split's files.
    pub data: Digest,
    /// Licence of the data.
    pub licence: String,
    /// Examples.
    pub examples: usize,
    /// How many of the registered examples were there, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Class names in label order.
    pub class_names: Vec<String>,
    /// Templates of the zero-shot head.
    pub templates_used: Vec<String>,
}

impl ProbeRecord {
    /// The key of its data, under which its units are drawn: clusters of one rule apart from single examples.
    #[must_use]
    pub fn frame(&self) -> String {
        format!("{}/{}", self.data, if self.spec.cluster.is_some() { "cluster" } else { "example" })
    }
}

/// An example that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SkippedExample {
    /// Data set and split.
    pub data: String,
    /// The example.
    pub example: String,
    /// Why.
    pub reason: String,
}

/// A score that another program stated, without the examples behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stated {
    /// The score.
    pub value: f64,
    /// Its standard error, if it is stated or follows from the number of examples.
    pub stderr: Option<f64>,
    /// Examples behind it, if that is stated.
    pub n: Option<usize>,
}

/// A finished cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellRecord {
    /// The variant.
    pub variant: String,
    /// The probe.
    pub probe: String,
    /// Digest of everything that the predictions depend on.
    pub fingerprint: Digest,
    /// Its parts, so that it can be said which part changed; absent in format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<CellInputs>,
    /// Digest of the predictions file.
    pub file: Digest,
    /// Rows.
    pub examples: usize,
    /// Which head gave the predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadRecord>,
    /// Of a race: the interval of the metric that holds at all times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Interval>,
    /// Scores by metric where there are no predictions: imported from files without examples.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stated: BTreeMap<String, Stated>,
}

/// A run that could stop early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaceRecord {
    /// The rule, as `--until` takes it.
    pub rule: String,
    /// Examples seen and examples there are, by data set.
    pub passes: BTreeMap<String, (usize, usize)>,
}

/// Wall times; the only part of the manifest that differs between equal runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Seconds by `variant/probe`: the cell's share of its pass.
    pub cells: BTreeMap<String, f64>,
}

/// The manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// Version of this program.
    pub version: String,
    /// The command line.
    pub command: Vec<String>,
    /// The suite.
    pub suite: SuiteRecord,
    /// How numbers were computed.
    pub numerics: Numerics,
    /// Decoder and resampler.
    pub decoder: String,
    /// Checkpoints in the order of the suite.
    pub checkpoints: Vec<CheckpointRecord>,
    /// Probes in the order of the suite.
    pub probes: Vec<ProbeRecord>,
    /// Variants.
    pub variants: Vec<Variant>,
    /// Curves.
    pub curves: Vec<Curve>,
    /// Published results shown beside ours.
    pub references: Vec<Reference>,
    /// Number of cells that the suite amounts to.
    #[serde(default)]
    pub planned: usize,
    /// The race, if the run could stop early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub race: Option<RaceRecord>,
    /// Finished cells.
    pub cells: Vec<CellRecord>,
    /// Cells that another plan finished in this folder (another limit, other alphas); their files are still there and
    /// count again for that plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<CellRecord>,
    /// Examples that could not be used.
    pub skipped: Vec<SkippedExample>,
    /// Wall times.
    pub timing: Timing,
}

impl Manifest {
    /// Where the manifest lies below the results folder.
    #[must_use]
    pub fn path(out: &Path) -> PathBuf {
        out.join("manifest.json")
    }

    /// Reads the manifest of a results folder.
    pub fn read(out: &Path) -> Result<Self, StoreError> {
        let path = Self::path(out);
        let bytes = read(&path)?;
        let bad = |e: serde_json::Error| StoreError::Manifest { path: path.clone(), reason: e.to_string() };
        let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(bad)?;
        let format = json.get("format").and_then(serde_json::Value::as_str).unwrap_or("none");
        let major = format.split('.').next().unwrap_or_default();
        if !READABLE.contains(&major) {
            return Err(StoreError::Format { path, found: format.to_owned() });
        }
        let manifest: Self = serde_json::from_value(json).map_err(bad)?;
        manifest.check().map_err(|reason| StoreError::Manifest { path, reason })?;
        Ok(manifest)
    }

    /// Refuses numbers that no run writes: the report computes with them.
    fn check(&self) -> Result<(), String> {
        let stats = &self.suite.stats;
        if !(0.5..=0.9999).contains(&stats.confidence) || !(1..=1_000_000).contains(&stats.resamples) {
            return Err(format!("confidence {} with {} resamples", stats.confidence, stats.resamples));
        }
        let alphas = self.curves.iter().flat_map(|c| &c.points).map(|p| p.alpha);
        if let Some(alpha) = alphas.into_iter().find(|a| !(0.0..=1.0).contains(a)) {
            return Err(format!("alpha is {alpha}"));
        }
        let names =
            self.variants.iter().map(|v| v.id.as_str()).chain(self.probes.iter().map(|p| p.spec.id.as_str()));
        let is_plain = |n: &&str| {
            !n.is_empty()
                && !n.starts_with('.')
                && n.chars().all(|c| c.is_alphanumeric() || "-_.@+".contains(c))
        };
        match names.into_iter().find(|n| !is_plain(n)) {
            Some(name) => Err(format!("`{}` cannot name a variant or a probe", name.escape_debug())),
            None => Ok(()),
        }
    }

    /// Writes the manifest atomically.
    pub fn write(&self, out: &Path) -> Result<(), StoreError> {
        let mut text = serde_json::to_string_pretty(self).expect("plain data always has a JSON form");
        text.push('\n');
        Ok(write_atomic(&Self::path(out), text.as_bytes())?)
    }

    /// The record of a cell, if it is finished.
    #[must_use]
    pub fn cell(&self, variant: &str, probe: &str) -> Option<&CellRecord> {
        self.cells.iter().find(|c| c.variant == variant && c.probe == probe)
    }
}
