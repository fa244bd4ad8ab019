//! Combinations and paths against mergekit; `tests/golden/make_merges.py` made the golden files.

use std::sync::Arc;

use specbench::checkpoint::{StateDict, Tensors, Weights};
use specbench::merge::{
    COMBINES, Combination, CombineSettings, Each, Ingredients, PATHS, merge_tensors, merge_weighed,
};

use crate::support::root;

fn open(name: &str) -> Arc<dyn Weights> {
    let path = root().join("tests/golden/merges").join(format!("{name}.safetensors"));
    Arc::new(StateDict::open(&path).unwrap())
}

#[test]
fn combinations_are_mergekits() {
    let expected = open("expected");
    let three = |weights: [f64; 3], density: f64| CombineSettings {
        weights: Some(weights.to_vec()),
        density: Some(Each::All(density)),
        seed: Some(7),
        ..Default::default()
    };
    let w = [0.6, 0.4, 0.5];
    let of = |gamma: Option<f64>, epsilon: Option<f64>, s: CombineSettings| CombineSettings {
        gamma,
        epsilon,
        ..s
    };
    for (case, method, settings) in [
        (
            "task-arithmetic",
            "task-arithmetic",
            CombineSettings { lambda: Some(0.7), density: None, ..three([0.5, 0.3, -0.2], 1.0) },
        ),
        ("ties", "ties", three([1.0, 0.5, 0.8], 0.4)),
        (
            "ties-plain",
            "ties",
            CombineSettings { normalize: Some(false), lambda: Some(1.3), ..three([1.0; 3], 0.2) },
        ),
        (
            "ties-each",
            "ties",
            CombineSettings { density: Some(Each::List(vec![0.5, 0.3, 0.8])), ..three([1.0, 0.5, 0.8], 1.0) },
        ),
        ("dare-linear", "dare-linear", three(w, 0.5)),
        ("dare-ties", "dare-ties", three(w, 0.3)),
        ("breadcrumbs", "breadcrumbs", of(Some(0.1), None, three(w, 0.5))),
        ("breadcrumbs-ties", "breadcrumbs-ties", of(Some(0.02), None, three(w, 0.5))),
        ("della", "della", of(None, Some(0.2), three(w, 0.5))),
        ("della-linear", "della-linear", of(None, Some(0.1), three(w, 0.6))),
        ("model-stock", "model-stock", CombineSettings::default()),
    ] {
        let tuned = (0..3).map(|i| open(&format!("tuned-{i}"))).collect();
        let method = COMBINES.get(method).unwrap();
        let made = Combination::new(method, &settings, Some(open("base")), tuned).unwrap();
        for name in ["a.weight", "a.bias", "b.weight", "scale"] {
            // Of one value there is no rank; mergekit divides zero by zero.
            if name == "scale" && case.starts_with("della") {
                continue;
            }
            let (found, right) =
                (made.load(name).unwrap(), expected.load(&format!("{case}/{name}")).unwrap());
            let off = (found - right).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(off < 1e-6, "{case}, {name}: {off}");
        }
    }
}

#[test]
fn what_is_weighed_by_fisher_information_is_the_formulas() {
    let expected = open("expected");
    let all = |name: &str| (0..3).map(|i| open(&format!("{name}-{i}"))).collect::<Vec<_>>();
    let (tuned, fisher) = (all("tuned"), all("fisher"));
    let settings = CombineSettings { weights: Some(vec![0.6, 0.4, 0.5]), ..Default::default() };
    let method = COMBINES.get("fisher").unwrap();
    let combined = |beside| {
        let ingredients = Ingredients { of: tuned.clone(), beside, ..Ingredients::default() };
        Combination::reading(method, &settings, ingredients)
    };
    let made = combined(fisher.clone()).unwrap();
    let off = |found: &candle_core::Tensor, case: &str| {
        let right = expected.load(case).unwrap();
        (found - right).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
    };
    for name in ["a.weight", "a.bias", "b.weight", "scale"] {
        assert!(off(&made.load(name).unwrap(), &format!("fisher/{name}")) < 1e-6, "{name}");
        let of = |i: usize| (tuned[i].load(name).unwrap(), fisher[i].load(name).unwrap());
        let ((a, f), (b, g)) = (of(0), of(1));
        for alpha in [0.25, 0.9] {
            let found = merge_weighed(alpha, [&a, &b], [&f, &g]).unwrap();
            assert!(off(&found, &format!("fisher-path-{alpha}/{name}")) < 1e-6, "{name}, {alpha}");
        }
    }
    // What is no mean of squares, or is missing, is said.
    let (a, f) = (tuned[0].load("scale").unwrap(), fisher[0].load("scale").unwrap());
    let negative = (f.ones_like().unwrap() * -1.0).unwrap();
    let error = merge_weighed(0.5, [&a, &a], [&f, &negative]).unwrap_err().to_string();
    assert!(error.contains("values below 0"), "{error}");
    let error = combined(Vec::new()).err().unwrap().to_string();
    assert!(error.contains("reads Fisher information, which not all of its checkpoints have"), "{error}");
    let partial = Tensors::from([("a.bias".to_owned(), fisher[0].load("a.bias").unwrap())]);
    let error = combined(vec![fisher[0].clone(), fisher[1].clone(), Arc::new(partial)]).err().unwrap();
    assert!(error.to_string().contains("has nothing for `a.weight`"), "{error}");
}

#[test]
fn slerp_is_mergekits() {
    let (expected, base, tuned) = (open("expected"), open("base"), open("tuned-0"));
    let slerp = PATHS.get("slerp").unwrap();
    for name in ["a.weight", "a.bias", "b.weight", "scale"] {
        let (from, to) = (base.load(name).unwrap(), tuned.load(name).unwrap());
        let far = (to.flip(&[to.rank() - 1]).unwrap() * 2.0).unwrap();
        for t in ["0.25", "0.5", "0.9"] {
            for (case, to) in [("slerp", &to), ("slerp-far", &far)] {
                let found = merge_tensors(slerp, t.parse().unwrap(), &from, to).unwrap();
                let right = expected.load(&format!("{case}-{t}/{name}")).unwrap();
                let off =
                    (found - right).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                assert!(off < 1e-6, "{case}-{t}, {name}: {off}");
            }
        }
    }
}
