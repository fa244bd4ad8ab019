//! The base-to-novel protocol: halves of data sets joined over methods, data sets and seeds.
//!
//! A method's number on a half is the mean over its seeds; H is the harmonic mean of base and novel. Averages
//! over data sets are given both ways: papers report the harmonic mean of the averaged halves (CoCoOp, KgCoOp),
//! which is not the mean of the data sets' H.

use super::ReportData;
use super::points::Axis;
use crate::data::ClassSubset;
use crate::stats::{Resampling, harmonic_mean, over_seeds, standard_deviation};
use crate::store::ProbeRecord;

/// A method on one data set.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The data set.
    pub dataset: String,
    /// On the base classes.
    pub base: Axis,
    /// On the novel classes.
    pub novel: Axis,
    /// Standard deviations over seeds on base and novel, of two seeds or more.
    pub spread: Option<(f64, f64)>,
}

impl Pair {
    /// Harmonic mean of the two.
    pub fn h(&self) -> Axis {
        self.base.combine(&self.novel, harmonic_mean)
    }
}

/// A method at one alpha.
#[derive(Clone, Debug)]
pub struct MethodHalves {
    /// Name for tables and legends.
    pub label: String,
    /// Weight of the fine-tuned end, if it is a point between two checkpoints and none itself.
    pub alpha: Option<f64>,
    /// Data sets in the order of the suite.
    pub pairs: Vec<Pair>,
}

impl MethodHalves {
    /// Averages over data sets: base, novel, their harmonic mean, mean of the data sets' H.
    pub fn average(&self) -> [Axis; 4] {
        let base = Axis::mean(&self.pairs.iter().map(|p| &p.base).collect::<Vec<_>>());
        let novel = Axis::mean(&self.pairs.iter().map(|p| &p.novel).collect::<Vec<_>>());
        let h = base.combine(&novel, harmonic_mean);
        let each: Vec<Axis> = self.pairs.iter().map(Pair::h).collect();
        let mean_h = Axis::mean(&each.iter().collect::<Vec<_>>());
        [base, novel, h, mean_h]
    }
}

/// Every method on every data set of which both halves are probes; empty without such a pair.
pub fn halves(data: &ReportData) -> Vec<MethodHalves> {
    let probes = &data.manifest.probes;
    let pairs: Vec<(&ProbeRecord, &ProbeRecord)> = probes
        .iter()
        .filter(|p| p.spec.classes == ClassSubset::Base)
        .filter_map(|base| {
            let b = &base.spec;
            let novel = probes.iter().find(|n| {
                let n = &n.spec;
                n.classes == ClassSubset::Novel && (&n.dataset, &n.split) == (&b.dataset, &b.split)
            })?;
            Some((base, novel))
        })
        .collect();
    let mut groups: Vec<(String, Option<f64>, Vec<&str>)> = Vec::new();
    for variant in data.variants_in_order() {
        let (label, alpha) = method_of(data, variant);
        match groups.iter_mut().find(|g| g.0 == label) {
            Some(group) => group.2.push(variant),
            None => groups.push((label, alpha, vec![variant])),
        }
    }
    let all = groups.into_iter().map(|(label, alpha, variants)| {
        let pairs = pairs.iter().filter_map(|(b, n)| pair(data, &variants, b, n)).collect();
        MethodHalves { label, alpha, pairs }
    });
    all.filter(|m| !m.pairs.is_empty()).collect()
}

/// The label under which variants are joined, and their alpha if they are no checkpoints.
fn method_of(data: &ReportData, variant: &str) -> (String, Option<f64>) {
    let manifest = &data.manifest;
    if let Some(checkpoint) = manifest.checkpoints.iter().find(|c| c.id == variant) {
        return (checkpoint.method.clone().unwrap_or_else(|| checkpoint.id.clone()), None);
    }
    let on_curve = manifest.curves.iter().find_map(|c| {
        let point = c.points.iter().find(|p| p.variant == variant)?;
        Some((format!("{} at alpha {}", c.method, point.alpha), Some(point.alpha)))
    });
    on_curve.unwrap_or_else(|| (variant.to_owned(), None))
}

fn pair(data: &ReportData, variants: &[&str], base: &ProbeRecord, novel: &ProbeRecord) -> Option<Pair> {
    let on = |probe: &ProbeRecord| -> Vec<Axis> {
        let both = variants.iter().filter(|v| data.main(v, base).is_some() && data.main(v, novel).is_some());
        both.filter_map(|v| data.main(v, probe).map(Axis::of)).collect()
    };
    let (b, n) = (on(base), on(novel));
    if b.is_empty() {
        return None;
    }
    let stats = data.manifest.suite.stats;
    let resampling = Resampling { seed: stats.seed, resamples: stats.resamples };
    // Seeds are drawn again as well as examples, for what is computed from both halves; the same seeds for both. A mean
    // over seeds itself has Student's interval: draws from three seeds vary less than three seeds.
    let joined = |all: &[Axis]| {
        let by_seed: Vec<Vec<f64>> = all.iter().map(|a| a.replicates.clone()).collect();
        let key = format!("seeds/{}", base.spec.dataset);
        let mean = Axis::mean(all);
        let values: Vec<f64> = all.iter().map(|a| a.value).collect();
        let examples = standard_deviation(&mean.replicates).unwrap_or(0.0).powi(2);
        let own_interval = match all {
            [one] => one.own_interval,
            _ => over_seeds(&values, examples, stats.confidence),
        };
        Axis { value: mean.value, replicates: resampling.over_seeds(&key, &by_seed), own_interval }
    };
    let deviation = |all: &[Axis]| standard_deviation(&all.iter().map(|a| a.value).collect::<Vec<_>>());
    Some(Pair {
        dataset: base.spec.dataset.clone(),
        spread: deviation(&b).zip(deviation(&n)),
        base: joined(&b),
        novel: joined(&n),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_averages_of_h_differ() {
        let axis = |value: f64| Axis { value, replicates: vec![value; 2], own_interval: None };
        let pair = |base: f64, novel: f64| Pair {
            dataset: String::new(),
            base: axis(base),
            novel: axis(novel),
            spread: None,
        };
        // By hand: H of (90, 30) is 45, of (50, 70) 58.333; of the means (70, 50) it is 58.333.
        let pairs = vec![pair(0.9, 0.3), pair(0.5, 0.7)];
        let method = MethodHalves { label: String::new(), alpha: None, pairs };
        let [base, novel, h, mean_h] = method.average();
        assert!((base.value - 0.7).abs() < 1e-12 && (novel.value - 0.5).abs() < 1e-12);
        assert!((h.value - 7.0 / 12.0).abs() < 1e-12, "{}", h.value);
        assert!((mean_h.value - (0.45 + 7.0 / 12.0) / 2.0).abs() < 1e-12, "{}", mean_h.value);
        assert_eq!(mean_h.replicates.len(), 2);
    }

    // Base, novel and H of KgCoOp's README, averages over eleven sets.
    #[test]
    fn published_averages_are_harmonic_means_of_means() {
        for (base, novel, h) in
            [(69.34, 74.22, 71.70), (82.63, 67.99, 74.60), (82.48, 70.75, 76.16), (80.47, 71.69, 75.83)]
        {
            let found = harmonic_mean(base, novel);
            assert!((found - h).abs() < 0.1, "{found} {h}");
        }
    }
}
