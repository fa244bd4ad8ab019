//! One side of a comparison: a results folder or a baseline file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::CompareError;
use crate::base::digest::Digest;
use crate::base::fs::{read, write_atomic};
use crate::metric::METRICS;
use crate::plan::Numerics;
use crate::stats::{Aggregate, Estimator, Form, Resampling};
use crate::store::{Clusters, Manifest, Predictions};
use crate::suite::{CheckpointRole, ProbeRole};

/// Format of baseline files. 1: first release.
pub const BASELINE_FORMAT: &str = "specbench-baseline-1";

/// A probe as it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeSide {
    /// Its id.
    pub id: String,
    /// What it measures.
    pub role: ProbeRole,
    /// Its metric.
    pub metric: String,
    /// Whether the metric is a mean over classes of means within them.
    pub macro_mean: bool,
    /// Digest of the data.
    pub data: Digest,
    /// Digest of ids and labels of the examples used, in order.
    pub examples: Digest,
    /// Digest of class names and templates.
    pub classes: Digest,
    /// Class names.
    pub class_names: Vec<String>,
    /// Class of each example.
    pub labels: Vec<u32>,
    /// Cluster of each example; empty where each is its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<u32>,
    /// Ids of the examples; not kept in baselines.
    #[serde(skip)]
    pub ids: Vec<String>,
}

/// A variant as it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariantSide {
    /// Its id.
    pub id: String,
    /// The curve it is on; the first, if on several.
    pub curve: Option<String>,
    /// Weight of the fine-tuned end, if on a curve.
    pub alpha: Option<f64>,
}

/// One cell's outcomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellSide {
    /// The variant.
    pub variant: String,
    /// The probe.
    pub probe: String,
    /// The metric.
    pub value: f64,
    /// One bit per example: whether it counts as a hit.
    #[serde(with = "bits")]
    pub hits: Vec<bool>,
}

/// What a comparison needs of a results folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// [`BASELINE_FORMAT`].
    pub format: String,
    /// Name of the suite.
    pub suite: String,
    /// Digest of the suite's text.
    pub suite_digest: Digest,
    /// Version of this program.
    pub version: String,
    /// How numbers were computed.
    pub numerics: Numerics,
    /// Decoder and resampler.
    pub decoder: String,
    /// Pretrained checkpoints: id and digest.
    pub pretrained: Vec<(String, Digest)>,
    /// Speciality probes to one number.
    pub speciality: Aggregate,
    /// Generality probes to one number.
    pub generality: Aggregate,
    /// Probes.
    pub probes: Vec<ProbeSide>,
    /// Variants.
    pub variants: Vec<VariantSide>,
    /// Cells.
    pub cells: Vec<CellSide>,
}

impl Side {
    /// Reads a results folder.
    pub fn of_results(out: &Path) -> Result<Self, CompareError> {
        let manifest = Manifest::read(out)?;
        let mut side = Self {
            format: BASELINE_FORMAT.to_owned(),
            suite: manifest.suite.name.clone(),
            suite_digest: manifest.suite.digest.clone(),
            version: manifest.version.clone(),
            numerics: manifest.numerics.clone(),
            decoder: manifest.decoder.clone(),
            pretrained: manifest
                .checkpoints
                .iter()
                .filter(|c| c.role == CheckpointRole::Pretrained)
                .map(|c| (c.id.clone(), c.digest.clone()))
                .collect(),
            speciality: manifest.suite.speciality,
            generality: manifest.suite.generality,
            probes: Vec::new(),
            variants: manifest.variants.iter().map(|v| variant(&manifest, &v.id)).collect(),
            cells: Vec::new(),
        };
        for probe in &manifest.probes {
            let metric = METRICS.get(&probe.spec.metric);
            let mut known: Option<ProbeSide> = None;
            let mut clusters = Vec::new();
            for variant in &manifest.variants {
                if manifest.cell(&variant.id, &probe.spec.id).is_none() {
                    continue;
                }
                let path = Predictions::path(out, &variant.id, &probe.spec.id);
                let predictions = Predictions::read(&path)?;
                let columns = predictions.columns(probe.class_names.len());
                let Some(form) = metric.and_then(|m| m.form(&columns)) else { continue };
                let (hits, macro_mean) = match &form {
                    Form::Mean(values) => (values.iter().map(|v| *v > 0.5).collect(), false),
                    Form::MacroMean { values, .. } => (values.iter().map(|v| *v > 0.5).collect(), true),
                    Form::Calibration { .. } => continue,
                };
                if known.is_none() && probe.spec.cluster.is_some() {
                    let path = Clusters::path(out, &probe.spec.id);
                    clusters = Clusters::read(&path, &predictions.example_id)?;
                }
                known.get_or_insert_with(|| ProbeSide {
                    clusters: std::mem::take(&mut clusters),
                    id: probe.spec.id.clone(),
                    role: probe.spec.role,
                    metric: probe.spec.metric.clone(),
                    macro_mean,
                    data: probe.data.clone(),
                    examples: Digest::of_value(&(&predictions.example_id, &predictions.label)),
                    classes: Digest::of_value(&(&probe.class_names, &probe.templates_used)),
                    class_names: probe.class_names.clone(),
                    labels: predictions.label.clone(),
                    ids: predictions.example_id.clone(),
                });
                side.cells.push(CellSide {
                    variant: variant.id.clone(),
                    probe: probe.spec.id.clone(),
                    value: Estimator::new(form).value(),
                    hits,
                });
            }
            side.probes.extend(known);
        }
        Ok(side)
    }

    /// Reads a baseline file.
    pub fn of_baseline(path: &Path) -> Result<Self, CompareError> {
        let bad = |reason: String| CompareError::Baseline { path: path.display().to_string(), reason };
        let json: serde_json::Value = serde_json::from_slice(&read(path)?).map_err(|e| bad(e.to_string()))?;
        let format = json.get("format").and_then(serde_json::Value::as_str).unwrap_or("none");
        if format != BASELINE_FORMAT {
            return Err(bad(format!("its format is `{format}`, needed is `{BASELINE_FORMAT}`")));
        }
        let side: Self = serde_json::from_value(json).map_err(|e| bad(e.to_string()))?;
        let length = |probe: &str| side.probe(probe).map(|p| p.labels.len());
        if let Some(cell) = side.cells.iter().find(|c| length(&c.probe) != Some(c.hits.len())) {
            return Err(bad(format!("`{}` on `{}` has a wrong length", cell.variant, cell.probe)));
        }
        Ok(side)
    }

    /// Writes a baseline file.
    pub fn write(&self, path: &Path) -> Result<(), CompareError> {
        let mut text = serde_json::to_string_pretty(self).expect("plain data always has a JSON form");
        text.push('\n');
        Ok(write_atomic(path, text.as_bytes())?)
    }

    /// A probe by id.
    #[must_use]
    pub fn probe(&self, id: &str) -> Option<&ProbeSide> {
        self.probes.iter().find(|p| p.id == id)
    }

    /// A cell by variant and probe.
    #[must_use]
    pub fn cell(&self, variant: &str, probe: &str) -> Option<&CellSide> {
        self.cells.iter().find(|c| c.variant == variant && c.probe == probe)
    }

    /// Ids of the curves in order.
    #[must_use]
    pub fn curves(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for curve in self.variants.iter().filter_map(|v| v.curve.as_deref()) {
            if !all.contains(&curve) {
                all.push(curve);
            }
        }
        all
    }
}

impl ProbeSide {
    /// Replicates of some statistics on draws of this probe's examples, or of its clusters.
    #[must_use]
    pub fn replicates(&self, resampling: &Resampling, statistics: &[&Estimator]) -> Vec<Vec<f64>> {
        if self.clusters.is_empty() {
            resampling.replicates(&self.id, self.labels.len(), statistics)
        } else {
            resampling.clustered(&self.id, &self.clusters, statistics)
        }
    }

    /// Whether flips of its examples are independent trials, as the McNemar test needs.
    #[must_use]
    pub fn has_plain_trials(&self) -> bool {
        !self.macro_mean && self.clusters.is_empty()
    }

    /// The metric of some outcomes on this probe's examples.
    #[must_use]
    pub fn estimator(&self, hits: &[bool]) -> Estimator {
        let values = hits.iter().map(|&h| f64::from(u8::from(h))).collect();
        Estimator::new(if self.macro_mean {
            Form::MacroMean { values, groups: self.labels.clone() }
        } else {
            Form::Mean(values)
        })
    }
}

fn variant(manifest: &Manifest, id: &str) -> VariantSide {
    let place = manifest.curves.iter().find_map(|c| {
        let point = c.points.iter().find(|p| p.variant == id)?;
        Some((c.id.clone(), point.alpha))
    });
    let (curve, alpha) = place.unzip();
    VariantSide { id: id.to_owned(), curve, alpha }
}

/// Outcomes as hexadecimal digits, four to a digit, the first the highest bit; after the number of outcomes.
mod bits {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(bits: &[bool], serializer: S) -> Result<S::Ok, S::Error> {
        let digit = |four: &[bool]| {
            let value = (0..4).fold(0, |v, i| v << 1 | u32::from(four.get(i).copied().unwrap_or(false)));
            char::from_digit(value, 16).unwrap_or('0')
        };
        let digits: String = bits.chunks(4).map(digit).collect();
        serializer.serialize_str(&format!("{}:{digits}", bits.len()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<bool>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bad = || D::Error::custom("outcomes must be `count:hexadecimal digits`");
        let (count, digits) = text.split_once(':').ok_or_else(bad)?;
        let count: usize = count.parse().map_err(|_| bad())?;
        let mut bits = Vec::with_capacity(count + 3);
        for c in digits.chars() {
            let value = c.to_digit(16).ok_or_else(bad)?;
            bits.extend((0..4).rev().map(|i| value >> i & 1 == 1));
        }
        if bits.len() < count || bits.len() >= count + 4 {
            return Err(bad());
        }
        bits.truncate(count);
        Ok(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_survive_as_text() {
        for n in 0..9 {
            let hits: Vec<bool> = (0..n).map(|i| i % 3 == 0).collect();
            let cell = CellSide { variant: "v".to_owned(), probe: "p".to_owned(), value: 0.5, hits };
            let text = serde_json::to_string(&cell).unwrap();
            assert_eq!(serde_json::from_str::<CellSide>(&text).unwrap(), cell, "{text}");
        }
        let bad = r#"{"variant": "v", "probe": "p", "value": 1, "hits": "5:f"}"#;
        assert!(serde_json::from_str::<CellSide>(bad).is_err());
    }
}
