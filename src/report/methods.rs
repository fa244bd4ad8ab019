//! Ways of fine-tuning compared as whole curves, means over seeds, with paired resamples.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::points::OnAxes;
use crate::plan::Curve;
use crate::stats::{
    Interval, height_at, hypervolume, lies_above, percentile, simultaneous_band, standard_deviation,
};
use crate::store::Manifest;

/// What is said of one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// Points of a curve: speciality and generality, or two other scores.
pub type Plane = Vec<(f64, f64)>;

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
}

/// The mean curve over seeds, alpha by alpha; where alphas differ between seeds, all points.
pub fn mean_curve(seeds: &[Plane]) -> Plane {
    let n = seeds.len() as f64;
    if seeds.iter().any(|c| c.len() != seeds[0].len()) {
        return seeds.concat();
    }
    let at = |i: usize| {
        let sum = seeds.iter().fold((0.0, 0.0), |s, c| (s.0 + c[i].0, s.1 + c[i].1));
        (sum.0 / n, sum.1 / n)
    };
    (0..seeds[0].len()).map(at).collect()
}

/// The name of a curve's method: with the merge where it is not WiSE-FT.
pub fn method_of(curve: &Curve) -> String {
    if curve.merge == "wise-ft" { curve.method.clone() } else { format!("{}, {}", curve.method, curve.merge) }
}

/// Curves by method, in the order of the suite.
pub fn by_method(curves: &[Curve]) -> Vec<(String, Vec<&Curve>)> {
    let mut all: Vec<(String, Vec<&Curve>)> = Vec::new();
    for curve in curves {
        let name = method_of(curve);
        match all.iter_mut().find(|m| m.0 == name) {
            Some(known) => known.1.push(curve),
            None => all.push((name, vec![curve])),
        }
    }
    all
}

/// The methods that have points, with their curves.
fn measured_curves<'a>(manifest: &Manifest, both: &'a [OnAxes]) -> Vec<Curves<'a>> {
    let on = |p: &crate::plan::CurvePoint| both.iter().find(|l| l.variant == p.variant);
    let of = |(name, curves): (String, Vec<&Curve>)| {
        let each =
            curves.into_iter().map(|c| (c.id.clone(), c.points.iter().filter_map(on).collect::<Vec<_>>()));
        let (ids, points): (Vec<String>, Vec<Vec<&OnAxes>>) = each.filter(|c| !c.1.is_empty()).unzip();
        (!ids.is_empty()).then_some(Curves { name, ids, points })
    };
    by_method(&manifest.curves).into_iter().filter_map(of).collect()
}

/// Areas and mean curves of all methods, and of each resample.
struct Measured {
    /// Areas by method and seed.
    areas: Vec<Vec<f64>>,
    /// Mean areas by resample and method.
    drawn: Vec<Vec<f64>>,
    /// Mean curves by method.
    planes: Vec<Plane>,
    /// Mean curves by resample and method.
    planes_drawn: Vec<Vec<Plane>>,
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl Measured {
    fn new(all: &[Curves<'_>], reference: (f64, f64)) -> Self {
        let resamples = all.iter().map(Curves::resamples).min().unwrap_or(0);
        let measure = |r: Option<usize>| -> (Vec<Vec<f64>>, Vec<Plane>) {
            let of = |c: &Curves<'_>| {
                let seeds = c.at(r);
                (seeds.iter().map(|p| hypervolume(p, reference)).collect(), mean_curve(&seeds))
            };
            all.iter().map(of).unzip()
        };
        let (areas, planes) = measure(None);
        let drawn = |r: usize| {
            let (areas, planes) = measure(Some(r));
            (areas.iter().map(|v| mean(v)).collect(), planes)
        };
        let (drawn, planes_drawn) = (0..resamples).map(drawn).unzip();
        Self { areas, drawn, planes, planes_drawn }
    }

    fn area(&self, method: usize) -> f64 {
        mean(&self.areas[method])
    }

    /// The speciality that every method's mean curve reaches.
    fn reach(&self) -> f64 {
        let most = |p: &Plane| p.iter().map(|q| q.0).fold(f64::NEG_INFINITY, f64::max);
        self.planes.iter().map(most).fold(f64::INFINITY, f64::min)
    }

    /// Share of the resamples in which a test of two methods holds.
    fn share(&self, i: usize, j: usize, test: impl Fn(&Vec<f64>, &Vec<Plane>) -> bool) -> Option<f64> {
        let n = self.drawn.len();
        let holds = self.drawn.iter().zip(&self.planes_drawn).filter(|(areas, planes)| test(areas, planes));
        (i != j && n > 0).then(|| holds.count() as f64 / n as f64)
    }

    /// What is said of one method; its difference to the baseline has no band yet.
    fn report(&self, of: &Curves<'_>, i: usize, baseline: usize, level: f64) -> MethodReport {
        let ends: Vec<(f64, f64)> = of.at(None).iter().filter_map(|c| c.last().copied()).collect();
        let at = self.reach();
        let generality: Vec<f64> = self.planes_drawn.iter().filter_map(|p| height_at(&p[i], at)).collect();
        let areas: Vec<f64> = self.drawn.iter().map(|d| d[i]).collect();
        let others = 0..self.planes.len();
        MethodReport {
            method: of.name.clone(),
            curves: of.ids.clone(),
            tuned: (
                mean(&ends.iter().map(|e| e.0).collect::<Vec<_>>()),
                mean(&ends.iter().map(|e| e.1).collect::<Vec<_>>()),
            ),
            points: self.planes[i].clone(),
            area: self.area(i),
            area_ci: percentile(&areas, level),
            area_sd: if self.areas[i].len() > 1 { standard_deviation(&self.areas[i]) } else { None },
            generality: height_at(&self.planes[i], at),
            // Where some resamples do not reach so far, there is no interval of all of them.
            generality_ci: if generality.len() == self.drawn.len() {
                percentile(&generality, level)
            } else {
                None
            },
            difference: self.area(i) - self.area(baseline),
            difference_ci: None,
            above: others.clone().map(|j| self.share(i, j, |_, p| lies_above(&p[i], &p[j]))).collect(),
            larger: others.map(|j| self.share(i, j, |a, _| a[i] > a[j])).collect(),
        }
    }
}

/// Compares the methods of a suite; `None` with fewer than two.
pub(super) fn compare_methods(
    manifest: &Manifest,
    both: &[OnAxes],
    reference: (f64, f64),
) -> Option<MethodsReport> {
    let all = measured_curves(manifest, both);
    if all.len() < 2 {
        return None;
    }
    let level = manifest.suite.stats.confidence;
    let baseline = all.iter().position(|c| c.name == "full").unwrap_or(0);
    let measured = Measured::new(&all, reference);
    let mut reports: Vec<MethodReport> =
        all.iter().enumerate().map(|(i, c)| measured.report(c, i, baseline, level)).collect();

    let others: Vec<usize> = (0..all.len()).filter(|&i| i != baseline).collect();
    let differences: Vec<f64> = others.iter().map(|&i| reports[i].difference).collect();
    let drawn: Vec<Vec<f64>> =
        others.iter().map(|&i| measured.drawn.iter().map(|d| d[i] - d[baseline]).collect()).collect();
    for (&i, band) in others.iter().zip(simultaneous_band(&differences, &drawn, level).unwrap_or_default()) {
        reports[i].difference_ci = Some(band);
    }
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|&a, &b| reports[b].area.total_cmp(&reports[a].area));
    let sorted = |v: &[Option<f64>]| order.iter().map(|&i| v[i]).collect();
    let in_order = |&i: &usize| {
        let own = &reports[i];
        MethodReport { above: sorted(&own.above), larger: sorted(&own.larger), ..own.clone() }
    };
    Some(MethodsReport {
        baseline: all[baseline].name.clone(),
        speciality: measured.reach(),
        methods: order.iter().map(in_order).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_curve_is_the_mean_at_each_alpha() {
        let a = vec![(0.0, 1.0), (1.0, 0.0)];
        let b = vec![(0.2, 0.8), (0.6, 0.4)];
        assert_eq!(mean_curve(&[a.clone(), b]), [(0.1, 0.9), (0.8, 0.2)]);
        assert_eq!(mean_curve(&[a.clone(), vec![(0.5, 0.5)]]).len(), 3);
    }
}
