//! One side of a comparison: a results folder or a baseline file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::CompareError;
use super::outcomes::Outcomes;
use crate::base::digest::Digest;
use crate::base::fs::{read, write_atomic};
use crate::metric::{METRICS, Metric};
use crate::model::Numerics;
use crate::stats::{Aggregate, Change, Estimator, Form};
use crate::store::{Clusters, Manifest, Predictions, ProbeRecord};
use crate::suite::{CheckpointRole, ProbeRole};

/// Format of baseline files. 1: first release. 2: outcomes that are no hits are kept as numbers.
pub const BASELINE_FORMAT: &str = "specbench-baseline-2";

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
    /// Ids of the examples; not kept in baselines.
    #[serde(skip)]
    pub ids: Vec<String>,
    /// What is drawn as one: the cluster of each example, or the example itself; not kept in baselines.
    #[serde(skip)]
    pub units: Vec<String>,
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
    /// What the metric is a mean of.
    #[serde(flatten)]
    pub outcomes: Outcomes,
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
    /// Probes whose metric is no mean over examples, so that no paired test fits it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpaired: Vec<String>,
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
            unpaired: Vec::new(),
        };
        for probe in &manifest.probes {
            side.read_probe(out, &manifest, probe)?;
        }
        Ok(side)
    }

    fn read_probe(
        &mut self,
        out: &Path,
        manifest: &Manifest,
        probe: &ProbeRecord,
    ) -> Result<(), CompareError> {
        let metric = METRICS.get(&probe.spec.metric);
        if manifest.cells.iter().any(|c| c.probe == probe.spec.id && !c.stated.is_empty()) {
            // Scores without examples cannot be paired.
            self.unpaired.push(probe.spec.id.clone());
            return Ok(());
        }
        let mut known: Option<ProbeSide> = None;
        for variant in &manifest.variants {
            let Some(record) = manifest.cell(&variant.id, &probe.spec.id) else { continue };
            let predictions = Predictions::read_record(out, record, probe.class_names.len())?;
            let columns = predictions.columns(probe.class_names.len());
            let Some(form) = metric.and_then(|m| m.form(&columns)) else { continue };
            let (outcomes, macro_mean) = match &form {
                Form::Mean(values) => (Outcomes::of(values), false),
                Form::MacroMean { values, .. } => (Outcomes::of(values), true),
                Form::Calibration { .. } | Form::RatioOfSums { .. } => {
                    self.unpaired.push(probe.spec.id.clone());
                    return Ok(());
                }
            };
            if known.is_none() {
                let units = match &probe.spec.cluster {
                    Some(_) => {
                        Clusters::names(&Clusters::path(out, &probe.spec.id), &predictions.example_id)?
                    }
                    None => predictions.example_id.clone(),
                };
                known = Some(ProbeSide {
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
                    units,
                });
            }
            let (variant, probe) = (variant.id.clone(), probe.spec.id.clone());
            self.cells.push(CellSide { variant, probe, value: Estimator::new(form).value(), outcomes });
        }
        self.probes.extend(known);
        Ok(())
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
        if let Some(cell) = side.cells.iter().find(|c| length(&c.probe) != Some(c.outcomes.len())) {
            return Err(bad(format!("`{}` on `{}` has a wrong length", cell.variant, cell.probe)));
        }
        let beyond = |p: &&ProbeSide| p.labels.iter().any(|&l| l as usize >= p.class_names.len());
        if let Some(probe) = side.probes.iter().find(beyond) {
            return Err(bad(format!("probe `{}` has a label without a class name", probe.id)));
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
    /// Whether larger values of its metric are better.
    #[must_use]
    pub fn higher_is_better(&self) -> bool {
        METRICS.get(&self.metric).is_none_or(Metric::higher_is_better)
    }

    /// The key of its data, under which its units are drawn: clusters of one rule apart from single examples.
    #[must_use]
    pub fn frame(&self) -> String {
        let kind = if self.units == self.ids { "example" } else { "cluster" };
        format!("{}/{kind}", self.data)
    }

    /// What each of some outcomes adds to the metric, of one: by class and size.
    fn weights(&self) -> Vec<f64> {
        let n = self.labels.len() as f64;
        if !self.macro_mean {
            return vec![1.0 / n; self.labels.len()];
        }
        let mut sizes = vec![0.0f64; self.class_names.len()];
        self.labels.iter().for_each(|&l| sizes[l as usize] += 1.0);
        let classes = sizes.iter().filter(|s| **s > 0.0).count() as f64;
        self.labels.iter().map(|&l| 1.0 / (classes * sizes[l as usize])).collect()
    }

    /// What each unit adds to after minus before; units without a change are left out. Units are named with their frame,
    /// so that those of other probes on the same data are the same.
    #[must_use]
    pub fn changes(&self, before: &Outcomes, after: &Outcomes) -> Vec<Change> {
        let frame = self.frame();
        let mut all: BTreeMap<&str, f64> = BTreeMap::new();
        for (i, weight) in self.weights().into_iter().enumerate() {
            let difference = after.value(i) - before.value(i);
            if difference != 0.0 {
                *all.entry(&self.units[i]).or_default() += weight * difference;
            }
        }
        all.into_iter().map(|(unit, change)| (format!("{frame}/{unit}"), change)).collect()
    }

    /// The metric of some outcomes on this probe's examples.
    #[must_use]
    pub fn estimator(&self, outcomes: &Outcomes) -> Estimator {
        let values = outcomes.values();
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
