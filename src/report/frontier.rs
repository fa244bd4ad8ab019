//! The frontier and what is said of each curve, with uncertainty from paired resamples.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cells::CellScore;
use super::methods::{MethodsReport, compare_methods};
use super::points::{Axis, OnAxes, axis};
use crate::stats::{
    Aggregate, Barrier, Interval, Selection, barrier, harmonic_mean, hypervolume, pareto, percentile,
    select_alpha, simultaneous_band,
};
use crate::store::Manifest;
use crate::suite::ProbeRole;

/// One variant in the plane of speciality and generality.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// The variant.
    pub variant: String,
    /// The curve it is on; the first, if on several.
    pub curve: Option<String>,
    /// Weight of the fine-tuned end, if on a curve.
    pub alpha: Option<f64>,
    /// How the fine-tuned end was made.
    pub method: Option<String>,
    /// Speciality probes aggregated.
    pub speciality: f64,
    /// Its interval.
    pub speciality_ci: Option<Interval>,
    /// Generality probes aggregated.
    pub generality: f64,
    /// Its interval.
    pub generality_ci: Option<Interval>,
    /// Harmonic mean of the two.
    pub harmonic_mean: f64,
    /// Its interval.
    pub harmonic_mean_ci: Option<Interval>,
    /// Arithmetic mean of the two.
    pub mean: f64,
    /// Its interval.
    pub mean_ci: Option<Interval>,
    /// Whether no other point is better on both axes.
    pub on_frontier: bool,
    /// Share of the resamples in which it is on the frontier; none where a score has no error.
    pub p_on_frontier: Option<f64>,
}

/// A barrier with its interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BarrierReport {
    /// The barrier.
    #[serde(flatten)]
    pub barrier: Barrier,
    /// Interval of its value.
    pub ci: Option<Interval>,
}

/// The barriers of one axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AxisBarriers {
    /// In the probes' metric.
    pub metric: Option<BarrierReport>,
    /// In the loss.
    pub loss: Option<BarrierReport>,
}

/// Both axes at one alpha, with intervals that hold at all alphas of the curve together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Band {
    /// Weight of the fine-tuned end.
    pub alpha: f64,
    /// Band of the speciality.
    pub speciality: Interval,
    /// Band of the generality.
    pub generality: Interval,
}

/// What is said of one curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurveReport {
    /// The curve.
    pub curve: String,
    /// Merge method.
    pub merge: String,
    /// Barrier along speciality.
    pub speciality_barrier: AxisBarriers,
    /// Barrier along generality.
    pub generality_barrier: AxisBarriers,
    /// Alpha chosen on the selection probes, if there are any, and the oracle.
    pub best_alpha: Option<Selection>,
    /// How it was chosen.
    pub chosen_by: Option<String>,
    /// Area that the curve's points dominate above the common reference.
    pub area: f64,
    /// Its interval.
    pub area_ci: Option<Interval>,
    /// Alphas whose mean of speciality and generality is above both ends'.
    pub better_than_both_ends: Vec<f64>,
    /// Simultaneous bands along the curve.
    #[serde(default)]
    pub bands: Vec<Band>,
    /// Those of the better alphas for which the paired difference to the better end is above 0 in a band that holds
    /// at all alphas together.
    pub surely_better_than_both_ends: Vec<f64>,
}

/// The dominated area of all points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hypervolume {
    /// The area.
    pub value: f64,
    /// Its interval.
    pub ci: Option<Interval>,
    /// The corner it is measured from: the worst speciality and generality of the checkpoints.
    pub reference: (f64, f64),
}

/// Content of `frontier.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FrontierReport {
    /// How probes became axes, in words.
    pub axes: String,
    /// The points, in the order of the variants.
    pub points: Vec<Point>,
    /// The curves.
    pub curves: Vec<CurveReport>,
    /// The dominated area.
    pub hypervolume: Option<Hypervolume>,
    /// Ways of fine-tuning compared, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<MethodsReport>,
}

impl FrontierReport {
    /// A point by variant.
    #[must_use]
    pub fn point(&self, variant: &str) -> Option<&Point> {
        self.points.iter().find(|p| p.variant == variant)
    }
}

type Scores = BTreeMap<(String, String), CellScore>;

/// Computes the frontier; empty if there is no speciality or no generality probe.
pub(super) fn assemble_frontier(manifest: &Manifest, scores: &Scores) -> FrontierReport {
    let suite = &manifest.suite;
    let level = suite.stats.confidence;
    let both: Vec<OnAxes> = manifest
        .variants
        .iter()
        .filter_map(|v| {
            let get = |role, aggregate| axis(manifest, scores, &v.id, role, aggregate, false);
            Some(OnAxes {
                variant: v.id.clone(),
                speciality: get(ProbeRole::Speciality, suite.speciality)?,
                generality: get(ProbeRole::Generality, suite.generality)?,
            })
        })
        .collect();
    if both.is_empty() {
        return FrontierReport::default();
    }
    let values: Vec<(f64, f64)> = both.iter().map(|l| (l.speciality.value, l.generality.value)).collect();
    let on = pareto(&values);
    let resamples = both.iter().map(OnAxes::resamples).min().unwrap_or(0);
    let replicate = |r: usize| -> Vec<(f64, f64)> {
        both.iter().map(|l| (l.speciality.replicates[r], l.generality.replicates[r])).collect()
    };
    let mut hits = vec![0usize; both.len()];
    for r in 0..resamples {
        for (hit, on) in hits.iter_mut().zip(pareto(&replicate(r))) {
            *hit += usize::from(on);
        }
    }
    let is_end = |l: &&OnAxes| manifest.checkpoints.iter().any(|c| c.id == l.variant);
    let worst =
        |value: fn(&OnAxes) -> f64| both.iter().filter(is_end).map(value).fold(f64::INFINITY, f64::min);
    let reference = (worst(|l| l.speciality.value), worst(|l| l.generality.value));
    let volume = |points: &[(f64, f64)]| hypervolume(points, reference);
    let volumes: Vec<f64> = (0..resamples).map(|r| volume(&replicate(r))).collect();

    let shares = hits.into_iter().map(|h| (resamples > 0).then(|| h as f64 / resamples as f64));
    let points = both.iter().zip(on).zip(shares).map(|((l, on), p)| point(manifest, l, on, p)).collect();
    let curves =
        manifest.curves.iter().map(|c| curve_report(manifest, scores, &both, c, reference)).collect();
    FrontierReport {
        axes: axes_in_words(manifest),
        points,
        curves,
        methods: compare_methods(manifest, &both, reference),
        hypervolume: Some(Hypervolume { value: volume(&values), ci: percentile(&volumes, level), reference }),
    }
}

/// One point of the frontier's table.
fn point(manifest: &Manifest, l: &OnAxes, on_frontier: bool, p_on_frontier: Option<f64>) -> Point {
    let level = manifest.suite.stats.confidence;
    let (curve, alpha, method) = place(manifest, &l.variant);
    let harmonic = l.speciality.combine(&l.generality, harmonic_mean);
    let mean = l.speciality.combine(&l.generality, f64::midpoint);
    Point {
        variant: l.variant.clone(),
        curve,
        alpha,
        method,
        speciality: l.speciality.value,
        speciality_ci: l.speciality.interval(level),
        generality: l.generality.value,
        generality_ci: l.generality.interval(level),
        harmonic_mean: harmonic.value,
        harmonic_mean_ci: harmonic.interval(level),
        mean: mean.value,
        mean_ci: mean.interval(level),
        on_frontier,
        p_on_frontier,
    }
}

fn axes_in_words(manifest: &Manifest) -> String {
    let describe = |role: ProbeRole, aggregate: Aggregate| {
        let probes: Vec<String> = manifest
            .probes
            .iter()
            .filter(|p| p.spec.role == role)
            .map(|p| format!("{} ({})", p.spec.id, p.spec.metric))
            .collect();
        match (probes.len(), aggregate) {
            (1, _) => probes[0].clone(),
            (_, Aggregate::Mean) => format!("mean of {}", probes.join(", ")),
            (_, Aggregate::Harmonic) => format!("harmonic mean of {}", probes.join(", ")),
        }
    };
    format!(
        "speciality: {}; generality: {}",
        describe(ProbeRole::Speciality, manifest.suite.speciality),
        describe(ProbeRole::Generality, manifest.suite.generality)
    )
}

/// Curve, alpha and method of a variant.
fn place(manifest: &Manifest, variant: &str) -> (Option<String>, Option<f64>, Option<String>) {
    let on_curve = manifest.curves.iter().find_map(|curve| {
        let point = curve.points.iter().find(|p| p.variant == variant)?;
        Some((curve.id.clone(), point.alpha, curve.method.clone()))
    });
    let own = manifest.checkpoints.iter().find(|c| c.id == variant).and_then(|c| c.method.clone());
    match on_curve {
        Some((curve, alpha, method)) => {
            let is_checkpoint = manifest.checkpoints.iter().any(|c| c.id == variant);
            (Some(curve), Some(alpha), if is_checkpoint { own } else { Some(method) })
        }
        None => (None, None, own),
    }
}

fn curve_report(
    manifest: &Manifest,
    scores: &Scores,
    both: &[OnAxes],
    curve: &crate::plan::Curve,
    reference: (f64, f64),
) -> CurveReport {
    let level = manifest.suite.stats.confidence;
    let on: Vec<(f64, &OnAxes)> = curve
        .points
        .iter()
        .filter_map(|p| Some((p.alpha, both.iter().find(|l| l.variant == p.variant)?)))
        .collect();
    let resamples = on.iter().map(|(_, l)| l.resamples()).min().unwrap_or(0);
    let barriers = |role, aggregate| {
        let of = |loss: bool| {
            let along: Vec<(f64, Axis)> = curve
                .points
                .iter()
                .filter_map(|p| Some((p.alpha, axis(manifest, scores, &p.variant, role, aggregate, loss)?)))
                .collect();
            barrier_report(&along, !loss, level)
        };
        AxisBarriers { metric: of(false), loss: of(true) }
    };
    let mean = |l: &OnAxes| l.speciality.combine(&l.generality, f64::midpoint);
    let (selection, chosen_by) = selection(manifest, scores, &on);
    let area = |value: &dyn Fn(&OnAxes) -> (f64, f64)| {
        let points: Vec<(f64, f64)> = on.iter().map(|(_, l)| value(l)).collect();
        hypervolume(&points, reference)
    };
    let areas: Vec<f64> =
        (0..resamples).map(|r| area(&|l| (l.speciality.replicates[r], l.generality.replicates[r]))).collect();

    let end = |alpha: f64| on.iter().find(|(a, _)| *a == alpha).map(|(_, l)| mean(l));
    let mut gains: Vec<(f64, Axis)> = Vec::new();
    if let (Some(start), Some(end)) = (end(0.0), end(1.0)) {
        let ends = start.combine(&end, f64::max);
        let inside = on.iter().filter(|(a, _)| *a > 0.0 && *a < 1.0);
        gains.extend(inside.map(|(alpha, l)| (*alpha, mean(l).combine(&ends, |a, b| a - b))));
    }
    let sure = band(&gains.iter().map(|g| &g.1).collect::<Vec<_>>(), level);
    let better = gains.iter().filter(|g| g.1.value > 0.0).map(|g| g.0).collect();
    let surely = gains.iter().zip(sure).filter(|(_, i)| i.low > 0.0).map(|(g, _)| g.0).collect();
    let speciality = band(&on.iter().map(|(_, l)| &l.speciality).collect::<Vec<_>>(), level);
    let generality = band(&on.iter().map(|(_, l)| &l.generality).collect::<Vec<_>>(), level);
    let bands = on.iter().zip(speciality.into_iter().zip(generality));
    let bands = bands.map(|((alpha, _), (s, g))| Band { alpha: *alpha, speciality: s, generality: g });
    CurveReport {
        curve: curve.id.clone(),
        merge: curve.merge.clone(),
        speciality_barrier: barriers(ProbeRole::Speciality, manifest.suite.speciality),
        generality_barrier: barriers(ProbeRole::Generality, manifest.suite.generality),
        best_alpha: selection,
        chosen_by,
        area: area(&|l| (l.speciality.value, l.generality.value)),
        area_ci: percentile(&areas, level),
        better_than_both_ends: better,
        bands: bands.collect(),
        surely_better_than_both_ends: surely,
    }
}

/// A simultaneous band around some axes; empty without replicates.
fn band(axes: &[&Axis], level: f64) -> Vec<Interval> {
    let values: Vec<f64> = axes.iter().map(|a| a.value).collect();
    let replicates: Vec<Vec<f64>> = axes.iter().map(|a| a.replicates.clone()).collect();
    simultaneous_band(&values, &replicates, level).unwrap_or_default()
}

fn barrier_report(along: &[(f64, Axis)], higher_is_better: bool, level: f64) -> Option<BarrierReport> {
    let at = |value: &dyn Fn(&Axis) -> f64| {
        let points: Vec<(f64, f64)> = along.iter().map(|(alpha, axis)| (*alpha, value(axis))).collect();
        barrier(&points, higher_is_better)
    };
    let found = at(&|axis| axis.value)?;
    let resamples = along.iter().map(|(_, a)| a.replicates.len()).min()?;
    let replicates: Vec<f64> =
        (0..resamples).filter_map(|r| at(&|axis| axis.replicates[r]).map(|b| b.value)).collect();
    Some(BarrierReport { barrier: found, ci: percentile(&replicates, level) })
}

/// Chooses alpha by the mean over the selection probes; the test objective is the mean of
/// speciality and generality.
fn selection(
    manifest: &Manifest,
    scores: &Scores,
    on: &[(f64, &OnAxes)],
) -> (Option<Selection>, Option<String>) {
    let points: Vec<(f64, Axis, Axis)> = on
        .iter()
        .filter_map(|(alpha, l)| {
            let chosen_on = axis(manifest, scores, &l.variant, ProbeRole::Selection, Aggregate::Mean, false)?;
            Some((*alpha, chosen_on, l.speciality.combine(&l.generality, f64::midpoint)))
        })
        .collect();
    let values: Vec<(f64, f64, f64)> = points.iter().map(|(a, s, t)| (*a, s.value, t.value)).collect();
    let Some(selection) = select_alpha(&values) else { return (None, None) };
    let names: Vec<&str> = manifest
        .probes
        .iter()
        .filter(|p| p.spec.role == ProbeRole::Selection)
        .map(|p| p.spec.id.as_str())
        .collect();
    let how = format!("largest mean over the selection probes {}", names.join(", "));
    (Some(selection), Some(how))
}
