//! Two sides paired, example by example.

use std::collections::BTreeMap;

use serde::Serialize;

use super::CompareError;
use super::curves::{CurveChange, curve_changes};
use super::side::{ProbeSide, Side, VariantSide};
use crate::stats::{
    Design, Flips, Interval, Resampling, benjamini_hochberg, holm, percentile, standard_deviation,
};

/// How a comparison is computed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Level of all intervals.
    pub confidence: f64,
    /// Draws.
    pub resampling: Resampling,
}

/// One variant on one probe, before and after.
#[derive(Clone, Debug, Serialize)]
pub struct CellChange {
    /// The variant on the second side.
    pub variant: String,
    /// Its counterpart on the first side.
    pub variant_before: String,
    /// The curve, if on one.
    pub curve: Option<String>,
    /// Weight of the fine-tuned end, if on a curve.
    pub alpha: Option<f64>,
    /// The probe.
    pub probe: String,
    /// Its metric.
    pub metric: String,
    /// Examples.
    pub n: usize,
    /// The metric before.
    pub before: f64,
    /// The metric after.
    pub after: f64,
    /// After minus before.
    pub difference: f64,
    /// Interval of the difference from paired resamples.
    pub interval: Option<Interval>,
    /// Examples that were wrong and are right now.
    pub gained: usize,
    /// Examples that were right and are wrong now.
    pub lost: usize,
    /// Two-sided p-value: exact McNemar test for means, paired resamples for means over classes and clusters.
    pub p: f64,
    /// One-sided p-value: small where it got worse.
    pub p_worse: f64,
    /// `p`, Holm-adjusted over all cells.
    pub p_holm: f64,
    /// `p`, Benjamini-Hochberg-adjusted over all cells.
    pub p_bh: f64,
    /// Smallest difference that these examples show with power 0.8 at the two-sided level of the intervals.
    pub detectable: f64,
    /// Examples that would show the difference found with power 0.8; none for no difference.
    pub examples_needed: Option<u64>,
    /// Ids of examples gained; empty where the sides do not hold ids.
    pub gained_ids: Vec<String>,
    /// Ids of examples lost; as above.
    pub lost_ids: Vec<String>,
    /// Classes with changes, the largest first.
    pub classes: Vec<ClassChange>,
}

/// Change of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassChange {
    /// Its name.
    pub class: String,
    /// Examples.
    pub n: usize,
    /// Examples gained.
    pub gained: usize,
    /// Examples lost.
    pub lost: usize,
}

/// Everything that changed.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Cells that both sides have.
    pub cells: Vec<CellChange>,
    /// Curves that both sides have.
    pub curves: Vec<CurveChange>,
    /// What only one side has, in words.
    pub unpaired: Vec<String>,
    /// Differences that do not stand against comparing, in words.
    pub remarks: Vec<String>,
}

impl Comparison {
    /// Compares two sides; `before` and `after` must have been measured alike.
    pub fn new(before: &Side, after: &Side, options: &Options) -> Result<Self, CompareError> {
        refuse_mixed(before, after)?;
        let variants = pair_variants(before, after);
        let mut unpaired = Vec::new();
        let mut cells = Vec::new();
        for probe in &after.probes {
            if before.probe(&probe.id).is_none() {
                unpaired.push(format!("probe `{}` is only in the second", probe.id));
                continue;
            }
            cells.extend(probe_changes(before, after, probe, &variants, options));
        }
        unpaired.extend(lone(before, after, &variants));
        if cells.is_empty() {
            let reason = if unpaired.is_empty() { "no cell".to_owned() } else { unpaired.join("; ") };
            return Err(CompareError::Nothing(reason));
        }
        let p: Vec<f64> = cells.iter().map(|c| c.p).collect();
        for ((cell, h), b) in cells.iter_mut().zip(holm(&p)).zip(benjamini_hochberg(&p)) {
            (cell.p_holm, cell.p_bh) = (h, b);
        }
        let curves = curve_changes(before, after, &variants, options);
        let mut remarks = Vec::new();
        if before.suite_digest != after.suite_digest {
            remarks.push("the suite's text differs".to_owned());
        }
        if before.version != after.version {
            remarks.push(format!("made by versions {} and {}", before.version, after.version));
        }
        Ok(Self { cells, curves, unpaired, remarks })
    }
}

/// Refuses sides that were not measured alike, and says in what they differ.
fn refuse_mixed(before: &Side, after: &Side) -> Result<(), CompareError> {
    let mut differences = Vec::new();
    let mut differ = |what: String, a: &str, b: &str| {
        if a != b {
            differences.push(format!("{what}: {a} and {b}"));
        }
    };
    differ("type".to_owned(), &before.numerics.dtype, &after.numerics.dtype);
    differ("device".to_owned(), &before.numerics.device, &after.numerics.device);
    differ("decoder".to_owned(), &before.decoder, &after.decoder);
    for (id, digest) in &after.pretrained {
        if let Some((_, old)) = before.pretrained.iter().find(|(i, _)| i == id) {
            differ(format!("pretrained checkpoint `{id}`"), old.short(), digest.short());
        }
    }
    for probe in &after.probes {
        let Some(old) = before.probe(&probe.id) else { continue };
        let of = |what: &str| format!("{what} of probe `{}`", probe.id);
        differ(of("data"), old.data.short(), probe.data.short());
        differ(of("examples"), old.examples.short(), probe.examples.short());
        differ(of("class names and templates"), old.classes.short(), probe.classes.short());
        differ(of("metric"), &old.metric, &probe.metric);
    }
    if differences.is_empty() { Ok(()) } else { Err(CompareError::Mixed(differences)) }
}

/// Variant of the second side to its counterpart on the first: the same id; where each side has one curve, the
/// same alpha.
pub(super) fn pair_variants<'a>(before: &'a Side, after: &'a Side) -> BTreeMap<&'a str, &'a VariantSide> {
    let one_curve = before.curves().len() == 1 && after.curves().len() == 1;
    let find = |v: &VariantSide| {
        let same_id = before.variants.iter().find(|b| b.id == v.id);
        same_id.or_else(|| {
            let on_curve = |b: &&VariantSide| one_curve && v.alpha.is_some() && b.alpha == v.alpha;
            before.variants.iter().find(on_curve)
        })
    };
    after.variants.iter().filter_map(|v| Some((v.id.as_str(), find(v)?))).collect()
}

fn probe_changes(
    before: &Side,
    after: &Side,
    probe: &ProbeSide,
    variants: &BTreeMap<&str, &VariantSide>,
    options: &Options,
) -> Vec<CellChange> {
    let pairs: Vec<_> = after
        .variants
        .iter()
        .filter_map(|v| {
            let old = variants.get(v.id.as_str())?;
            Some((v, *old, before.cell(&old.id, &probe.id)?, after.cell(&v.id, &probe.id)?))
        })
        .collect();
    let estimators: Vec<_> =
        pairs.iter().flat_map(|p| [probe.estimator(&p.2.hits), probe.estimator(&p.3.hits)]).collect();
    let statistics: Vec<_> = estimators.iter().collect();
    let replicates = probe.replicates(&options.resampling, &statistics);
    pairs
        .into_iter()
        .enumerate()
        .map(|(i, (v, old, b, a))| {
            let draws: Vec<f64> =
                replicates[2 * i].iter().zip(&replicates[2 * i + 1]).map(|(x, y)| y - x).collect();
            let flips = Flips::count(&b.hits, &a.hits);
            let (p, p_worse) =
                if probe.macro_mean { resampled_p(&draws) } else { (flips.mcnemar(), flips.mcnemar_worse()) };
            let design = Design { significance: 1.0 - options.confidence, power: 0.8 };
            let n = probe.labels.len();
            // Of one example's difference, from that of the metric's.
            let deviation = standard_deviation(&draws).unwrap_or(0.0) * (n as f64).sqrt();
            let ids = |wanted: fn(bool, bool) -> bool| -> Vec<String> {
                let hit = b.hits.iter().zip(&a.hits).zip(&probe.ids);
                hit.filter(|((x, y), _)| wanted(**x, **y)).map(|(_, id)| id.clone()).collect()
            };
            CellChange {
                variant: v.id.clone(),
                variant_before: old.id.clone(),
                curve: v.curve.clone(),
                alpha: v.alpha,
                probe: probe.id.clone(),
                metric: probe.metric.clone(),
                n: probe.labels.len(),
                before: b.value,
                after: a.value,
                difference: a.value - b.value,
                interval: percentile(&draws, options.confidence),
                gained: flips.gained,
                lost: flips.lost,
                p,
                p_worse,
                p_holm: p,
                p_bh: p,
                detectable: design.detectable(deviation, n),
                examples_needed: design.examples(deviation, a.value - b.value),
                gained_ids: ids(|x, y| !x && y),
                lost_ids: ids(|x, y| x && !y),
                classes: classes(probe, &b.hits, &a.hits),
            }
        })
        .collect()
}

/// Two-sided and one-sided p-values of a difference from its paired replicates: the share of them on the other
/// side of zero, with the sample itself counted (Davison and Hinkley 1997, section 4.4).
pub(super) fn resampled_p(draws: &[f64]) -> (f64, f64) {
    let share = |n: usize| (1 + n) as f64 / (1 + draws.len()) as f64;
    let not_worse = share(draws.iter().filter(|d| **d >= 0.0).count());
    let not_better = share(draws.iter().filter(|d| **d <= 0.0).count());
    ((2.0 * not_worse.min(not_better)).min(1.0), not_worse)
}

fn classes(probe: &ProbeSide, before: &[bool], after: &[bool]) -> Vec<ClassChange> {
    let mut all: BTreeMap<u32, ClassChange> = BTreeMap::new();
    for ((&label, &b), &a) in probe.labels.iter().zip(before).zip(after) {
        let name = || probe.class_names.get(label as usize).cloned().unwrap_or_else(|| label.to_string());
        let entry =
            all.entry(label).or_insert_with(|| ClassChange { class: name(), n: 0, gained: 0, lost: 0 });
        entry.n += 1;
        entry.gained += usize::from(!b && a);
        entry.lost += usize::from(b && !a);
    }
    let mut changed: Vec<ClassChange> = all.into_values().filter(|c| c.gained + c.lost > 0).collect();
    changed.sort_by_key(|c| std::cmp::Reverse(c.gained.abs_diff(c.lost)));
    changed
}

/// Variants and probes that only one side has.
fn lone(before: &Side, after: &Side, variants: &BTreeMap<&str, &VariantSide>) -> Vec<String> {
    let mut all: Vec<String> = before
        .probes
        .iter()
        .filter(|p| after.probe(&p.id).is_none())
        .map(|p| format!("probe `{}` is only in the first", p.id))
        .collect();
    let paired = |id: &str| variants.values().any(|v| v.id == id);
    let gone = before.variants.iter().filter(|v| !paired(&v.id));
    all.extend(gone.map(|v| format!("variant `{}` is only in the first", v.id)));
    let new = after.variants.iter().filter(|v| !variants.contains_key(v.id.as_str()));
    all.extend(new.map(|v| format!("variant `{}` is only in the second", v.id)));
    all
}
