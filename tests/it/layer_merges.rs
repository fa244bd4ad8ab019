//! RegMean and Model Tailor, which read what linear layers were given; `tests/golden/make_layer_merges.py` made the golden files.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use specbench::checkpoint::{StateDict, Tensors, Weights, write_safetensors};
use specbench::merge::{COMBINES, Combination, CombineSettings, Compensate, Each, Ingredients, MergeError};
use specbench::store::Predictions;

use crate::support::{Bench, SMALL, root, specbench};
use crate::training::{bench, command, recipe};

const WEIGHT: &str = "l.weight";

fn golden(name: &str) -> Tensors {
    let path = root().join("tests/golden/layer-merges").join(format!("{name}.safetensors"));
    StateDict::open(&path).unwrap().load_all().unwrap()
}

fn three(name: &str) -> Vec<Arc<dyn Weights>> {
    (0..3).map(|i| Arc::new(golden(&format!("{name}-{i}"))) as _).collect()
}

fn off(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

fn combination(
    method: &str,
    settings: &CombineSettings,
    of: Vec<Arc<dyn Weights>>,
    grams: Vec<Arc<dyn Weights>>,
) -> Result<Combination, MergeError> {
    let method = COMBINES.get(method).unwrap();
    let base = method.needs_base().then(|| Arc::new(golden("base")) as Arc<dyn Weights>);
    Combination::reading(method, settings, Ingredients { base, of, beside: grams, apart: Vec::new() })
}

fn regmean(non_diagonal: f64) -> CombineSettings {
    CombineSettings {
        weights: Some(vec![0.6, 0.4, 0.5]),
        non_diagonal: Some(non_diagonal),
        ..Default::default()
    }
}

fn tailor(density: f64, damp: f64, compensate: Compensate) -> CombineSettings {
    CombineSettings {
        density: Some(Each::All(density)),
        damp: Some(damp),
        compensate: Some(compensate),
        ..Default::default()
    }
}

#[test]
fn regmean_is_the_fit_to_all_outputs() {
    let expected = golden("expected");
    for (case, non_diagonal) in [("regmean", 0.9), ("regmean-whole", 1.0)] {
        let made = combination("regmean", &regmean(non_diagonal), three("tuned"), three("gram")).unwrap();
        let found = off(&made.load(WEIGHT).unwrap(), &expected[case]);
        assert!(found < 1e-5, "{case}: {found}");
        assert!(off(&made.load("l.bias").unwrap(), &expected["bias"]) < 1e-6);
    }
    // With what lies off the diagonal left out and inputs of one size it is the mean; of one checkpoint it is that one.
    let ones: Vec<Arc<dyn Weights>> = vec![Arc::new(identity(132)) as _; 3];
    let made = combination("regmean", &regmean(0.0), three("tuned"), ones).unwrap();
    let mean = combination(
        "linear",
        &CombineSettings { non_diagonal: None, ..regmean(0.0) },
        three("tuned"),
        Vec::new(),
    );
    assert!(off(&made.load(WEIGHT).unwrap(), &mean.unwrap().load(WEIGHT).unwrap()) < 1e-6);
    let (one, gram) = (three("tuned").remove(0), three("gram").remove(0));
    let made =
        combination("regmean", &CombineSettings::default(), vec![Arc::clone(&one)], vec![gram]).unwrap();
    assert!(off(&made.load(WEIGHT).unwrap(), &one.load(WEIGHT).unwrap()) < 1e-5);
}

fn identity(n: usize) -> Tensors {
    Tensors::from([(WEIGHT.to_owned(), Tensor::eye(n, DType::F32, &Device::Cpu).unwrap())])
}

#[test]
fn model_tailor_is_the_optimal_brain_surgeons() {
    let expected = golden("expected");
    let (tuned, gram) = (three("tuned").remove(0), three("gram").remove(0));
    let made = |settings: &CombineSettings| {
        let made = combination("model-tailor", settings, vec![Arc::clone(&tuned)], vec![Arc::clone(&gram)]);
        made.unwrap()
    };
    // How far the layer's outputs on its own inputs are from the fine-tuned ones, squared.
    let error = |weight: &Tensor| -> f32 {
        let change = (weight - tuned.load(WEIGHT).unwrap()).unwrap();
        let moved = change.matmul(&gram.load(WEIGHT).unwrap()).unwrap();
        (moved * change).unwrap().sum_all().unwrap().to_scalar().unwrap()
    };
    for (case, settings) in [
        ("tailor-obs", tailor(0.1, 0.01, Compensate::Obs)),
        ("tailor-released", tailor(0.1, 0.01, Compensate::Released)),
        ("tailor-none", tailor(0.3, 0.05, Compensate::None)),
    ] {
        let found = made(&settings).load(WEIGHT).unwrap();
        assert!(off(&found, &expected[case]) < 1e-4, "{case}: {}", off(&found, &expected[case]));
    }
    assert_eq!(
        made(&CombineSettings::default()).load(WEIGHT).unwrap().to_vec2::<f32>().unwrap(),
        made(&tailor(0.1, 0.01, Compensate::Obs)).load(WEIGHT).unwrap().to_vec2::<f32>().unwrap()
    );
    // Making up for it helps; with the released code's sign it makes matters worse.
    let [obs, none, released] = [Compensate::Obs, Compensate::None, Compensate::Released]
        .map(|c| error(&made(&tailor(0.1, 0.01, c)).load(WEIGHT).unwrap()));
    assert!(obs < none && none < 0.9 * released, "{obs} {none} {released}");
    // At its ends, and where nothing was observed.
    let (start, end) = (golden("base").remove(WEIGHT).unwrap(), tuned.load(WEIGHT).unwrap());
    assert_eq!(off(&made(&tailor(1.0, 0.01, Compensate::Obs)).load(WEIGHT).unwrap(), &end), 0.0);
    assert_eq!(off(&made(&tailor(0.0, 0.01, Compensate::Obs)).load(WEIGHT).unwrap(), &start), 0.0);
    let bias = made(&tailor(0.0, 0.01, Compensate::Obs)).load("l.bias").unwrap();
    assert_eq!(off(&bias, &tuned.load("l.bias").unwrap()), 0.0);
}

#[test]
fn weights_that_lie_the_other_way_are_combined_alike() {
    let turned = |of: Vec<Arc<dyn Weights>>, name: &str| -> Vec<Arc<dyn Weights>> {
        let turn = |w: Arc<dyn Weights>| {
            let tensor = w.load(WEIGHT).unwrap().t().unwrap().contiguous().unwrap();
            Arc::new(Tensors::from([(name.to_owned(), tensor)])) as _
        };
        of.into_iter().map(turn).collect()
    };
    let expected = &golden("expected")["regmean"];
    let (tuned, grams) = (turned(three("tuned"), WEIGHT), turned(three("gram"), "l.weight@inputs-first"));
    let made = combination("regmean", &regmean(0.9), tuned, grams).unwrap();
    assert!(off(&made.load(WEIGHT).unwrap().t().unwrap(), expected) < 1e-5);
}

#[test]
fn what_was_observed_must_fit() {
    let error = |of: Vec<Arc<dyn Weights>>, grams: Vec<Arc<dyn Weights>>| {
        combination("regmean", &CombineSettings::default(), of, grams).err().unwrap().to_string()
    };
    let says = |text: &str, what: &str| assert!(text.contains(what), "{text}");
    says(
        &error(three("tuned"), Vec::new()),
        "reads products of inputs, which not all of its checkpoints have",
    );
    let with = |gram: Tensors| {
        let mut all = three("gram");
        all[1] = Arc::new(gram);
        error(three("tuned"), all)
    };
    says(
        &with(identity(7)),
        "has [7, 7] for `l.weight`, whose layer has 132 inputs; `save_gram` in a recipe",
    );
    says(&with(Tensors::new()), "has nothing for `l.weight`");
    let mut more = identity(132);
    more.insert("other.weight".to_owned(), Tensor::eye(2, DType::F32, &Device::Cpu).unwrap());
    says(&with(more), "has nothing for `other.weight`");
    let method = |name: &str, of| combination(name, &CombineSettings::default(), of, three("gram"));
    says(&method("model-tailor", three("tuned")).err().unwrap().to_string(), "tailors one checkpoint, not 3");
    // What cannot be sums of squares, and what has no inverse.
    let load = |gram: Tensors, settings: &CombineSettings| {
        let one = three("tuned").remove(0);
        let made = combination("regmean", settings, vec![one], vec![Arc::new(gram)]).unwrap();
        made.load(WEIGHT).err().unwrap().to_string()
    };
    let times =
        |factor: f64| Tensors::from([(WEIGHT.to_owned(), (&identity(132)[WEIGHT] * factor).unwrap())]);
    says(&load(times(-1.0), &CombineSettings::default()), "a diagonal below 0");
    let flat =
        Tensors::from([(WEIGHT.to_owned(), Tensor::ones((132, 132), DType::F32, &Device::Cpu).unwrap())]);
    let whole = CombineSettings { non_diagonal: Some(1.0), ..Default::default() };
    says(&load(flat, &whole), "products of inputs are singular");
}

#[test]
fn what_layers_are_given_is_what_pytorchs_are_given() {
    let expected = golden("inputs");
    let bench = bench();
    let model = bench.out("gpt2");
    std::fs::create_dir(&model).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(root().join("tests/golden/lm/gpt2").join(file), model.join(file)).unwrap();
    }
    std::fs::copy(root().join("tests/golden/lm/tokenizer.json"), model.join("tokenizer.json")).unwrap();
    for track in ["clip", "llama", "gpt2"] {
        let text = recipe(&bench, if track == "clip" { "clip" } else { "lm" }, "full", "", "save_gram = 64");
        let text = text.replace("steps = 10", "steps = 0");
        let from = |name: &str| format!("from = {:?}", bench.out(name));
        let text = text.replace(&from("llama"), &from(track));
        let out = format!("{track}-out");
        command(&bench, &text, &out).assert().success();
        let found = StateDict::open(&bench.out(&out).join("gram.safetensors")).unwrap().load_all().unwrap();
        let mut right: Vec<(&str, &Tensor)> = expected
            .iter()
            .filter_map(|(n, t)| Some((n.strip_prefix(track)?.strip_prefix('/')?, t)))
            .collect();
        right.sort_by_key(|r| r.0);
        assert_eq!(
            found.keys().map(String::as_str).collect::<Vec<_>>(),
            right.iter().map(|r| r.0).collect::<Vec<_>>()
        );
        for (name, right) in right {
            let size = off(right, &right.zeros_like().unwrap());
            assert!(
                off(&found[name], right) < 1e-4 * size.max(1e-3),
                "{track}, {name}: {}",
                off(&found[name], right)
            );
        }
    }
}

#[test]
fn a_suite_combines_by_what_lies_beside_its_checkpoints() {
    let bench = Bench::new("");
    // Of layers whose inputs are all alike: the mean.
    let source = root().join("suites/demo/ft-noto");
    let tower = StateDict::open(&source.join("model.safetensors")).unwrap().load_all().unwrap();
    let twin = bench.out("twin");
    std::fs::create_dir(&twin).unwrap();
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, twin.join(path.file_name().unwrap())).unwrap();
    }
    let other = |(name, tensor): (&String, &Tensor)| (name.clone(), (tensor * 0.9).unwrap());
    write_safetensors(&twin.join("model.safetensors"), &tower.iter().map(other).collect(), DType::F32)
        .unwrap();
    let fits = |(name, tensor): (&String, &Tensor)| {
        let inputs =
            tensor.dims().get(1).filter(|_| tensor.rank() == 2 && name.contains("vision_model.encoder"))?;
        Some((name.clone(), Tensor::eye(*inputs, DType::F32, &Device::Cpu).unwrap()))
    };
    let grams: Tensors = tower.iter().filter_map(fits).collect();
    assert!(grams.len() > 6, "{}", grams.len());
    write_safetensors(&bench.out("gram.safetensors"), &grams, DType::F32).unwrap();
    let checkpoints = "[[checkpoint]]\nid = \"soup\"\nrole = \"finetuned\"\nmerge = \"uniform-soup\"\nof = [\"ft-noto\", \"twin\"]\n\
                       [[checkpoint]]\nid = \"fit\"\nrole = \"finetuned\"\nmerge = \"regmean\"\nof = [\"ft-noto\", \"twin\"]\n";
    let twin = format!("[[checkpoint]]\nid = \"twin\"\nrole = \"finetuned\"\nsource = {twin:?}\n");
    let text = format!("{SMALL}\n{twin}{checkpoints}");
    std::fs::write(bench.suite(), &text).unwrap();
    let assert = specbench().arg("plan").arg(bench.suite()).assert().failure();
    let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(log.contains("`regmean`: it reads products of inputs") && log.contains("`save_gram`"), "{log}");
    let gram = format!("gram = {:?}\nsource = ", bench.out("gram.safetensors"));
    let (start, tuned) = text.split_once("role = \"finetuned\"").unwrap();
    let text = format!("{start}role = \"finetuned\"{}", tuned.replace("source = ", &gram));
    std::fs::write(bench.suite(), text).unwrap();
    bench.run("out", &["--limit", "40"]).assert().success();
    let of =
        |variant: &str| Predictions::read(&Predictions::path(&bench.out("out"), variant, "noto")).unwrap();
    let (soup, fit, end) = (of("soup"), of("fit"), of("ft-noto"));
    let far = |a: &Predictions, b: &Predictions| {
        a.loss.iter().zip(&b.loss).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    assert!(far(&soup, &fit) < 1e-4 && far(&soup, &end) > 1e-2, "{} {}", far(&soup, &fit), far(&soup, &end));
}
