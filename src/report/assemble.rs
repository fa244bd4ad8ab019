//! The one join of manifest and predictions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ReportError;
use super::cells::{CellScore, MetricValue, main_metric};
use super::examples::{ExampleView, example_views, picture_path};
use super::frontier::{FrontierReport, assemble_frontier};
use crate::base::rng::CounterRng;
use crate::metric::{Columns, METRICS, Unit};
use crate::stats::{
    Drawing, Estimate, Estimator, Interval, Resampling, bca, percentile, standard_deviation, wilson,
};
use crate::store::{CellRecord, Clusters, Manifest, Predictions, ProbeRecord};
use crate::suite::{IntervalMethod, StatsSpec};

/// Everything that tables and figures show.
pub struct ReportData {
    /// The manifest.
    pub manifest: Manifest,
    /// Scores by (variant, probe).
    pub scores: BTreeMap<(String, String), CellScore>,
    /// The frontier and what is said of the curves.
    pub frontier: FrontierReport,
    /// What happened to single examples.
    pub examples: Vec<ExampleView>,
}

impl ReportData {
    /// Reads a results folder and computes every number of the report.
    pub fn load(out: &Path) -> Result<Self, ReportError> {
        let manifest = Manifest::read(out)?;
        if manifest.cells.is_empty() {
            return Err(ReportError::Empty(out.display().to_string()));
        }
        let mut scores = BTreeMap::new();
        let units = manifest.probes.iter().map(|p| Ok((p.frame(), units(out, &manifest, p)?)));
        let drawings = Drawing::of(units.collect::<Result<_, ReportError>>()?);
        for (probe, drawing) in manifest.probes.iter().zip(&drawings) {
            for score in score_probe(out, &manifest, probe, drawing)? {
                scores.insert((score.variant.clone(), score.probe.clone()), score);
            }
        }
        let frontier = assemble_frontier(&manifest, &scores);
        let examples = example_views(out, &manifest)?;
        Ok(Self { manifest, scores, frontier, examples })
    }

    /// Examples whose pictures the page shows: probe, example, and the file that is looked for.
    #[must_use]
    pub fn wanted_pictures(&self, out: &Path) -> Vec<(String, String, PathBuf)> {
        let one = |v: &ExampleView, example: &str| {
            (v.probe.clone(), example.to_owned(), picture_path(out, &v.probe, example))
        };
        let of = |v: &ExampleView| v.regressions.iter().map(|r| one(v, &r.example)).collect::<Vec<_>>();
        self.examples.iter().flat_map(of).collect()
    }

    /// The probe's own metric in one cell.
    #[must_use]
    pub fn main(&self, variant: &str, probe: &ProbeRecord) -> Option<&MetricValue> {
        main_metric(&self.scores, variant, probe)
    }

    /// The alpha of a curve that was chosen on selection probes.
    #[must_use]
    pub fn chosen_alpha(&self, curve: &str) -> Option<f64> {
        let report = self.frontier.curves.iter().find(|c| c.curve == curve)?;
        report.best_alpha.as_ref().map(|b| b.alpha)
    }

    /// How many examples of a probe were evaluated.
    #[must_use]
    pub fn examples_of(&self, probe: &ProbeRecord) -> usize {
        let cell = self.manifest.cells.iter().find(|c| c.probe == probe.spec.id);
        cell.map_or(probe.examples, |c| c.examples)
    }

    /// The variants as tables list them: along each curve, then the rest.
    #[must_use]
    pub fn variants_in_order(&self) -> Vec<&str> {
        let along = self.manifest.curves.iter().flat_map(|c| c.points.iter().map(|p| p.variant.as_str()));
        let all = along.chain(self.manifest.variants.iter().map(|v| v.id.as_str()));
        let mut ordered: Vec<&str> = Vec::new();
        for id in all {
            if !ordered.contains(&id) {
                ordered.push(id);
            }
        }
        ordered
    }

    /// A label for a variant in tables and legends.
    #[must_use]
    pub fn label(&self, variant: &str) -> String {
        let on_curve = self.manifest.curves.iter().find_map(|curve| {
            let point = curve.points.iter().find(|p| p.variant == variant)?;
            (point.alpha > 0.0 && point.alpha < 1.0).then(|| format!("{} at alpha {}", curve.id, point.alpha))
        });
        on_curve.unwrap_or_else(|| variant.to_owned())
    }
}

/// The unit of each example of a probe's first finished cell: what is drawn as one. None where no cell is finished.
fn units(out: &Path, manifest: &Manifest, probe: &ProbeRecord) -> Result<Vec<String>, ReportError> {
    let Some(record) = manifest.cells.iter().find(|c| c.probe == probe.spec.id && c.stated.is_empty()) else {
        return Ok(Vec::new());
    };
    let ids = Predictions::ids(out, record)?;
    match &probe.spec.cluster {
        Some(_) => Ok(Clusters::names(&Clusters::path(out, &probe.spec.id), &ids)?),
        None => Ok(ids),
    }
}

/// Scores every variant on one probe, all resampled together.
fn score_probe(
    out: &Path,
    manifest: &Manifest,
    probe: &ProbeRecord,
    drawing: &Drawing,
) -> Result<Vec<CellScore>, ReportError> {
    let stats = &manifest.suite.stats;
    let mut columns: Vec<(String, Columns)> = Vec::new();
    let mut first_ids: Option<(String, Vec<String>)> = None;
    let mut stated = Vec::new();
    for variant in &manifest.variants {
        let Some(record) = manifest.cell(&variant.id, &probe.spec.id) else { continue };
        if !record.stated.is_empty() {
            stated.push(without_examples(record, stats));
            continue;
        }
        let predictions = Predictions::read_record(out, record, probe.class_names.len())?;
        match &first_ids {
            None => first_ids = Some((variant.id.clone(), predictions.example_id.clone())),
            Some((other, ids)) if *ids != predictions.example_id => {
                return Err(ReportError::Mixed {
                    variant: variant.id.clone(),
                    probe: probe.spec.id.clone(),
                    other: other.clone(),
                });
            }
            Some(_) => {}
        }
        columns.push((variant.id.clone(), predictions.columns(probe.class_names.len())));
    }
    let mut estimators: Vec<(usize, &'static str, Estimator)> = Vec::new();
    for (cell, (_, columns)) in columns.iter().enumerate() {
        for metric in METRICS.items {
            if let Some(form) = metric.form(columns) {
                estimators.push((cell, metric.name(), Estimator::new(form).in_units(&drawing.places)));
            }
        }
    }
    let resampling = Resampling { seed: stats.seed, resamples: stats.resamples };
    let statistics: Vec<&Estimator> = estimators.iter().map(|e| &e.2).collect();
    let replicates = resampling.drawn(drawing, &statistics);
    let mut scores: Vec<CellScore> = columns
        .iter()
        .map(|(variant, _)| CellScore {
            variant: variant.clone(),
            probe: probe.spec.id.clone(),
            metrics: Vec::new(),
        })
        .collect();
    for ((cell, metric, estimator), replicates) in estimators.iter().zip(replicates) {
        // A race's interval holds although the run looked and stopped; the others do not know of that.
        let raced = manifest.cell(&columns[*cell].0, &probe.spec.id).and_then(|r| r.sequence);
        let interval = raced
            .filter(|_| *metric == probe.spec.metric)
            .or_else(|| interval(estimator, &replicates, probe, drawing, stats));
        let estimate = Estimate {
            value: estimator.value(),
            interval,
            stderr: standard_deviation(&replicates),
            n: estimator.n(),
        };
        scores[*cell].metrics.push(MetricValue { metric, estimate, replicates });
    }
    scores.extend(stated);
    Ok(scores)
}

/// Scores that another program stated. Replicates are drawn from their standard errors, for each cell apart: differences are
/// unpaired.
fn without_examples(record: &CellRecord, stats: &StatsSpec) -> CellScore {
    let mut metrics = Vec::new();
    for metric in METRICS.items {
        let Some(score) = record.stated.get(metric.name()) else { continue };
        let mut rng =
            CounterRng::new(stats.seed, &format!("{}/{}/{}", record.variant, record.probe, metric.name()));
        let replicates: Vec<f64> = score.stderr.map_or_else(Vec::new, |error| {
            (0..stats.resamples).map(|_| error.mul_add(rng.normal(), score.value)).collect()
        });
        let hits = score.n.filter(|_| metric.unit() == Unit::Fraction && metric.is_of_hits());
        let exact = hits.and_then(|n| wilson(score.value * n as f64, n as f64, stats.confidence));
        let interval = exact.or_else(|| percentile(&replicates, stats.confidence));
        let estimate =
            Estimate { value: score.value, interval, stderr: score.stderr, n: score.n.unwrap_or_default() };
        metrics.push(MetricValue { metric: metric.name(), estimate, replicates });
    }
    CellScore { variant: record.variant.clone(), probe: record.probe.clone(), metrics }
}

/// The interval of one score; the same wherever it is shown. Proportions have Wilson's, of as many examples as the
/// clusters leave; what resamples do not cover has none.
fn interval(
    estimator: &Estimator,
    replicates: &[f64],
    probe: &ProbeRecord,
    drawing: &Drawing,
    stats: &StatsSpec,
) -> Option<Interval> {
    let clusters = probe.spec.cluster.as_ref().map(|_| &drawing.places[..]);
    let level = stats.confidence;
    if !estimator.resamples_well() {
        return None;
    }
    estimator.proportion_interval(clusters, level).or_else(|| {
        // The jackknife leaves single examples out, not clusters.
        let bca = match stats.interval {
            IntervalMethod::Bca if clusters.is_none() => {
                bca(estimator.value(), replicates, &estimator.jackknife(), level)
            }
            _ => None,
        };
        bca.or_else(|| percentile(replicates, level))
    })
}
