//! The gate: which changes count as regressions.
//!
//! A gated metric fails if it fell by more than the tolerance and the fall is significant: the one-sided p-values of
//! all gated metrics are Holm-adjusted together, so that the chance of any false alarm on unchanged models stays
//! below the significance, however many alphas and probes there are.

use serde::Serialize;

use super::comparison::Comparison;
use super::curves::{AREA, EQUAL_SPECIALITY};
use super::side::Side;
use crate::stats::{Interval, holm};
use crate::suite::{CurveGate, GateSpec, ProbeRole};

/// How a gated metric came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// No fall, or one within the tolerance or not significant.
    Pass,
    /// A significant fall beyond the tolerance.
    Regression,
}

/// One gated metric.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
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
    /// Holm-adjusted over all gated metrics.
    pub p_holm: f64,
    /// Examples behind it; 0 for curves.
    pub n: usize,
    /// How it came out.
    pub outcome: Outcome,
}

impl Verdict {
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
            p_holm: 1.0,
            n: 0,
            outcome: Outcome::Pass,
        }
    }
}

/// Judges every gated metric of a comparison.
#[must_use]
pub fn check(comparison: &Comparison, after: &Side, gate: &GateSpec) -> Vec<Verdict> {
    let gated_probe = |id: &str| {
        let role = after.probe(id).map(|p| p.role);
        role != Some(ProbeRole::Selection) && gate.covers(id)
    };
    let pretrained = |id: &str| after.pretrained.iter().any(|(p, _)| p == id);
    let cells = comparison.cells.iter().filter(|c| gated_probe(&c.probe) && !pretrained(&c.variant));
    let mut all: Vec<Verdict> = cells
        .map(|c| Verdict {
            name: format!("{}/{}", c.variant, c.probe),
            metric: c.metric.clone(),
            n: c.n,
            ..Verdict::passed(c.before, c.after, c.interval, c.p_worse)
        })
        .collect();
    let gated_curve = |quantity: &str| {
        gate.curves.iter().any(|g| match g {
            CurveGate::Hypervolume => quantity == AREA,
            CurveGate::GeneralityAtEqualSpeciality => quantity == EQUAL_SPECIALITY,
        })
    };
    all.extend(comparison.curves.iter().filter(|c| gated_curve(c.quantity)).map(|c| Verdict {
        name: format!("{}/{}", c.curve, c.quantity),
        metric: c.quantity.to_owned(),
        ..Verdict::passed(c.before, c.after, c.interval, c.p_worse)
    }));
    let p: Vec<f64> = all.iter().map(|v| v.p).collect();
    for (verdict, adjusted) in all.iter_mut().zip(holm(&p)) {
        verdict.p_holm = adjusted;
        // Areas are products of fractions; the tolerance is one of fractions, so it is used as it is.
        if adjusted <= gate.significance && verdict.difference < -gate.tolerance {
            verdict.outcome = Outcome::Regression;
        }
    }
    all
}
