//! Every option of foreign configurations that is read, against the references; `tests/golden/make_foreign.py` made them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use specbench::checkpoint::{Tensors, Weights};
use specbench::model::Kernels;
use specbench::model::clip::{ClipConfig, TextPool, TextTower, VisionTower, hugging_face, open_clip};

use crate::support::root;

fn folder(name: &str) -> PathBuf {
    root().join("tests/golden/foreign").join(name)
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn config(folder: &Path) -> ClipConfig {
    let ours = folder.join("open_clip_config.json");
    let config = if ours.is_file() {
        open_clip::read(&json(&ours)).unwrap().0
    } else {
        hugging_face::read(&json(&folder.join("config.json"))).unwrap()
    };
    config.validate().unwrap();
    config
}

/// The script's pixels.
fn pixels(side: usize) -> Tensor {
    let values: Vec<f32> =
        (0..2 * 3 * side * side).map(|i| ((i * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
    Tensor::from_vec(values, (2, 3, side, side), &Device::Cpu).unwrap()
}

/// The script's tokens.
fn ids(config: &ClipConfig) -> Vec<Vec<u32>> {
    let text = &config.text_config;
    let (length, vocabulary) = (text.max_position_embeddings, text.vocab_size);
    let token = |row: usize, i: usize| (((row * length + i) * 31 + 7) % (vocabulary - 1)) as u32;
    let mut all: Vec<Vec<u32>> = (0..3).map(|row| (0..length).map(|i| token(row, i)).collect()).collect();
    for text in &mut all {
        match config.text_config.pool {
            TextPool::Token(2) => text[5] = 2,
            TextPool::Token(end) => text[length - 2] = end,
            // The legacy end is the largest id; the script's other models of this kind have none.
            TextPool::LargestId if length == 10 => text[length - 2] = (vocabulary - 1) as u32,
            _ => {}
        }
    }
    all
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let flat = |t: &Tensor| t.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    flat(a).iter().zip(flat(b)).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

/// Root mean square of the difference over that of the right values.
fn relative_error(found: &Tensor, right: &Tensor) -> f32 {
    let square = |t: &Tensor| t.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
    let found = found.to_dtype(DType::F32).unwrap();
    (square(&(found - right).unwrap()) / square(right)).sqrt()
}

fn golden(folder: &Path) -> BTreeMap<String, Tensor> {
    let file = folder.join("golden.safetensors");
    candle_core::safetensors::load(file, &Device::Cpu).unwrap().into_iter().collect()
}

#[test]
fn every_option_that_is_read_gives_the_references_features() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder("")).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("adapter_config.json").is_file() {
            continue;
        }
        let (config, expected) = (config(&folder), golden(&folder));
        let dict = crate::support::clip_weights(&folder).unwrap();
        // The configuration knows every tensor, and asks for no other.
        assert!(dict.entries().keys().eq(config.tensors().keys()), "{}", folder.display());
        let tensors = dict.load_all().unwrap();
        for kernels in [Kernels::Differentiable, Kernels::Inference] {
            let image = VisionTower::new(&config, &tensors, kernels).unwrap();
            let image = image.forward(&pixels(config.vision_config.image_size)).unwrap();
            let text = TextTower::new(&config, &tensors, kernels).unwrap().forward(&ids(&config)).unwrap();
            let found = (difference(&image, &expected["image"]), difference(&text, &expected["text"]));
            assert!(found.0 < 1e-4 && found.1 < 1e-4, "{} ({kernels:?}): {found:?}", folder.display());
        }
        seen += 1;
    }
    assert!(seen >= 21, "{seen}");
}

#[test]
fn adapters_with_each_option_equal_peft() {
    let base_folder = root().join("tests/golden/clip-quick-gelu");
    let (config, inputs) = (config(&base_folder), golden(&base_folder));
    let base = Arc::new(crate::support::clip_weights(&base_folder).unwrap());
    for name in ["lora-patterns", "lora-bias", "lora-stabilised", "lora-gaussian", "lora-vision-only"] {
        let expected = golden(&folder(name));
        let adapted = crate::support::clip_weights(&folder(name))
            .unwrap()
            .over(Arc::clone(&base) as Arc<dyn Weights>)
            .unwrap();
        let tensors = adapted.load_all().unwrap();
        let image = VisionTower::new(&config, &tensors, Kernels::Inference).unwrap();
        let found = difference(&image.forward(&inputs["pixels"]).unwrap(), &expected["image"]);
        assert!(found < 1e-4, "{name}: image {found}");
        assert!(difference(&inputs["image"], &expected["image"]) > 1e-3, "{name} changes nothing");
        if let Some(text) = expected.get("text") {
            let ids = inputs["ids"].to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap();
            let tower = TextTower::new(&config, &tensors, Kernels::Inference).unwrap();
            let found = difference(&tower.forward(&ids).unwrap(), text);
            assert!(found < 1e-4, "{name}: text {found}");
        }
    }
}

/// Weights in a 16-bit type, as `--dtype` keeps them on the CPU: the error is no more than 1.5 times PyTorch's.
#[test]
fn low_types_accumulate_in_f32() {
    let names =
        ["odd-projection", "50-by-10", "96-by-12", "224-by-16", "224-by-14", "336-by-14", "512-by-16"];
    for name in names {
        let folder = folder(name);
        let (config, expected) = (config(&folder), golden(&folder));
        let tensors = crate::support::clip_weights(&folder).unwrap().load_all().unwrap();
        let right = &expected["image"];
        for (dtype, key) in [(DType::BF16, "bf16_error"), (DType::F16, "f16_error")] {
            let low: Tensors = tensors.iter().map(|(n, t)| (n.clone(), t.to_dtype(dtype).unwrap())).collect();
            let tower = VisionTower::new(&config, &low, Kernels::Inference).unwrap();
            let image = tower.forward(&pixels(config.vision_config.image_size)).unwrap();
            let (found, theirs) = (relative_error(&image, right), expected[key].to_vec1::<f32>().unwrap()[0]);
            println!("{name} {dtype:?}: {found:.5} against PyTorch's {theirs:.5}");
            assert!(found <= 1.5 * theirs, "{name} {dtype:?}: {found} against PyTorch's {theirs}");
        }
    }
}

#[test]
fn what_is_left_over_is_refused_by_name() {
    // The weights hold two layers, the configuration says one.
    let folder = folder("odd-projection");
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("model.safetensors"), dir.path().join("model.safetensors")).unwrap();
    let tokenizer = root().join("suites/demo/zero-shot/tokenizer.json");
    std::fs::copy(tokenizer, dir.path().join("tokenizer.json")).unwrap();
    let mut fewer = json(&folder.join("config.json"));
    fewer["vision_config"]["num_hidden_layers"] = 1.into();
    std::fs::write(dir.path().join("config.json"), fewer.to_string()).unwrap();
    let preprocessor = r#"{"size": 20, "crop_size": 20}"#;
    std::fs::write(dir.path().join("preprocessor_config.json"), preprocessor).unwrap();
    let error = specbench::model::clip::CheckpointFolder::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("vision_model.encoder.layers.1.") && error.contains("too few layers"), "{error}");
    std::fs::copy(folder.join("config.json"), dir.path().join("config.json")).unwrap();
    specbench::model::clip::CheckpointFolder::open(dir.path()).unwrap();
}
