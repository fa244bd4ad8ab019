//! The gate on made-up results, and simulations of coverage, false alarms and power. The long ones are run by
//! hand: `cargo test --release simulations -- --ignored --nocapture`.

use rayon::prelude::*;
use specbench::base::digest::Digest;
use specbench::base::rng::CounterRng;
use specbench::compare::{
    BASELINE_FORMAT, CellSide, Comparison, GateOutcome, GateVerdict, Options, Outcomes, ProbeSide, Side,
    VariantSide, check,
};
use specbench::stats::{
    Aggregate, DifferenceSequence, Drawing, Estimator, Form, Interval, Resampling, Sequence, bca,
    clopper_pearson, clustered_wilson, harmonic_mean, over_seeds, percentile, standard_deviation, wilson,
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
        numerics: specbench::model::Numerics::default(),
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

fn verdicts(before: &Side, after: &Side, resamples: usize) -> Vec<GateVerdict> {
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
    assert!(same.iter().all(|v| v.outcome == GateOutcome::Pass && v.p_adjusted == 1.0));
    // The fine-tuned end loses 60 of 400 on the second probe.
    let worse = side(3, 2, 400, |a, p, i| base(a, p, i) && !(a == 2 && p == 1 && i < 90));
    let found = verdicts(&before, &worse, 200);
    let failed: Vec<&str> =
        found.iter().filter(|v| v.outcome == GateOutcome::Regression).map(|v| v.name.as_str()).collect();
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
    assert!(found.iter().all(|v| v.outcome == GateOutcome::Pass));
    // Three points on few examples.
    let (few, lost) = (side(2, 2, 66, base), side(2, 2, 66, |a, p, i| base(a, p, i) && !(a == 1 && i < 3)));
    assert!(verdicts(&few, &lost, 200).iter().all(|v| v.outcome == GateOutcome::Pass));
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
            verdicts(&before, &after, 200).iter().any(|v| v.outcome == GateOutcome::Regression)
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
        // The level is used up: 5% and the error of 1,000 runs (two standard errors).
        assert!(loss > 0.0 || share <= 0.064, "{share}");
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

/// Sides whose probes hold clusters of 25 examples that are right or wrong together; a share of the clusters is exchanged
/// for others at random, as retraining does.
fn clustered(rng: &mut CounterRng, clusters: usize, churn: f64) -> (Side, Side) {
    let rate = 0.7;
    let draw = |rng: &mut CounterRng| rng.uniform() < rate;
    let before: Vec<bool> = (0..2 * clusters).map(|_| draw(rng)).collect();
    let after: Vec<bool> =
        before.iter().map(|b| if rng.uniform() < churn { draw(rng) } else { *b }).collect();
    let of = |hits: &[bool]| {
        let mut side = side(2, 2, clusters * 25, |_, p, i| hits[p * clusters + i / 25]);
        for probe in &mut side.probes {
            probe.units = (0..clusters * 25).map(|i| format!("cluster {}", i / 25)).collect();
        }
        side
    };
    (of(&before), of(&after))
}

fn clustered_alarms(runs: u64, clusters: usize) -> f64 {
    let alarmed = (0..runs).into_par_iter().filter(|&run| {
        let mut rng = CounterRng::new(21, "clusters").stream(run);
        let (before, after) = clustered(&mut rng, clusters, 0.15);
        verdicts(&before, &after, 200).iter().any(|v| v.outcome == GateOutcome::Regression)
    });
    alarmed.count() as f64 / runs as f64
}

#[test]
fn clusters_are_no_examples() {
    // One cluster of sixteen changes: 25 flips in one direction are one coin toss.
    let probe = |p: usize, i: usize| !(p == 1 && i < 25);
    let make = |after: bool| {
        let mut side = side(2, 2, 400, |a, p, i| !after || a == 0 || probe(p, i));
        for probe in &mut side.probes {
            probe.units = (0..400).map(|i| format!("cluster {}", i / 25)).collect();
        }
        side
    };
    let found = verdicts(&make(false), &make(true), 200);
    let changed = found.iter().find(|v| v.name == "ft@1/p1").unwrap();
    assert!((changed.p - 0.5).abs() < 1e-12 && changed.outcome == GateOutcome::Pass, "{changed:?}");
    let share = clustered_alarms(60, 40);
    assert!(share <= 0.12, "{share}");
}

#[test]
#[ignore = "a simulation of minutes; its figures are in suites/gate/README.md"]
fn false_alarms_on_clusters() {
    for clusters in [16, 40, 100] {
        let share = clustered_alarms(1000, clusters);
        println!(
            "{clusters} clusters of 25, 15% of them drawn anew: alarms in {:.1}% of 1000 runs",
            share * 100.0
        );
        assert!(share <= 0.05, "{share}");
    }
}

/// Share of runs whose interval holds the truth.
fn share_covered(runs: u64, key: &str, one: impl Fn(&mut CounterRng) -> bool + Sync) -> f64 {
    let held = (0..runs).into_par_iter().filter(|&run| one(&mut CounterRng::new(31, key).stream(run)));
    held.count() as f64 / runs as f64
}

fn holds(interval: Option<Interval>, truth: f64) -> bool {
    interval.is_some_and(|i| i.low <= truth && truth <= i.high)
}

fn draws(rng: &mut CounterRng) -> Resampling {
    Resampling { seed: rng.next_u64(), resamples: 999 }
}

#[test]
#[ignore = "a simulation of minutes; its figures are in suites/gate/README.md"]
fn coverage_of_means_over_classes() {
    // Mean per class: 40 classes of unequal difficulty, examples of random classes; and classes that are clusters.
    for (what, per_class, fixed) in [("few", 2, false), ("some", 25, true)] {
        let share = share_covered(2000, what, |rng| {
            let classes = 40;
            let rates: Vec<f64> = (0..classes).map(|k| 0.4 + 0.5 * k as f64 / 39.0).collect();
            let truth = rates.iter().sum::<f64>() / classes as f64;
            let n = classes * per_class;
            let groups: Vec<u32> = (0..n)
                .map(|i| if fixed { (i % classes) as u32 } else { rng.below(classes) as u32 })
                .collect();
            let values =
                groups.iter().map(|&g| f64::from(u8::from(rng.uniform() < rates[g as usize]))).collect();
            let e = Estimator::new(Form::MacroMean { values, groups });
            let all = draws(rng).replicates("p", n, &[&e]);
            holds(percentile(&all[0], 0.95), truth)
        });
        println!("mean per class, {per_class} a class: {share:.3}");
    }
    let share = share_covered(2000, "classes as clusters", |rng| {
        let (classes, per_class) = (60usize, 10usize);
        let rates: Vec<f64> = (0..classes).map(|_| 0.4 + 0.5 * rng.uniform()).collect();
        let groups: Vec<u32> = (0..classes * per_class).map(|i| (i / per_class) as u32).collect();
        let values = groups.iter().map(|&g| f64::from(u8::from(rng.uniform() < rates[g as usize]))).collect();
        let drawing = Drawing { key: "c".to_owned(), size: classes, places: groups.clone() };
        let e = Estimator::new(Form::MacroMean { values, groups }).in_units(&drawing.places);
        let all = draws(rng).drawn(&drawing, &[&e]);
        holds(percentile(&all[0], 0.95), 0.65)
    });
    println!("mean per class, classes are the clusters: {share:.3}");
}

#[test]
#[ignore = "a simulation of minutes; its figures are in suites/gate/README.md"]
fn coverage_of_aggregates_seeds_and_clusters() {
    let names = |from: usize, to: usize| (from..to).map(|i| i.to_string()).collect::<Vec<_>>();
    // The mean of three probes on the same 300 images, and H of two.
    let share = share_covered(2000, "shared", |rng| {
        let ease: Vec<f64> = (0..300).map(|_| rng.uniform()).collect();
        let drawings = Drawing::of((0..3).map(|_| ("d".to_owned(), names(0, 300))).collect());
        let rates = [0.8, 0.6, 0.5];
        let noise: Vec<f64> = (0..900).map(|_| rng.uniform()).collect();
        let hit = |p: usize, i: usize| 0.5 * ease[i] + 0.5 * noise[p * 300 + i];
        // The sum of two uniform numbers, halved, is below x with chance 2x^2 or 1 - 2(1 - x)^2.
        let chance = |x: f64| if x < 0.5 { 2.0 * x * x } else { 1.0 - 2.0 * (1.0 - x) * (1.0 - x) };
        let e: Vec<Estimator> = (0..3)
            .map(|p| {
                Estimator::new(Form::Mean(
                    (0..300).map(|i| f64::from(u8::from(hit(p, i) < rates[p]))).collect(),
                ))
            })
            .collect();
        let r = draws(rng);
        let all: Vec<Vec<f64>> = (0..3).map(|p| r.drawn(&drawings[p], &[&e[p]]).remove(0)).collect();
        let mean: Vec<f64> = (0..999).map(|i| all.iter().map(|a| a[i]).sum::<f64>() / 3.0).collect();
        holds(percentile(&mean, 0.95), rates.iter().map(|r| chance(*r)).sum::<f64>() / 3.0)
    });
    println!("mean of three probes on the same images: {share:.3}");
    let share = share_covered(2000, "h", |rng| {
        let drawings = Drawing::of(vec![("d".to_owned(), names(0, 200)), ("d".to_owned(), names(200, 400))]);
        let mut hits = |rate: f64| {
            Estimator::new(Form::Mean((0..200).map(|_| f64::from(u8::from(rng.uniform() < rate))).collect()))
        };
        let (base, novel) = (hits(0.8), hits(0.6));
        let r = draws(rng);
        let (b, n) = (r.drawn(&drawings[0], &[&base]).remove(0), r.drawn(&drawings[1], &[&novel]).remove(0));
        let h: Vec<f64> = b.iter().zip(&n).map(|(b, n)| harmonic_mean(*b, *n)).collect();
        holds(percentile(&h, 0.95), harmonic_mean(0.8, 0.6))
    });
    println!("H of two halves: {share:.3}");
    for seeds in [3usize, 5, 10] {
        let share = share_covered(4000, "seeds", |rng| {
            // Seeds differ by two points, the 500 examples are the same for all.
            let ease: Vec<f64> = (0..500).map(|_| rng.uniform()).collect();
            let rates: Vec<f64> = (0..seeds).map(|_| 0.7 + 0.02 * rng.normal()).collect();
            let e: Vec<Estimator> = rates
                .iter()
                .map(|r| {
                    Estimator::new(Form::Mean(ease.iter().map(|x| f64::from(u8::from(x < r))).collect()))
                })
                .collect();
            let statistics: Vec<&Estimator> = e.iter().collect();
            let all = Resampling { seed: rng.next_u64(), resamples: 200 }.replicates("s", 500, &statistics);
            let mean: Vec<f64> =
                (0..200).map(|r| all.iter().map(|a| a[r]).sum::<f64>() / seeds as f64).collect();
            let examples = standard_deviation(&mean).unwrap_or(0.0).powi(2);
            let values: Vec<f64> = e.iter().map(Estimator::value).collect();
            holds(over_seeds(&values, examples, 0.95), 0.7)
        });
        println!("mean over {seeds} seeds: {share:.3}");
    }
    let share = share_covered(2000, "clustered proportion", |rng| {
        let clusters: Vec<u32> = (0..600).map(|i| i / 10).collect();
        let rates: Vec<f64> = (0..60).map(|_| 0.5 + 0.5 * rng.uniform()).collect();
        let hits: Vec<bool> = clusters.iter().map(|&c| rng.uniform() < rates[c as usize]).collect();
        holds(clustered_wilson(&hits, &clusters, 0.95), 0.75)
    });
    println!("accuracy of 60 clusters of 10: {share:.3}");
}
