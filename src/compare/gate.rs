//! The gate: which changes count as regressions.
//!
//! A gated metric fails if it got worse by more than the tolerance and that is significant: the one-sided p-values of
//! all gated metrics are adjusted together, by the largest of them under exchanges of before and after (step-down maxT), so
//! that the chance of any false alarm on unchanged models stays below the significance, however many alphas and probes
//! there are. Neighbouring alphas move together and cost little.

use schemars::JsonSchema;
use serde::Serialize;

use super::comparison::{CellChange, Comparison, Unpaired, Which};
use super::curves::{AREA, CurveChange, EQUAL_SPECIALITY};
use super::side::Side;
use crate::stats::Interval;
use crate::suite::{CurveGate, GateSpec, ProbeRole};

/// How a gated metric came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GateOutcome {
    /// No fall, or one within the tolerance or not significant.
    Pass,
    /// A significant fall beyond the tolerance.
    Regression,
}

/// One gated metric.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct GateVerdict {
    /// `variant/probe`, or `curve/quantity`.
    pub name: String,
    /// What is measured.
    pub metric: String,
    /// The baseline's value.
    pub before: f64,
    /// The value now.
    pub after: f64,
    /// After minus before.
    pub difference: f64,
    /// Its interval.
    pub interval: Option<Interval>,
    /// One-sided p-value of a fall.
    pub p: f64,
    /// Adjusted over all gated metrics (step-down maxT).
    pub p_adjusted: f64,
    /// Examples behind it; 0 for curves.
    pub n: usize,
    /// How it came out.
    pub outcome: GateOutcome,
}

impl GateVerdict {
    /// A nameless verdict before the p-values are adjusted.
    fn passed(before: f64, after: f64, interval: Option<Interval>, p: f64) -> Self {
        Self {
            name: String::new(),
            metric: String::new(),
            before,
            after,
            difference: after - before,
            interval,
            p,
            p_adjusted: 1.0,
            n: 0,
            outcome: GateOutcome::Pass,
        }
    }
}

/// Judges every gated metric of a comparison.
#[must_use]
pub fn check(comparison: &Comparison, after: &Side, gate: &GateSpec) -> Vec<GateVerdict> {
    let cells: Vec<&CellChange> =
        comparison.cells.iter().filter(|c| is_gated(after, gate, &c.variant, &c.probe)).collect();
    let gated_curve = |quantity: &str| {
        gate.curves.iter().any(|g| match g {
            CurveGate::Hypervolume => quantity == AREA,
            CurveGate::GeneralityAtEqualSpeciality => quantity == EQUAL_SPECIALITY,
        })
    };
    let curves: Vec<&CurveChange> = comparison.curves.iter().filter(|c| gated_curve(c.quantity)).collect();
    let of_cells = cells.iter().map(|c| GateVerdict {
        name: format!("{}/{}", c.variant, c.probe),
        metric: c.metric.clone(),
        n: c.n,
        ..GateVerdict::passed(c.before, c.after, c.interval, c.p_worse)
    });
    let of_curves = curves.iter().map(|c| GateVerdict {
        name: format!("{}/{}", c.curve, c.quantity),
        metric: c.quantity.to_owned(),
        ..GateVerdict::passed(c.before, c.after, c.interval, c.p_worse)
    });
    let mut all: Vec<GateVerdict> = of_cells.chain(of_curves).collect();
    let sign = |c: &CellChange| if c.lower_is_better { -1.0 } else { 1.0 };
    let mut worse: Vec<f64> = cells.iter().map(|c| -sign(c) * c.difference).collect();
    worse.extend(curves.iter().map(|c| -c.difference));
    let under = |m: usize| match cells.get(m) {
        Some(cell) => {
            let total: f64 = cell.changes.iter().map(|c| c.1).sum();
            comparison.swaps.moved(&cell.changes).into_iter().map(|s| 2.0 * s - total).collect()
        }
        None => curves[m - cells.len()].falls.clone(),
    };
    let adjusted = comparison.swaps.adjusted(&worse, under);
    for ((verdict, adjusted), worse) in all.iter_mut().zip(adjusted).zip(worse) {
        // Never below the metric's own p-value, which is exact where patterns are drawn.
        verdict.p_adjusted = adjusted.max(verdict.p);
        // Areas are products of fractions; the tolerance is one of fractions, so it is used as it is.
        if verdict.p_adjusted <= gate.significance && worse > gate.tolerance {
            verdict.outcome = GateOutcome::Regression;
        }
    }
    all
}

/// Whether a cell is gated: its probe is no selection probe and the gate names it, its variant is no pretrained one.
#[must_use]
pub fn is_gated(side: &Side, gate: &GateSpec, variant: &str, probe: &str) -> bool {
    let role = side.probe(probe).map(|p| p.role);
    let pretrained = side.pretrained.iter().any(|(p, _)| p == variant);
    role != Some(ProbeRole::Selection) && gate.covers(probe) && !pretrained
}

/// What a baseline's gate would judge and nobody measured: gated cells that are only in the baseline, and gated probes
/// whose metric no paired test fits.
#[must_use]
pub fn not_measured(comparison: &Comparison, before: &Side, after: &Side, gate: &GateSpec) -> Vec<String> {
    let gated = |u: &&Unpaired| {
        let probe_is =
            |p: &String| before.probe(p).is_some_and(|p| p.role != ProbeRole::Selection) && gate.covers(p);
        let variant_is = |v: &String| !before.pretrained.iter().any(|(p, _)| p == v);
        u.only_in == Which::First
            && u.probe.as_ref().is_none_or(probe_is)
            && u.variant.as_ref().is_none_or(variant_is)
    };
    let missing = comparison.unpaired.iter().filter(gated).map(ToString::to_string);
    let unfit = after.unpaired.iter().filter(|p| gate.covers(p));
    missing.chain(unfit.map(|p| format!("no paired test fits the metric of probe `{p}`"))).collect()
}
