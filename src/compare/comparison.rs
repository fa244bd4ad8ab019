//! Two sides paired, example by example.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::CompareError;
use super::curves::{CurveChange, curve_changes};
use super::options::Options;
use super::outcomes::Outcomes;
use super::side::{CellSide, ProbeSide, Side, VariantSide};
use crate::stats::{
    Change, Design, Drawing, Flips, Interval, Swaps, benjamini_hochberg, holm, percentile, standard_deviation,
};

/// One variant on one probe, before and after.
#[derive(Clone, Debug, Serialize, JsonSchema)]
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
    /// Two-sided p-value of a paired permutation of units (examples, or clusters). For hits of single examples that is
    /// McNemar's exact test, which is computed as such.
    pub p: f64,
    /// One-sided p-value, likewise: small where it got worse.
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
    /// What each unit adds to the difference, with its sign turned where smaller values are better.
    #[serde(skip)]
    pub changes: Vec<Change>,
    /// Whether a smaller value is better.
    #[serde(skip)]
    pub lower_is_better: bool,
}

/// Change of one class.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
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

/// A side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// The one that is compared with: A, the baseline.
    First,
    /// The one that is compared: B, the results.
    Second,
}

/// Something that only one side has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unpaired {
    /// The side that has it.
    pub only_in: Which,
    /// A variant, if it is one cell or all of its cells.
    pub variant: Option<String>,
    /// A probe, if it is one cell or all of its cells.
    pub probe: Option<String>,
}

impl fmt::Display for Unpaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.only_in == Which::First { "first" } else { "second" };
        match (&self.variant, &self.probe) {
            (Some(v), Some(p)) => write!(f, "`{v}` on probe `{p}` is only in the {side}"),
            (Some(v), None) => write!(f, "variant `{v}` is only in the {side}"),
            (None, Some(p)) => write!(f, "probe `{p}` is only in the {side}"),
            (None, None) => write!(f, "all is only in the {side}"),
        }
    }
}

/// Patterns that are drawn at least, so that small p-values can be told apart.
const PATTERNS: usize = 9_999;

/// Everything that changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Comparison {
    /// Cells that both sides have.
    pub cells: Vec<CellChange>,
    /// Curves that both sides have.
    pub curves: Vec<CurveChange>,
    /// What only one side has.
    pub unpaired: Vec<Unpaired>,
    /// Exchanges of units, the same for all cells and curves.
    #[serde(skip)]
    pub swaps: Swaps,
    /// Differences that do not stand against comparing, in words.
    pub remarks: Vec<String>,
}

impl Comparison {
    /// Compares two sides; `before` and `after` must have been measured alike.
    pub fn new(before: &Side, after: &Side, options: &Options) -> Result<Self, CompareError> {
        refuse_mixed(before, after)?;
        let variants = pair_variants(before, after);
        let unpaired = lone(before, after, &variants);
        let pairs = cell_pairs(before, after, &variants);
        if pairs.is_empty() {
            let reason = unpaired.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            return Err(CompareError::Nothing(if reason.is_empty() { "no cell".to_owned() } else { reason }));
        }
        let units = pairs.iter().flat_map(|p| p.changes.iter().map(|c| &c.0));
        let swaps = Swaps::new(units, options.resampling.resamples.max(PATTERNS), options.resampling.seed);
        let drawings = Drawing::of(after.probes.iter().map(|p| (p.frame(), p.units.clone())).collect());
        let mut cells = Vec::new();
        for (probe, drawing) in after.probes.iter().zip(&drawings) {
            let of_probe: Vec<&CellPair<'_>> = pairs.iter().filter(|p| p.probe.id == probe.id).collect();
            cells.extend(probe_changes(probe, drawing, &of_probe, &swaps, options));
        }
        let p: Vec<f64> = cells.iter().map(|c| c.p).collect();
        for ((cell, h), b) in cells.iter_mut().zip(holm(&p)).zip(benjamini_hochberg(&p)) {
            (cell.p_holm, cell.p_bh) = (h, b);
        }
        let curves = curve_changes(before, after, &variants, &drawings, &swaps, options);
        let mut remarks = Vec::new();
        if before.suite_digest != after.suite_digest {
            remarks.push("the suite's text differs".to_owned());
        }
        if before.version != after.version {
            remarks.push(format!("made by versions {} and {}", before.version, after.version));
        }
        for probe in after.unpaired.iter().chain(&before.unpaired) {
            let text = format!("probe `{probe}` is not compared: no paired test fits its metric");
            if !remarks.contains(&text) {
                remarks.push(text);
            }
        }
        for (after, before) in variants.iter().filter(|(a, b)| **a != b.id) {
            remarks.push(format!("`{}` of the first is paired with `{after}` of the second", before.id));
        }
        Ok(Self { cells, curves, unpaired, swaps, remarks })
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

/// One cell on both sides.
struct CellPair<'a> {
    probe: &'a ProbeSide,
    variant: &'a VariantSide,
    old: &'a VariantSide,
    before: &'a CellSide,
    after: &'a CellSide,
    /// By unit, turned so that a gain is above zero.
    changes: Vec<Change>,
}

fn cell_pairs<'a>(
    before: &'a Side,
    after: &'a Side,
    variants: &BTreeMap<&str, &'a VariantSide>,
) -> Vec<CellPair<'a>> {
    let mut all = Vec::new();
    for probe in after.probes.iter().filter(|p| before.probe(&p.id).is_some()) {
        let sign = if probe.higher_is_better() { 1.0 } else { -1.0 };
        for variant in &after.variants {
            let Some(&old) = variants.get(variant.id.as_str()) else { continue };
            let (Some(b), Some(a)) = (before.cell(&old.id, &probe.id), after.cell(&variant.id, &probe.id))
            else {
                continue;
            };
            let mut changes = probe.changes(&b.outcomes, &a.outcomes);
            changes.iter_mut().for_each(|c| c.1 *= sign);
            all.push(CellPair { probe, variant, old, before: b, after: a, changes });
        }
    }
    all
}

fn probe_changes(
    probe: &ProbeSide,
    drawing: &Drawing,
    pairs: &[&CellPair<'_>],
    swaps: &Swaps,
    options: &Options,
) -> Vec<CellChange> {
    let estimator = |o: &Outcomes| probe.estimator(o).in_units(&drawing.places);
    let estimators: Vec<_> =
        pairs.iter().flat_map(|p| [estimator(&p.before.outcomes), estimator(&p.after.outcomes)]).collect();
    let statistics: Vec<_> = estimators.iter().collect();
    let replicates = options.resampling.drawn(drawing, &statistics);
    let one = |(i, pair): (usize, &&CellPair<'_>)| {
        let draws: Vec<f64> =
            replicates[2 * i].iter().zip(&replicates[2 * i + 1]).map(|(x, y)| y - x).collect();
        cell_change(pair, drawing, &draws, swaps, options)
    };
    pairs.iter().enumerate().map(one).collect()
}

fn cell_change(
    pair: &CellPair<'_>,
    drawing: &Drawing,
    draws: &[f64],
    swaps: &Swaps,
    options: &Options,
) -> CellChange {
    let (probe, n) = (pair.probe, pair.probe.labels.len());
    let (before, after) = (&pair.before.outcomes, &pair.after.outcomes);
    let hits = before.hits().zip(after.hits());
    let flips = hits.map(|(b, a)| Flips::count(b, a)).unwrap_or_default();
    let plain = !probe.macro_mean && drawing.is_single();
    let (p, p_worse) = match hits {
        Some(_) if plain => (flips.mcnemar(), flips.mcnemar_worse()),
        _ => permuted_p(swaps, &pair.changes),
    };
    let design = Design { significance: 1.0 - options.confidence, power: 0.8 };
    // Of one example's difference, from that of the metric's.
    let deviation = standard_deviation(draws).unwrap_or(0.0) * (n as f64).sqrt();
    let ids = |wanted: fn(bool, bool) -> bool| -> Vec<String> {
        let Some((b, a)) = hits else { return Vec::new() };
        let both = b.iter().zip(a).zip(&probe.ids);
        both.filter(|((x, y), _)| wanted(**x, **y)).map(|(_, id)| id.clone()).collect()
    };
    CellChange {
        variant: pair.variant.id.clone(),
        variant_before: pair.old.id.clone(),
        curve: pair.variant.curve.clone(),
        alpha: pair.variant.alpha,
        probe: probe.id.clone(),
        metric: probe.metric.clone(),
        n,
        before: pair.before.value,
        after: pair.after.value,
        difference: pair.after.value - pair.before.value,
        interval: percentile(draws, options.confidence),
        gained: flips.gained,
        lost: flips.lost,
        p,
        p_worse,
        p_holm: p,
        p_bh: p,
        detectable: design.detectable(deviation, n),
        examples_needed: design.examples(deviation, pair.after.value - pair.before.value),
        gained_ids: ids(|x, y| !x && y),
        lost_ids: ids(|x, y| x && !y),
        classes: hits.map(|(b, a)| classes(probe, b, a)).unwrap_or_default(),
        changes: pair.changes.clone(),
        lower_is_better: !probe.higher_is_better(),
    }
}

/// Two-sided and one-sided p-values of a sum of changes under exchanges of before and after.
fn permuted_p(swaps: &Swaps, changes: &[Change]) -> (f64, f64) {
    if changes.is_empty() {
        return (1.0, 1.0);
    }
    let total: f64 = changes.iter().map(|c| c.1).sum();
    let falls: Vec<f64> = swaps.moved(changes).into_iter().map(|s| 2.0 * s - total).collect();
    let either: Vec<f64> = falls.iter().map(|f| f.abs()).collect();
    (swaps.p_value(total.abs(), &either), swaps.p_value(-total, &falls))
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

/// Variants, probes and cells that only one side has.
fn lone(before: &Side, after: &Side, variants: &BTreeMap<&str, &VariantSide>) -> Vec<Unpaired> {
    let mut all = Vec::new();
    let partner: BTreeMap<&str, &str> = variants.iter().map(|(a, b)| (b.id.as_str(), *a)).collect();
    let mut look =
        |side: &Side, other: &Side, only_in: Which, counterpart: &dyn Fn(&str) -> Option<String>| {
            let lone_probe = |p: &&ProbeSide| other.probe(&p.id).is_none() && !other.unpaired.contains(&p.id);
            for probe in side.probes.iter().filter(lone_probe) {
                all.push(Unpaired { only_in, variant: None, probe: Some(probe.id.clone()) });
            }
            for variant in &side.variants {
                let Some(there) = counterpart(&variant.id) else {
                    all.push(Unpaired { only_in, variant: Some(variant.id.clone()), probe: None });
                    continue;
                };
                let cells =
                    side.cells.iter().filter(|c| c.variant == variant.id && other.probe(&c.probe).is_some());
                for cell in cells.filter(|c| other.cell(&there, &c.probe).is_none()) {
                    let (variant, probe) = (Some(variant.id.clone()), Some(cell.probe.clone()));
                    all.push(Unpaired { only_in, variant, probe });
                }
            }
        };
    look(before, after, Which::First, &|id| partner.get(id).map(|a| (*a).to_owned()));
    look(after, before, Which::Second, &|id| variants.get(id).map(|b| b.id.clone()));
    all
}
