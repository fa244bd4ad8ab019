//! Whole curves, before and after.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::options::Options;
use super::side::{CellSide, ProbeSide, Side, VariantSide};
use crate::stats::{Aggregate, Drawing, Interval, Swaps, height_at, hypervolume, lies_above, percentile};
use crate::suite::ProbeRole;

/// A curve, before and after.
#[derive(Clone, Debug, Serialize, JsonSchema)]
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
    /// Two-sided p-value of a paired permutation of units.
    pub p: f64,
    /// One-sided p-value, likewise: small where it got worse.
    pub p_worse: f64,
    /// Share of the resamples in which the second frontier lies above the first.
    pub p_above: f64,
    /// The fall under each exchange of before and after.
    #[serde(skip)]
    pub falls: Vec<f64>,
}

/// Area that the curve's points dominate.
pub const AREA: &str = "hypervolume";
/// Mean difference of generality at the speciality of the first side's points.
pub const EQUAL_SPECIALITY: &str = "generality at equal speciality";

/// (speciality, generality) of some variants.
type Plane = Vec<(f64, f64)>;

/// A curve on both sides: as measured, in each resample, and under each exchange of before and after.
struct Both {
    value: (Plane, Plane),
    replicates: Vec<(Plane, Plane)>,
    exchanged: Vec<(Plane, Plane)>,
}

/// One probe's numbers for the members of a curve on both sides: the value, its replicates, its exchanges.
struct Column {
    before: Vec<Vec<f64>>,
    after: Vec<Vec<f64>>,
}

pub(super) fn curve_changes(
    before: &Side,
    after: &Side,
    variants: &BTreeMap<&str, &VariantSide>,
    drawings: &[Drawing],
    swaps: &Swaps,
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
        if members.len() < 2 {
            continue;
        }
        if let Some(both) = both_sides(before, after, &members, drawings, swaps, options) {
            all.extend(changes(curve, &both, swaps, options));
        }
    }
    all
}

/// The planes of a curve's members over the probes that both sides have; `None` if a cell is missing. Metrics of which
/// smaller values are better enter with their signs turned.
fn both_sides(
    before: &Side,
    after: &Side,
    members: &[(&str, &str)],
    drawings: &[Drawing],
    swaps: &Swaps,
    options: &Options,
) -> Option<Both> {
    let axis = |role: ProbeRole, aggregate: Aggregate| -> Option<Column> {
        let probes = after.probes.iter().zip(drawings);
        let probes = probes.filter(|(p, _)| p.role == role && before.probe(&p.id).is_some());
        let columns: Vec<Column> = probes
            .map(|(probe, drawing)| column(before, after, members, probe, drawing, swaps, options))
            .collect::<Option<_>>()?;
        let join = |side: &dyn Fn(&Column) -> &Vec<Vec<f64>>| -> Option<Vec<Vec<f64>>> {
            let rows = side(columns.first()?)[0].len();
            (0..members.len())
                .map(|m| (0..rows).map(|r| aggregate.of(columns.iter().map(|c| side(c)[m][r]))).collect())
                .collect()
        };
        Some(Column { before: join(&|c| &c.before)?, after: join(&|c| &c.after)? })
    };
    let speciality = axis(ProbeRole::Speciality, after.speciality)?;
    let generality = axis(ProbeRole::Generality, after.generality)?;
    let plane =
        |x: &[Vec<f64>], y: &[Vec<f64>], r: usize| x.iter().zip(y).map(|(x, y)| (x[r], y[r])).collect();
    let at = |r: usize| {
        (plane(&speciality.before, &generality.before, r), plane(&speciality.after, &generality.after, r))
    };
    let first = 1 + options.resampling.resamples;
    Some(Both {
        value: at(0),
        replicates: (1..first).map(at).collect(),
        exchanged: (first..first + swaps.count()).map(at).collect(),
    })
}

fn column(
    before: &Side,
    after: &Side,
    members: &[(&str, &str)],
    probe: &ProbeSide,
    drawing: &Drawing,
    swaps: &Swaps,
    options: &Options,
) -> Option<Column> {
    let sign = if probe.higher_is_better() { 1.0 } else { -1.0 };
    let mut cells = Vec::new();
    for (old, new) in members {
        cells.push((before.cell(old, &probe.id)?, after.cell(new, &probe.id)?));
    }
    let estimator = |c: &CellSide| probe.estimator(&c.outcomes).in_units(&drawing.places);
    let estimators: Vec<_> = cells.iter().flat_map(|(b, a)| [estimator(b), estimator(a)]).collect();
    let statistics: Vec<_> = estimators.iter().collect();
    let draws = options.resampling.drawn(drawing, &statistics);
    let mut column = Column { before: Vec::new(), after: Vec::new() };
    for (i, (b, a)) in cells.iter().enumerate() {
        let moved = swaps.moved(&probe.changes(&b.outcomes, &a.outcomes));
        let numbers = |value: f64, draws: &[f64], moved: &dyn Fn(f64) -> f64, all: &[f64]| -> Vec<f64> {
            let exchanged = all.iter().map(|s| moved(*s));
            std::iter::once(value).chain(draws.iter().copied()).chain(exchanged).map(|v| sign * v).collect()
        };
        column.before.push(numbers(b.value, &draws[2 * i], &|s| b.value + s, &moved));
        column.after.push(numbers(a.value, &draws[2 * i + 1], &|s| a.value - s, &moved));
    }
    Some(column)
}

fn changes(curve: &str, both: &Both, swaps: &Swaps, options: &Options) -> Vec<CurveChange> {
    let (old, new) = &both.value;
    let least = |f: fn(&(f64, f64)) -> f64| old.iter().map(f).fold(f64::INFINITY, f64::min);
    let corner = (least(|p| p.0), least(|p| p.1));
    let area = |points: &[(f64, f64)]| hypervolume(points, corner);
    let above = both.replicates.iter().filter(|(o, n)| lies_above(n, o)).count();
    let p_above = above as f64 / both.replicates.len().max(1) as f64;
    let change = |quantity, before: f64, after: f64, of: &dyn Fn(&Plane, &Plane) -> Option<f64>| {
        // Replicates in which no speciality is reached by both say nothing.
        let draws: Vec<f64> = both.replicates.iter().filter_map(|(o, n)| of(o, n)).collect();
        let falls: Vec<f64> = both.exchanged.iter().map(|(o, n)| of(o, n).map_or(0.0, |d| -d)).collect();
        let either: Vec<f64> = falls.iter().map(|f| f.abs()).collect();
        let difference = after - before;
        CurveChange {
            curve: curve.to_owned(),
            quantity,
            before,
            after,
            difference,
            interval: percentile(&draws, options.confidence),
            p: swaps.p_value(difference.abs(), &either),
            p_worse: swaps.p_value(-difference, &falls),
            p_above,
            falls,
        }
    };
    let mut all = vec![change(AREA, area(old), area(new), &|o, n| Some(area(n) - area(o)))];
    if let Some(gap) = gap(old, new) {
        all.push(change(EQUAL_SPECIALITY, 0.0, gap, &|o, n| self::gap(o, n)));
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
