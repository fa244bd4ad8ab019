//! Ways of fine-tuning compared as whole curves, means over seeds, with paired resamples.

use serde::{Deserialize, Serialize};

use super::points::OnAxes;
use crate::plan::Curve;
use crate::stats::{
    Interval, height_at, hypervolume, lies_above, percentile, simultaneous_band, standard_deviation,
};
use crate::store::Manifest;

/// What is said of one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodReport {
    /// Its name as the suite gives it, and the merge where it is not WiSE-FT.
    pub method: String,
    /// Its curves, one a seed.
    pub curves: Vec<String>,
    /// Speciality and generality of its fine-tuned ends, means over seeds.
    pub tuned: (f64, f64),
    /// Its curve, the mean over seeds at each alpha.
    pub points: Vec<(f64, f64)>,
    /// Mean over seeds of the area that a curve dominates above the common reference.
    pub area: f64,
    /// Its interval over examples.
    pub area_ci: Option<Interval>,
    /// Standard deviation over seeds, of two or more.
    pub area_sd: Option<f64>,
    /// Generality at the speciality that all methods reach.
    pub generality: Option<f64>,
    /// Its interval.
    pub generality_ci: Option<Interval>,
    /// Area less that of the baseline, in a band that holds for all methods together.
    pub difference: f64,
    /// That band.
    pub difference_ci: Option<Interval>,
    /// Share of the resamples in which its mean curve lies above that of each method, in order; none without errors.
    pub above: Vec<Option<f64>>,
    /// Likewise, in which its area is larger.
    pub larger: Vec<Option<f64>>,
}

/// Ways of fine-tuning, compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MethodsReport {
    /// What differences are taken to.
    pub baseline: String,
    /// The speciality at which generality is compared.
    pub speciality: f64,
    /// The methods, the largest area first.
    pub methods: Vec<MethodReport>,
}

/// One method's curves: points along each.
struct Curves<'a> {
    name: String,
    ids: Vec<String>,
    /// By seed, by alpha.
    points: Vec<Vec<&'a OnAxes>>,
}

type Plane = Vec<(f64, f64)>;

impl Curves<'_> {
    fn resamples(&self) -> usize {
        self.points.iter().flatten().map(|p| p.resamples()).min().unwrap_or(0)
    }

    /// Points of each seed's curve, of the estimate or of a replicate.
    fn at(&self, replicate: Option<usize>) -> Vec<Plane> {
        let point = |p: &&OnAxes| match replicate {
            None => (p.speciality.value, p.generality.value),
            Some(r) => (p.speciality.replicates[r], p.generality.replicates[r]),
        };
        self.points.iter().map(|curve| curve.iter().map(point).collect()).collect()
    }

    /// The mean curve over seeds, alpha by alpha; where alphas differ between seeds, all points.
    fn mean(all: &[Plane]) -> Plane {
        let n = all.len() as f64;
        if all.iter().any(|c| c.len() != all[0].len()) {
            return all.concat();
        }
        let at = |i: usize| {
            let sum = all.iter().fold((0.0, 0.0), |s, c| (s.0 + c[i].0, s.1 + c[i].1));
            (sum.0 / n, sum.1 / n)
        };
        (0..all[0].len()).map(at).collect()
    }
}

/// The name of a curve's method: with the merge where it is not WiSE-FT.
pub fn method_of(curve: &Curve) -> String {
    if curve.merge == "wise-ft" { curve.method.clone() } else { format!("{}, {}", curve.method, curve.merge) }
}

/// Curves by method, in the order of the suite.
fn by_method<'a>(manifest: &Manifest, both: &'a [OnAxes]) -> Vec<Curves<'a>> {
    let mut all: Vec<Curves<'a>> = Vec::new();
    for curve in &manifest.curves {
        let on = |p: &crate::plan::CurvePoint| both.iter().find(|l| l.variant == p.variant);
        let points: Vec<&OnAxes> = curve.points.iter().filter_map(on).collect();
        if points.is_empty() {
            continue;
        }
        let name = method_of(curve);
        let place = all.iter().position(|c| c.name == name).unwrap_or_else(|| {
            all.push(Curves { name, ids: Vec::new(), points: Vec::new() });
            all.len() - 1
        });
        all[place].ids.push(curve.id.clone());
        all[place].points.push(points);
    }
    all
}

/// Compares the methods of a suite; `None` with fewer than two.
pub(super) fn compare_methods(
    manifest: &Manifest,
    both: &[OnAxes],
    reference: (f64, f64),
) -> Option<MethodsReport> {
    let all = by_method(manifest, both);
    if all.len() < 2 {
        return None;
    }
    let level = manifest.suite.stats.confidence;
    let resamples = all.iter().map(Curves::resamples).min().unwrap_or(0);
    let baseline = all.iter().position(|c| c.name == "full").unwrap_or(0);
    let areas = |r: Option<usize>| -> Vec<Vec<f64>> {
        all.iter().map(|c| c.at(r).iter().map(|p| hypervolume(p, reference)).collect()).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let values = areas(None);
    let value: Vec<f64> = values.iter().map(|v| mean(v)).collect();
    let drawn: Vec<Vec<f64>> =
        (0..resamples).map(|r| areas(Some(r)).iter().map(|v| mean(v)).collect()).collect();
    let of = |i: usize| -> Vec<f64> { drawn.iter().map(|d| d[i]).collect() };
    let planes: Vec<Plane> = all.iter().map(|c| Curves::mean(&c.at(None))).collect();
    let planes_drawn: Vec<Vec<Plane>> =
        (0..resamples).map(|r| all.iter().map(|c| Curves::mean(&c.at(Some(r)))).collect()).collect();
    // The speciality that every method's mean curve reaches.
    let reach = |p: &Plane| p.iter().map(|q| q.0).fold(f64::NEG_INFINITY, f64::max);
    let speciality = planes.iter().map(reach).fold(f64::INFINITY, f64::min);

    let others: Vec<usize> = (0..all.len()).filter(|&i| i != baseline).collect();
    let differences: Vec<f64> = others.iter().map(|&i| value[i] - value[baseline]).collect();
    let differences_drawn: Vec<Vec<f64>> =
        others.iter().map(|&i| drawn.iter().map(|d| d[i] - d[baseline]).collect()).collect();
    let bands = simultaneous_band(&differences, &differences_drawn, level).unwrap_or_default();
    let share = |count: usize| (resamples > 0).then(|| count as f64 / resamples as f64);
    let report = |i: usize| {
        let ends: Vec<(f64, f64)> = all[i].at(None).iter().filter_map(|c| c.last().copied()).collect();
        let generality: Vec<f64> = planes_drawn.iter().filter_map(|p| height_at(&p[i], speciality)).collect();
        let beats = |j: usize, test: &dyn Fn(usize, usize, usize) -> bool| {
            if i == j { None } else { share((0..resamples).filter(|&r| test(r, i, j)).count()) }
        };
        MethodReport {
            method: all[i].name.clone(),
            curves: all[i].ids.clone(),
            tuned: (
                mean(&ends.iter().map(|e| e.0).collect::<Vec<_>>()),
                mean(&ends.iter().map(|e| e.1).collect::<Vec<_>>()),
            ),
            points: planes[i].clone(),
            area: value[i],
            area_ci: percentile(&of(i), level),
            area_sd: if values[i].len() > 1 { standard_deviation(&values[i]) } else { None },
            generality: height_at(&planes[i], speciality),
            // Where some resamples do not reach so far, there is no interval of all of them.
            generality_ci: if generality.len() == resamples { percentile(&generality, level) } else { None },
            difference: value[i] - value[baseline],
            difference_ci: others.iter().position(|&o| o == i).and_then(|p| bands.get(p).copied()),
            above: (0..all.len())
                .map(|j| beats(j, &|r, i, j| lies_above(&planes_drawn[r][i], &planes_drawn[r][j])))
                .collect(),
            larger: (0..all.len()).map(|j| beats(j, &|r, i, j| drawn[r][i] > drawn[r][j])).collect(),
        }
    };
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|&a, &b| value[b].total_cmp(&value[a]));
    let mut methods: Vec<MethodReport> = order.iter().map(|&i| report(i)).collect();
    for method in &mut methods {
        let sorted = |v: &[Option<f64>]| order.iter().map(|&i| v[i]).collect();
        (method.above, method.larger) = (sorted(&method.above), sorted(&method.larger));
    }
    Some(MethodsReport { baseline: all[baseline].name.clone(), speciality, methods })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_curve_is_the_mean_at_each_alpha() {
        let a = vec![(0.0, 1.0), (1.0, 0.0)];
        let b = vec![(0.2, 0.8), (0.6, 0.4)];
        assert_eq!(Curves::mean(&[a.clone(), b]), [(0.1, 0.9), (0.8, 0.2)]);
        assert_eq!(Curves::mean(&[a.clone(), vec![(0.5, 0.5)]]).len(), 3);
    }
}
