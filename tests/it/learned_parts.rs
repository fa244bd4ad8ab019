//! Parts that others' programs learn, on top of a checkpoint, through the program: CoCoOp's context, which depends on the image
//! (`tests/golden/make_training.py` made its golden files), and MMA's adapters (`tests/golden/make_mma.py`).

use std::path::Path;

use specbench::checkpoint::{StateDict, Tensors, Weights as _, write_safetensors};
use specbench::model::clip::{ClipNames, MetaNet};
use specbench::store::Predictions;

use crate::support::{Bench, root, specbench};
use crate::training::{bench, command, golden, recipe, with_part};

const SUITE: &str = r#"
[suite]
name = "parts"
[[checkpoint]]
id = "start"
role = "pretrained"
source = START
[[checkpoint]]
id = "part"
role = "finetuned"
source = PART
base = "start"
[[sweep]]
merge = "wise-ft"
from = "start"
to = ["part"]
alphas = [0.25]
[[probe]]
id = "shapes"
dataset = "shapes"
split = "train"
role = "speciality"
[[probe]]
id = "one"
dataset = "shapes-one"
split = "train"
role = "generality"
[stats]
resamples = 100
"#;

/// Logits by example and class.
pub fn logits(of: &Predictions) -> Vec<[f32; 3]> {
    let row = |example: usize| {
        let mut all = [f32::NAN; 3];
        for place in example * of.k..(example + 1) * of.k {
            all[of.top_classes[place] as usize] = of.top_logits[place];
        }
        all
    };
    (0..of.label.len()).map(row).collect()
}

pub fn off(a: &[[f32; 3]], b: &[[f32; 3]]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).flat_map(|(a, b)| a.iter().zip(b).map(|(a, b)| (a - b).abs())).fold(0.0, f32::max)
}

/// The sweep from the golden CLIP to a part on top of it.
fn sweep_to(bench: &Bench, source: &Path) {
    let text = SUITE.replace("START", &format!("{:?}", golden().join("clip")));
    std::fs::write(bench.suite(), text.replace("PART", &format!("{source:?}"))).unwrap();
}

/// Logits on a probe of the start, of a quarter of the way, and of the end.
fn run(bench: &Bench, probe: &str, out: &str, extra: &[&str]) -> [Vec<[f32; 3]>; 3] {
    let mut command = bench.run(out, extra);
    command.arg("--registry").arg(bench.out("datasets.toml")).assert().success();
    ["start", "part@0.25", "part"].map(|variant| {
        let path = Predictions::path(&bench.out(out), variant, probe);
        logits(&Predictions::read(&path).unwrap())
    })
}

/// Golden logits.
pub fn expected(file: &Path, name: &str) -> Vec<[f32; 3]> {
    let rows = StateDict::open(file).unwrap().load(name).unwrap().to_vec2::<f32>().unwrap();
    rows.into_iter().map(|r| r.try_into().unwrap()).collect()
}

#[test]
fn cocoops_logits_are_the_released_codes_and_a_sweep_is_straight_in_them() {
    let file = golden().join("expected.safetensors");
    let all = StateDict::open(&file).unwrap();
    let bench = bench();
    let learned = bench.out("learned.safetensors");
    let names = MetaNet::NAMES.into_iter().chain(["prompt.context"]);
    let part: Tensors =
        names.map(|n| (n.to_owned(), all.load(&format!("clip/cocoop/{n}")).unwrap())).collect();
    write_safetensors(&learned, &part, candle_core::DType::F32).unwrap();
    for (source, name) in [(golden().join("cocoop.safetensors"), "cocoop-start"), (learned, "cocoop-end")] {
        sweep_to(&bench, &source);
        let [start, between, end] = run(&bench, "shapes", name, &[]);
        let right = expected(&file, &format!("clip/{name}/logits"));
        assert!(off(&end, &right) < 1e-4, "{name}: {}", off(&end, &right));
        let straight: Vec<[f32; 3]> =
            start.iter().zip(&end).map(|(a, b)| std::array::from_fn(|i| 0.75 * a[i] + 0.25 * b[i])).collect();
        assert!(off(&between, &straight) < 1e-4 && off(&start, &end) > 1e-2, "{}", off(&between, &straight));
        // However many go through at once.
        for batch in ["1", "5"] {
            let found = run(&bench, "shapes", &format!("{name}-{batch}"), &["--batch", batch]);
            assert_eq!(found, [start.clone(), between.clone(), end.clone()], "{batch}");
        }
    }
}

#[test]
fn mmas_adapters_give_the_released_codes_logits_all_along_the_way() {
    let bench = bench();
    let folder = root().join("tests/golden/mma");
    let source = folder.join("model.pth.tar-5");
    sweep_to(&bench, &source);
    let found = run(&bench, "one", "out", &[]);
    for (found, name) in found.iter().zip(["plain", "quarter", "adapted"]) {
        let right = expected(&folder.join("golden.safetensors"), name);
        assert!(off(found, &right) < 1e-4, "{name}: {}", off(found, &right));
    }
    let inspect = |path: &Path| {
        let assert = specbench().arg("inspect").arg(path).arg("--base").arg(golden().join("clip")).assert();
        let output = assert.get_output();
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
    };
    let text = inspect(&source);
    assert!(
        text.contains("adapters of both towers") && text.contains("0.001, the released code's"),
        "{text}"
    );
    // A scale of its own; a layer that is missing, or one that no block has.
    let mut part = StateDict::open(&source).unwrap().load_all().unwrap();
    part.retain(|name, _| name.contains("_adapter."));
    let stored = bench.out("part.safetensors");
    let store = |part: &Tensors| write_safetensors(&stored, part, candle_core::DType::F32).unwrap();
    let scale = candle_core::Tensor::new(0.00025f32, &candle_core::Device::Cpu).unwrap();
    part.insert("multimodal_adapter.scale".to_owned(), scale);
    store(&part);
    sweep_to(&bench, &stored);
    let quarter = expected(&folder.join("golden.safetensors"), "quarter");
    assert!(off(&run(&bench, "one", "scaled", &[])[2], &quarter) < 1e-4);
    let shared = part.remove("shared_adapter.1.0.bias").unwrap();
    store(&part);
    assert!(
        inspect(&stored).contains("without `text_model.encoder.layers.0.adapter.shared.bias`"),
        "{}",
        inspect(&stored)
    );
    part.insert("shared_adapter.1.0.bias".to_owned(), shared.clone());
    part.insert("shared_adapter.7.0.bias".to_owned(), shared);
    store(&part);
    assert!(inspect(&stored).contains("layers.6.adapter.shared.bias"), "{}", inspect(&stored));
}

#[test]
fn mmas_ten_steps_are_pytorchs() {
    let bench = bench();
    let folder = root().join("tests/golden/mma");
    let (plain, start) = (golden().join("clip"), with_part(&bench, &folder.join("start.safetensors")));
    let text = recipe(&bench, "clip", "mma", "", "").replace("\"shapes\"", "\"shapes-one\"");
    let going_on = text.replace(&format!("{plain:?}"), &format!("{start:?}"));
    let tuned = |text: &str, out: &str| {
        command(&bench, text, out).assert().success();
        StateDict::open(&bench.out(out).join("model.safetensors")).unwrap().load_all().unwrap()
    };
    let found = tuned(&going_on, "going-on");
    let right = StateDict::open_as(&folder.join("trained.safetensors"), &ClipNames).unwrap();
    // With the shared layer in both towers, and the scale.
    assert_eq!((right.entries().len(), found.len()), (12, 13));
    for name in right.entries().keys() {
        let off = (&found[name] - right.load(name).unwrap()).unwrap().abs().unwrap();
        let off = off.max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(off < 1e-5, "{name}: {off}");
    }
    assert_eq!(found["multimodal_adapter.scale"].to_scalar::<f32>().unwrap(), 0.5);
    // Drawn anew: two over the outputs, biases zero.
    let keys = "adapter_first = 1\nadapter_width = 40\nadapter_scale = 0.01\nlr = ";
    let drawn = tuned(&text.replace("lr = ", keys).replace("steps = 10", "steps = 0"), "drawn");
    let values = |name: &str| {
        let name = format!("vision_model.encoder.layers.0.adapter.{name}");
        drawn[&name].flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    for (layer, outputs) in [("down", 40.0f32), ("shared", 40.0), ("up", 16.0)] {
        let all = values(&format!("{layer}.weight"));
        let variance = all.iter().map(|v| v * v).sum::<f32>() / all.len() as f32;
        assert!((variance * outputs / 2.0 - 1.0).abs() < 0.2, "{layer}: {variance}");
        assert!(values(&format!("{layer}.bias")).iter().all(|v| *v == 0.0), "{layer}");
    }
    assert_eq!(drawn["multimodal_adapter.scale"].to_scalar::<f32>().unwrap(), 0.01);
    // Of the golden CLIP's towers neither has five blocks.
    let assert = command(&bench, &text, "refused").assert().failure();
    let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(log.contains("`adapter_first` is 5, and not both towers have so many blocks"), "{log}");
}

#[test]
fn what_is_not_whole_is_said() {
    let bench = bench();
    let mut part = StateDict::open(&golden().join("cocoop.safetensors")).unwrap().load_all().unwrap();
    let inspect = |part: &Tensors| {
        let path = bench.out("part.safetensors");
        write_safetensors(&path, part, candle_core::DType::F32).unwrap();
        let assert = specbench().arg("inspect").arg(&path).arg("--base").arg(golden().join("clip")).assert();
        let output = assert.get_output();
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
    };
    assert!(inspect(&part).contains("learned context that depends on the image"), "{}", inspect(&part));
    let bias = part.remove("meta_net.linear2.bias").unwrap();
    assert!(inspect(&part).contains("without `prompt.meta_net.linear2.bias`"), "{}", inspect(&part));
    part.insert("meta_net.linear2.bias".to_owned(), bias.narrow(0, 0, 3).unwrap());
    assert!(inspect(&part).contains("of shape [3]"), "{}", inspect(&part));
    part.insert("meta_net.linear2.bias".to_owned(), bias);
    part.remove("ctx").unwrap();
    assert!(inspect(&part).contains("without one context for all classes"), "{}", inspect(&part));
}

#[test]
fn a_term_on_rows_and_a_tower_that_trains_are_refused() {
    let bench = bench();
    let start = (
        format!("{:?}", golden().join("clip")),
        format!("{:?}", with_part(&bench, &golden().join("cocoop.safetensors"))),
    );
    for (train, message) in [
        ("[[term]]\nkind = \"text-anchor\"\nanchor = 8.0", "no rows for its classes"),
        ("trains = \"full\"", "towers that stay"),
    ] {
        let text = recipe(&bench, "clip", "cocoop", "", train).replace(&start.0, &start.1);
        let assert = command(&bench, &text, "refused").assert().failure();
        let log = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(log.contains(message), "{log}");
    }
}
