//! Whole curves, before and after.

use std::collections::BTreeMap;

use serde::Serialize;

use super::comparison::{Options, resampled_p};
use super::side::{Side, VariantSide};
use crate::stats::{Aggregate, Interval, height_at, hypervolume, lies_above, percentile};
use crate::suite::ProbeRole;

/// A curve, before and after.
#[derive(Clone, Debug, Serialize)]
pub struct CurveChange {
    /// The curve on the second side.
    pub curve: String,
    /// Which number of the curve.
    pub quantity: &'static str,
    /// Its value before; 0 for differences at equal speciality.
    pub before: f64,
    /// Its value after.
    pub after: f64,
    /// After minus before.
    pub difference: f64,
    /// Interval of the difference from paired resamples.
    pub interval: Option<Interval>,
    /// Two-sided p-value from paired resamples.
    pub p: f64,
    /// One-sided p-value: small where it got worse.
    pub p_worse: f64,
    /// Share of the resamples in which the second frontier lies above the first.
    pub p_above: f64,
}

/// Area that the curve's points dominate.
pub const AREA: &str = "hypervolume";
/// Mean difference of generality at the speciality of the first side's points.
pub const EQUAL_SPECIALITY: &str = "generality at equal speciality";

/// (speciality, generality) of some variants: the points themselves, then each replicate's.
struct Points {
    value: Vec<(f64, f64)>,
    replicates: Vec<Vec<(f64, f64)>>,
}

pub(super) fn curve_changes(
    before: &Side,
    after: &Side,
    variants: &BTreeMap<&str, &VariantSide>,
    options: &Options,
) -> Vec<CurveChange> {
    let mut all = Vec::new();
    for curve in after.curves() {
        let members: Vec<(&str, &str)> = after
            .variants
            .iter()
            .filter(|v| v.curve.as_deref() == Some(curve))
            .filter_map(|v| Some((variants.get(v.id.as_str())?.id.as_str(), v.id.as_str())))
            .collect();
        let (olds, news): (Vec<&str>, Vec<&str>) = members.into_iter().unzip();
        let (Some(old), Some(new)) =
            (points(before, after, &olds, options), points(after, before, &news, options))
        else {
            continue;
        };
        if old.value.len() > 1 {
            all.extend(changes(curve, &old, &new, options));
        }
    }
    all
}

/// Points of some variants of `side` over the probes that `other` has as well; `None` if a cell is missing.
fn points(side: &Side, other: &Side, variants: &[&str], options: &Options) -> Option<Points> {
    let axis = |role: ProbeRole, aggregate: Aggregate| {
        let probes = side.probes.iter().filter(|p| p.role == role && other.probe(&p.id).is_some());
        // By probe, variant, then the value and its replicates.
        let scores: Vec<Vec<Vec<f64>>> = probes
            .map(|probe| {
                let estimators: Vec<_> = variants
                    .iter()
                    .map(|v| side.cell(v, &probe.id).map(|c| probe.estimator(&c.hits)))
                    .collect::<Option<_>>()?;
                let statistics: Vec<_> = estimators.iter().collect();
                let draws = probe.replicates(&options.resampling, &statistics);
                let whole = |(e, d): (&crate::stats::Estimator, Vec<f64>)| [vec![e.value()], d].concat();
                Some(estimators.iter().zip(draws).map(whole).collect())
            })
            .collect::<Option<_>>()?;
        let joined = |variant: usize, r: usize| aggregate.of(scores.iter().map(|probe| probe[variant][r]));
        let rows = 1 + options.resampling.resamples;
        (0..rows)
            .map(|r| (0..variants.len()).map(|v| joined(v, r)).collect::<Option<Vec<f64>>>())
            .collect::<Option<Vec<_>>>()
    };
    let speciality = axis(ProbeRole::Speciality, side.speciality)?;
    let generality = axis(ProbeRole::Generality, side.generality)?;
    let mut rows = speciality.into_iter().zip(generality).map(|(s, g)| s.into_iter().zip(g).collect());
    Some(Points { value: rows.next()?, replicates: rows.collect() })
}

fn changes(curve: &str, old: &Points, new: &Points, options: &Options) -> Vec<CurveChange> {
    let least = |f: fn(&(f64, f64)) -> f64| old.value.iter().map(f).fold(f64::INFINITY, f64::min);
    let corner = (least(|p| p.0), least(|p| p.1));
    let area = |points: &[(f64, f64)]| hypervolume(points, corner);
    let above = old.replicates.iter().zip(&new.replicates).filter(|(o, n)| lies_above(n, o)).count();
    let p_above = above as f64 / old.replicates.len().max(1) as f64;
    let change = |quantity, before: f64, after: f64, draws: Vec<f64>| {
        let (p, p_worse) = resampled_p(&draws);
        CurveChange {
            curve: curve.to_owned(),
            quantity,
            before,
            after,
            difference: after - before,
            interval: percentile(&draws, options.confidence),
            p,
            p_worse,
            p_above,
        }
    };
    let pairs = || old.replicates.iter().zip(&new.replicates);
    let mut all = vec![change(
        AREA,
        area(&old.value),
        area(&new.value),
        pairs().map(|(o, n)| area(n) - area(o)).collect(),
    )];
    if let Some(gap) = gap(&old.value, &new.value) {
        // Replicates in which no speciality is reached by both say nothing.
        let draws = pairs().filter_map(|(o, n)| self::gap(o, n)).collect();
        all.push(change(EQUAL_SPECIALITY, 0.0, gap, draws));
    }
    all
}

/// Mean over the points of the old frontier of how much more generality the new one has at their speciality;
/// points whose speciality the new one does not reach are left out (their loss shows in the speciality itself).
fn gap(old: &[(f64, f64)], new: &[(f64, f64)]) -> Option<f64> {
    let on = crate::stats::pareto(old);
    let front = old.iter().zip(on).filter(|(_, on)| *on).map(|(p, _)| *p);
    let gaps: Vec<f64> = front.filter_map(|(x, y)| Some(height_at(new, x)? - y)).collect();
    (!gaps.is_empty()).then(|| gaps.iter().sum::<f64>() / gaps.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_is_measured_at_the_old_speciality() {
        let old = [(0.2, 0.8), (0.6, 0.4)];
        // At 0.2 the new curve has 0.7; at 0.6 it has 0.5.
        let new = [(0.2, 0.7), (0.6, 0.5)];
        assert!(gap(&old, &new).unwrap().abs() < 1e-12);
        assert!((gap(&old, &[(0.7, 0.3)]).unwrap() + 0.3).abs() < 1e-12);
        assert_eq!(gap(&old, &[(0.1, 0.9)]), None);
    }
}
