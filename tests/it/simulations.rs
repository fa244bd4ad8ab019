//! The gate on made-up results, and simulations of coverage, false alarms and power. The long ones are run by
//! hand: `cargo test --release simulations -- --ignored --nocapture`.

use rayon::prelude::*;
use specbench::base::digest::Digest;
use specbench::base::rng::CounterRng;
use specbench::compare::{
    BASELINE_FORMAT, CellSide, Comparison, Options, Outcome, Outcomes, ProbeSide, Side, VariantSide, Verdict,
    check,
};
use specbench::stats::{
    Aggregate, DifferenceSequence, Estimator, Form, Interval, Resampling, Sequence, bca, clopper_pearson,
    percentile, wilson,
};
use specbench::suite::{GateSpec, ProbeRole};

/// A side of `alphas` variants by `probes` probes; `flip` gives each bit from the base bit.
fn side(alphas: usize, probes: usize, n: usize, mut bit: impl FnMut(usize, usize, usize) -> bool) -> Side {
    let digest = Digest::of_bytes(b"x");
    let mut side = Side {
        format: BASELINE_FORMAT.to_owned(),
        suite: "s".to_owned(),
        suite_digest: digest.clone(),
        version: "0".to_owned(),
        numerics: specbench::plan::Numerics::default(),
        decoder: String::new(),
        pretrained: vec![("zs".to_owned(), digest.clone())],
        speciality: Aggregate::Mean,
        generality: Aggregate::Mean,
        probes: Vec::new(),
        variants: Vec::new(),
        cells: Vec::new(),
        unpaired: Vec::new(),
    };
    for p in 0..probes {
        side.probes.push(ProbeSide {
            id: format!("p{p}"),
            role: if p == 0 { ProbeRole::Speciality } else { ProbeRole::Generality },
            metric: "top1".to_owned(),
            macro_mean: false,
            data: Digest::of_bytes(&[p as u8]),
            examples: digest.clone(),
            classes: digest.clone(),
            class_names: vec!["c".to_owned()],
            labels: vec![0; n],
            ids: (0..n).map(|i| i.to_string()).collect(),
            units: (0..n).map(|i| i.to_string()).collect(),
        });
    }
    for a in 0..alphas {
        let id = if a == 0 { "zs".to_owned() } else { format!("ft@{a}") };
        let alpha = a as f64 / (alphas - 1) as f64;
        side.variants.push(VariantSide { id: id.clone(), curve: Some("ft".to_owned()), alpha: Some(alpha) });
        for p in 0..probes {
            let hits: Vec<bool> = (0..n).map(|i| bit(a, p, i)).collect();
            let value = hits.iter().filter(|h| **h).count() as f64 / n as f64;
            let (variant, probe) = (id.clone(), format!("p{p}"));
            side.cells.push(CellSide { variant, probe, value, outcomes: Outcomes::Hits(hits) });
        }
    }
    side
}

fn verdicts(before: &Side, after: &Side, resamples: usize) -> Vec<Verdict> {
    let resampling = Resampling { seed: 0, resamples };
    let comparison = Comparison::new(before, after, &Options { confidence: 0.95, resampling }).unwrap();
    check(&comparison, after, &GateSpec::default())
}

#[test]
fn a_large_loss_is_a_regression_and_an_unchanged_model_is_none() {
    let base = |_: usize, _: usize, i: usize| !i.is_multiple_of(3);
    let before = side(3, 2, 400, base);
    let same = verdicts(&before, &before, 200);
    assert_eq!(same.len(), 2 * 2 + 2);
    assert!(same.iter().all(|v| v.outcome == Outcome::Pass && v.p_adjusted == 1.0));
    // The fine-tuned end loses 60 of 400 on the second probe.
    let worse = side(3, 2, 400, |a, p, i| base(a, p, i) && !(a == 2 && p == 1 && i < 90));
    let found = verdicts(&before, &worse, 200);
    let failed: Vec<&str> =
        found.iter().filter(|v| v.outcome == Outcome::Regression).map(|v| v.name.as_str()).collect();
    assert_eq!(failed, ["ft@2/p1"]);
}

#[test]
fn small_or_doubtful_losses_pass() {
    let base = |_: usize, _: usize, i: usize| !i.is_multiple_of(3);
    let before = side(2, 2, 5000, base);
    // Significant, but less than a point.
    let slight = side(2, 2, 5000, |a, p, i| base(a, p, i) && !(a == 1 && i < 60));
    let found = verdicts(&before, &slight, 200);
    assert!(found.iter().any(|v| v.p_adjusted < 0.05 && v.difference < 0.0), "{found:?}");
    assert!(found.iter().all(|v| v.outcome == Outcome::Pass));
    // Three points on few examples.
    let (few, lost) = (side(2, 2, 66, base), side(2, 2, 66, |a, p, i| base(a, p, i) && !(a == 1 && i < 3)));
    assert!(verdicts(&few, &lost, 200).iter().all(|v| v.outcome == Outcome::Pass));
}

/// Runs of 11 alphas by 6 probes at `n` examples in which every example of every variant flips with
/// probability `churn` in either direction alike, as retraining without a change does, and the share of runs
/// with an alarm; `loss` moves that many points of the last probe's accuracy at every alpha.
fn alarms(runs: usize, n: usize, churn: f64, loss: f64) -> f64 {
    let stream = CounterRng::new(11, "gate");
    let alarmed = (0..runs)
        .into_par_iter()
        .filter(|&run| {
            let mut rng = stream.stream(run as u64);
            // Neighbouring alphas agree on most examples: one uniform number per example and probe.
            let easy: Vec<f64> = (0..6 * n).map(|_| rng.uniform()).collect();
            let moved: Vec<f64> = (0..6 * n).map(|_| rng.uniform()).collect();
            let right = |a: usize, p: usize, i: usize| easy[p * n + i] < 0.6 + 0.01 * a as f64;
            let before = side(11, 6, n, right);
            let after = side(11, 6, n, |a, p, i| {
                let m = moved[p * n + i];
                let hit = right(a, p, i);
                let rate = 0.6 + 0.01 * a as f64;
                // Equal numbers of flips in both directions keep the accuracy.
                let flips = if hit { m < churn / 2.0 / rate } else { m < churn / 2.0 / (1.0 - rate) };
                let falls = p == 5 && hit && a > 0 && m > 1.0 - loss / rate;
                (hit != flips) && !falls
            });
            verdicts(&before, &after, 200).iter().any(|v| v.outcome == Outcome::Regression)
        })
        .count();
    alarmed as f64 / runs as f64
}

#[test]
#[ignore = "a simulation of minutes; its figures are in suites/gate/README.md"]
fn false_alarms_and_power() {
    for (churn, loss) in [(0.04, 0.0), (0.1, 0.0), (0.04, 0.03), (0.1, 0.03), (0.04, 0.05)] {
        let share = alarms(1000, 500, churn, loss);
        println!("churn {churn}, loss {loss}: alarms in {:.1}% of 1000 runs", share * 100.0);
        assert!(loss > 0.0 || share <= 0.05, "{share}");
    }
}

/// The exact chance that an interval of `n` examples covers `p`, over all numbers of hits.
fn coverage(n: usize, p: f64, interval: impl Fn(usize) -> Option<Interval>) -> f64 {
    let mut log_chance = n as f64 * (1.0 - p).ln();
    let mut covered = 0.0;
    for hits in 0..=n {
        if interval(hits).is_some_and(|i| i.low <= p && p <= i.high) {
            covered += log_chance.exp();
        }
        log_chance += ((n - hits) as f64 / (hits + 1) as f64 * p / (1.0 - p)).ln();
    }
    covered
}

#[test]
fn wilson_covers_what_can_be_covered() {
    for n in [50, 500, 5000] {
        for p in [0.02, 0.5, 0.98] {
            let found = coverage(n, p, |hits| wilson(hits as f64, n as f64, 0.95));
            let exact = coverage(n, p, |hits| clopper_pearson(hits, n, 0.95));
            println!("n {n}, accuracy {p}: Wilson {found:.4}, Clopper-Pearson {exact:.4}");
            assert!(exact >= 0.95);
            if n == 50 && p != 0.5 {
                // Of 50 examples at 0.02, at most 2 are hits with chance 0.9216 and at most 3 with 0.9822: an
                // interval covers 0.02 for one set or the other, so none that is a function of the hits covers
                // it with a chance from 0.93 to 0.97.
                assert!((found - 0.9216).abs() < 1e-4, "{found}");
            } else {
                assert!((0.93..=0.97).contains(&found), "{n} {p}: {found}");
            }
        }
    }
}

#[test]
#[ignore = "a simulation of minutes; its figures are in suites/gate/README.md"]
fn coverage_of_resampled_intervals() {
    for n in [50usize, 500, 5000] {
        for p in [0.02, 0.5, 0.98] {
            let runs = if n == 5000 { 1000 } else { 4000 };
            let stream = CounterRng::new(5, "coverage");
            let hits: Vec<[bool; 3]> = (0..runs)
                .into_par_iter()
                .map(|run| {
                    let mut rng = stream.stream(run);
                    let before: Vec<f64> = (0..n).map(|_| f64::from(u8::from(rng.uniform() < p))).collect();
                    // The second model differs on a tenth of the examples, in either direction.
                    let other = |b: &f64, rng: &mut CounterRng| {
                        if rng.uniform() < 0.1 { f64::from(u8::from(rng.uniform() < p)) } else { *b }
                    };
                    let after: Vec<f64> = before.iter().map(|b| other(b, &mut rng)).collect();
                    let (x, y) = (Estimator::new(Form::Mean(before)), Estimator::new(Form::Mean(after)));
                    let resampling = Resampling { seed: run, resamples: 999 };
                    let draws = resampling.replicates("p", n, &[&x, &y]);
                    let differences: Vec<f64> = draws[0].iter().zip(&draws[1]).map(|(a, b)| b - a).collect();
                    let holds = |i: Option<Interval>, v: f64| i.is_none_or(|i| i.low <= v && v <= i.high);
                    [
                        holds(percentile(&draws[0], 0.95), p),
                        holds(bca(x.value(), &draws[0], &x.jackknife(), 0.95), p),
                        holds(percentile(&differences, 0.95), 0.0),
                    ]
                })
                .collect();
            let share = |k: usize| hits.iter().filter(|h| h[k]).count() as f64 / hits.len() as f64;
            println!(
                "n {n}, accuracy {p}: percentile {:.3}, BCa {:.3}, paired difference {:.3}",
                share(0),
                share(1),
                share(2)
            );
        }
    }
}

#[test]
#[ignore = "a simulation of minutes; its figures are in suites/gate/README.md"]
fn sequences_keep_their_level_under_continuous_looking() {
    for p in [0.02, 0.5, 0.98] {
        let stream = CounterRng::new(9, "sequences");
        let held = |run: u64| {
            let mut rng = stream.stream(run);
            let mut sequence = Sequence::new(0.95);
            let mut difference = DifferenceSequence::new(0.95);
            let mut naive = true;
            let (mut both, mut hits) = ([true; 2], 0.0);
            for n in 1..=5000 {
                let x = f64::from(u8::from(rng.uniform() < p));
                let d = f64::from(u8::from(rng.uniform() < 0.05)) - f64::from(u8::from(rng.uniform() < 0.05));
                sequence.push(x);
                difference.push(d);
                hits += x;
                let (i, j) = (sequence.interval(), difference.interval());
                both[0] &= i.low <= p && p <= i.high;
                both[1] &= j.low <= 0.0 && 0.0 <= j.high;
                naive &= wilson(hits, f64::from(n), 0.95).is_some_and(|i| i.low <= p && p <= i.high);
            }
            [both[0], both[1], naive]
        };
        let all: Vec<[bool; 3]> = (0..2000).into_par_iter().map(held).collect();
        let share = |k: usize| all.iter().filter(|h| h[k]).count() as f64 / all.len() as f64;
        println!(
            "accuracy {p}: sequence {:.4}, sequence of differences {:.4}; a Wilson interval looked at 5000 times {:.4}",
            share(0),
            share(1),
            share(2)
        );
        assert!(share(0) >= 0.95 && share(1) >= 0.95);
    }
}
