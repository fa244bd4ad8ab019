//! Agreement with SciPy and statsmodels (`tests/golden/make_statistics.py` made the numbers and says the
//! versions), and simulations that are run by hand.

use serde_json::Value;
use specbench::stats::{
    Aggregate, Design, Estimator, Flips, Form, Interval, LogitFit, bca, benjamini_hochberg, clopper_pearson,
    holm, percentile, permutation, wilson,
};

use crate::support::root;

fn golden() -> Value {
    let bytes = std::fs::read(root().join("tests/golden/statistics.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn close(what: &str, found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{what}: {found} instead of {expected}");
}

fn same_interval(what: &str, found: Option<Interval>, expected: &Value) {
    let (found, expected) = (found.unwrap(), numbers(expected));
    close(what, found.low, expected[0]);
    close(what, found.high, expected[1]);
}

#[test]
fn intervals_of_proportions() {
    for case in golden()["proportions"].as_array().unwrap() {
        let (hits, n) = (case["hits"].as_u64().unwrap() as usize, case["n"].as_u64().unwrap() as usize);
        let level = number(&case["level"]);
        same_interval("wilson", wilson(hits as f64, n as f64, level), &case["wilson"]);
        same_interval("clopper-pearson", clopper_pearson(hits, n, level), &case["clopper_pearson"]);
    }
}

#[test]
fn paired_tests_and_adjustments() {
    let golden = golden();
    for case in golden["mcnemar"].as_array().unwrap() {
        let count = |key: &str| case[key].as_u64().unwrap() as usize;
        let flips = Flips { gained: count("gained"), lost: count("lost") };
        close("mcnemar", flips.mcnemar(), number(&case["two_sided"]));
        close("mcnemar, worse", flips.mcnemar_worse(), number(&case["worse"]));
    }
    for case in golden["permutation"].as_array().unwrap() {
        close("permutation", permutation(&numbers(&case["differences"]), 0, 0), number(&case["p"]));
    }
    let p = numbers(&golden["adjusted"]["p"]);
    for (name, found) in [("holm", holm(&p)), ("benjamini_hochberg", benjamini_hochberg(&p))] {
        for (a, b) in found.iter().zip(numbers(&golden["adjusted"][name])) {
            close(name, *a, b);
        }
    }
}

#[test]
fn bootstrap_intervals_of_the_same_replicates() {
    for case in golden()["bca"].as_array().unwrap() {
        let estimator = Estimator::new(Form::Mean(numbers(&case["values"])));
        let (replicates, level) = (numbers(&case["replicates"]), number(&case["level"]));
        let found = bca(estimator.value(), &replicates, &estimator.jackknife(), level);
        same_interval("bca", found, &case["bca"]);
        same_interval("percentile", percentile(&replicates, level), &case["percentile"]);
    }
}

#[test]
fn fits_means_and_power() {
    let golden = golden();
    let fit = &golden["logit_fit"];
    let points: Vec<(f64, f64)> = numbers(&fit["x"]).into_iter().zip(numbers(&fit["y"])).collect();
    let found = LogitFit::new(&points).unwrap();
    close("slope", found.slope, number(&fit["slope"]));
    close("intercept", found.intercept, number(&fit["intercept"]));
    let harmonic = Aggregate::Harmonic.of(numbers(&golden["harmonic"]["values"]).into_iter()).unwrap();
    close("harmonic mean", harmonic, number(&golden["harmonic"]["mean"]));
    let power = &golden["power"];
    let design = Design { significance: 0.05, power: 0.8 };
    let n = power["n"].as_u64().unwrap() as usize;
    close("detectable", design.detectable(number(&power["deviation"]), n), number(&power["detectable"]));
}
