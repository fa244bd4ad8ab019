//! Numbers of the reference implementations; `tests/golden/make_golden.py` made them.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use specbench::base::digest::Digest;
use specbench::base::rng::CounterRng;
use specbench::checkpoint::Weights;
use specbench::image::corruptions::CORRUPTIONS;
use specbench::image::{Preprocessor, Rgb, decode};
use specbench::model::Kernels;
use specbench::model::clip::{
    CONTEXT, CheckpointFolder, ClipConfig, TextTower, VisionTower, context_embeddings, context_places,
    hugging_face,
};
use specbench::model::{ModelError, normalise_rows};

use crate::support::root;

fn golden() -> std::path::PathBuf {
    root().join("tests/golden")
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(a.dims(), b.dims());
    flat(a).iter().zip(flat(b)).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

fn read_config(folder: &Path) -> ClipConfig {
    let json = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    hugging_face::read(&json).unwrap()
}

fn check_model(name: &str, kernels: Kernels) {
    let folder = golden().join(name);
    let config = read_config(&folder);
    let tensors = crate::support::clip_weights(&folder).unwrap().load_all().unwrap();
    let expected = candle_core::safetensors::load(folder.join("golden.safetensors"), &Device::Cpu).unwrap();

    let vision = VisionTower::new(&config, &tensors, kernels).unwrap();
    let image = vision.forward(&expected["pixels"]).unwrap();
    let mut ids = expected["ids"].to_dtype(candle_core::DType::U32).unwrap().to_vec2::<u32>().unwrap();
    if config.text_config.fills_up() {
        // `transformers` filled up with SigLIP's token 1.
        ids.iter_mut().for_each(|text| text.resize(config.text_config.max_position_embeddings, 1));
    }
    let text = TextTower::new(&config, &tensors, kernels).unwrap().forward(&ids).unwrap();
    let scale = tensors["logit_scale"].exp().unwrap();
    let logits =
        normalise_rows(&image).unwrap().matmul(&normalise_rows(&text).unwrap().t().unwrap()).unwrap();
    let logits = logits.broadcast_mul(&scale.reshape(()).unwrap()).unwrap();
    let logits = match tensors.get("logit_bias") {
        Some(bias) => logits.broadcast_add(&bias.reshape(()).unwrap()).unwrap(),
        None => logits,
    };
    for (what, found) in [("image", &image), ("text", &text), ("logits_per_image", &logits)] {
        let difference = largest_difference(found, &expected[what]);
        assert!(difference < 1e-4, "{name} {what} ({kernels:?}): {difference}");
    }
    // Running the stages one by one is the same computation.
    let mut state = expected["pixels"].clone();
    for stage in 0..VisionTower::stages(&config) {
        state = vision.run(&state, stage..stage + 1).unwrap();
    }
    assert_eq!(largest_difference(&state, &image), 0.0);
}

#[test]
fn clip_with_quick_gelu() {
    check_model("clip-quick-gelu", Kernels::Differentiable);
    check_model("clip-quick-gelu", Kernels::Inference);
}

#[test]
fn clip_with_exact_gelu() {
    check_model("clip-gelu", Kernels::Differentiable);
    check_model("clip-gelu", Kernels::Inference);
}

#[test]
fn siglip() {
    check_model("siglip", Kernels::Differentiable);
    check_model("siglip", Kernels::Inference);
}

#[test]
fn a_lora_adapter_of_peft() {
    let config = read_config(&golden().join("clip-quick-gelu"));
    let base = Arc::new(crate::support::clip_weights(&golden().join("clip-quick-gelu")).unwrap());
    let adapted = crate::support::clip_weights(&golden().join("lora"))
        .unwrap()
        .over(Arc::clone(&base) as Arc<dyn Weights>)
        .unwrap();
    assert!(adapted.entries().keys().eq(base.entries().keys()), "an adapter adds no tensors");
    let name = |part: &str| format!("vision_model.encoder.layers.0.self_attn.{part}.weight");
    assert!(!adapted.same(&*base, &name("q_proj")) && adapted.same(&*base, &name("k_proj")));
    let digests = specbench::base::file_digests::FileDigests::default();
    assert_ne!(adapted.digest(&digests).unwrap(), base.digest(&digests).unwrap());
    let other = Arc::new(crate::support::clip_weights(&root().join("suites/demo/zero-shot")).unwrap());
    let wrong =
        crate::support::clip_weights(&golden().join("lora")).unwrap().over(other).err().unwrap().to_string();
    assert!(wrong.contains("is this the checkpoint that it was trained on?"), "{wrong}");
    let tensors = adapted.load_all().unwrap();
    let load = |path: &str| candle_core::safetensors::load(golden().join(path), &Device::Cpu).unwrap();
    let (input, expected) = (load("clip-quick-gelu/golden.safetensors"), load("lora/golden.safetensors"));
    let image = VisionTower::new(&config, &tensors, Kernels::Inference).unwrap();
    let text = TextTower::new(&config, &tensors, Kernels::Inference).unwrap();
    let ids = input["ids"].to_dtype(candle_core::DType::U32).unwrap().to_vec2::<u32>().unwrap();
    let image = image.forward(&input["pixels"]).unwrap();
    assert!(largest_difference(&image, &expected["image"]) < 1e-4);
    assert!(largest_difference(&text.forward(&ids).unwrap(), &expected["text"]) < 1e-4);
}

#[test]
fn learned_context_of_coop() {
    let config = read_config(&golden().join("clip-quick-gelu"));
    let base = Arc::new(crate::support::clip_weights(&golden().join("clip-quick-gelu")).unwrap());
    let weights = crate::support::clip_weights(&golden().join("context")).unwrap();
    assert_eq!(weights.own(), [CONTEXT]);
    let tensors = weights.over(base).unwrap().load_all().unwrap();
    let expected =
        candle_core::safetensors::load(golden().join("context/golden.safetensors"), &Device::Cpu).unwrap();
    // What a tokenizer gives for the names alone; the places for the context are made here.
    let names = [vec![0, 7, 9, 59], vec![0, 11, 59], vec![0, 13, 14, 15, 59]];
    let context = &tensors[CONTEXT];
    let texts = context_places(names.to_vec(), context, 12);
    let tower = TextTower::new(&config, &tensors, Kernels::Inference).unwrap();
    let found = context_embeddings(&tower, &texts, context).unwrap();
    assert!(largest_difference(&found, &expected["text"]) < 1e-5);
    // One set of vectors per class is the same where all sets are equal.
    let own = context.unsqueeze(0).unwrap().repeat((3, 1, 1)).unwrap();
    let found = context_embeddings(&tower, &texts, &own).unwrap();
    assert!(largest_difference(&found, &expected["text"]) < 1e-5);
    assert!(context_embeddings(&tower, &texts[..2], &own).is_err());
}

/// Texts that begin alike share what they begin with; each alone has nobody to share with.
#[test]
fn what_texts_share_is_computed_once_and_changes_nothing() {
    let folder = golden().join("clip-quick-gelu");
    let (config, tensors) =
        (read_config(&folder), crate::support::clip_weights(&folder).unwrap().load_all().unwrap());
    let alike: Vec<Vec<u32>> = [vec![], vec![7], vec![9, 11], vec![13, 14, 15]]
        .into_iter()
        .map(|own| [vec![0, 5, 6, 8], own, vec![59]].concat())
        .collect();
    let values: Vec<f32> = (0..2 * config.text_config.tower.hidden_size).map(|i| (i as f32).sin()).collect();
    let context = Tensor::from_vec(values, (2, ()), &Device::Cpu).unwrap();
    let placed = context_places(alike.clone(), &context, 12);
    for kernels in [Kernels::Inference, Kernels::Differentiable] {
        let tower = TextTower::new(&config, &tensors, kernels).unwrap();
        let alone = |texts: &[Vec<u32>], context: Option<&Tensor>| {
            let each: Vec<Tensor> =
                texts.iter().map(|t| tower.forward_with(std::slice::from_ref(t), context).unwrap()).collect();
            Tensor::cat(&each, 0).unwrap()
        };
        let found = tower.forward(&alike).unwrap();
        assert!(largest_difference(&found, &alone(&alike, None)) < 1e-5);
        // Other texts between them, in another order, and batch by batch.
        let mut mixed: Vec<Vec<u32>> = (0..70).map(|i| vec![0, 20 + i % 3, 30 + i / 3, 59]).collect();
        alike.iter().enumerate().for_each(|(i, text)| mixed.insert(17 * i, text.clone()));
        let mut made = 0;
        let found = tower.forward_all(&mixed, None, &mut |n| made += n).unwrap();
        assert!(largest_difference(&found, &alone(&mixed, None)) < 1e-5);
        assert_eq!(made, mixed.len());
        let found = tower.forward_all(&placed, Some(&context), &mut |_| {}).unwrap();
        assert!(largest_difference(&found, &alone(&placed, Some(&context))) < 1e-5);
    }
    let tower = TextTower::new(&config, &tensors, Kernels::Differentiable).unwrap();
    let gradient = |texts: &[&[Vec<u32>]]| {
        let learned = candle_core::Var::from_tensor(&context).unwrap();
        let features: Vec<Tensor> =
            texts.iter().map(|t| tower.forward_with(t, Some(learned.as_tensor())).unwrap()).collect();
        let loss = Tensor::cat(&features, 0).unwrap().sqr().unwrap().sum_all().unwrap();
        loss.backward().unwrap().get(learned.as_tensor()).unwrap().clone()
    };
    let each: Vec<&[Vec<u32>]> = placed.chunks(1).collect();
    assert!(largest_difference(&gradient(&[&placed]), &gradient(&each)) < 1e-4);
}

#[test]
fn heads_on_top_of_a_checkpoint() {
    let base = CheckpointFolder::open(&golden().join("open-clip")).unwrap();
    let classes = ["a", "b", "c"].map(str::to_owned);
    let open = |file: &str, names: Option<&[String]>| {
        CheckpointFolder::open_over(&golden().join("heads").join(file), &base, names)
    };
    let whole = open("classifier.pt", Some(&classes)).unwrap();
    assert!(whole.kind().contains("image tower, linear head"), "{}", whole.kind());
    let vision = "vision_model.embeddings.class_embedding";
    assert!(!whole.weights.same(&*base.weights, vision));
    let text = "text_model.encoder.layers.0.mlp.fc1.weight";
    assert!(whole.weights.same(&*base.weights, text));
    assert_eq!(whole.classifier.as_ref().unwrap().rows(&classes, &[1, 2]), Ok(vec![1, 2]));

    let linear = open("linear.pt", Some(&classes)).unwrap();
    assert!(linear.weights.same(&*base.weights, vision));
    assert_eq!(linear.weights.load("classifier.bias").unwrap().dims(), [3]);
    let error = |found: Result<CheckpointFolder, ModelError>| found.err().unwrap().to_string();
    assert!(error(open("linear.pt", None)).contains("whose classes nobody names"));
    assert!(error(open("linear.pt", Some(&classes[..2]))).contains("[3, 20]; [2, 20] is needed"));
    let alone = error(CheckpointFolder::open(&golden().join("context")));
    assert!(alone.contains("learned context") && alone.contains("base = ID"), "{alone}");
}

/// Largest and mean absolute difference of two images.
fn difference(a: &Rgb, b: &Rgb) -> (u8, f64) {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let all = a.data.iter().zip(&b.data).map(|(x, y)| x.abs_diff(*y));
    let sum: u64 = all.clone().map(u64::from).sum();
    (all.max().unwrap_or(0), sum as f64 / a.data.len() as f64)
}

#[test]
fn images_are_decoded_and_resized_as_pillow_does_it() {
    let folder = golden().join("images");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| !n.ends_with(".decoded.png") && !n.ends_with(".crop56.png"))
        .collect();
    names.sort();
    assert_eq!(names.len(), 13);
    let open = |name: &str| decode(&std::fs::read(folder.join(name)).unwrap()).unwrap();
    for name in &names {
        let image = open(name);
        let decoded = difference(&image, &open(&format!("{name}.decoded.png")));
        let crop = Preprocessor::clip(56).crop_u8(&image);
        let cropped = difference(&crop, &open(&format!("{name}.crop56.png")));
        println!("{name}: decoded {decoded:?}, cropped {cropped:?} (largest, mean)");
        assert_eq!((decoded, cropped), ((0, 0.0), (0, 0.0)), "{name}");
    }
}

#[test]
fn corruptions_are_those_of_the_reference_definitions() {
    let open = |name: &str| decode(&std::fs::read(golden().join("corruptions").join(name)).unwrap()).unwrap();
    let input = open("input.png");
    // Level 1: arithmetic in f32 there and f64 here falls on either side of a whole level.
    for (name, allowed) in [
        ("brightness", 1),
        ("contrast", 1),
        ("defocus-blur", 1),
        ("gaussian-blur", 1),
        ("jpeg-compression", 0),
        ("pixelate", 0),
        ("saturate", 1),
        ("zoom-blur", 1),
    ] {
        for severity in [2, 5] {
            let mut rng = CounterRng::new(0, name);
            let found = CORRUPTIONS.get(name).unwrap().apply(&input, severity, &mut rng);
            let (largest, mean) = difference(&found, &open(&format!("{name}-{severity}.png")));
            println!("{name} {severity}: largest {largest}, mean {mean}");
            assert!(largest <= allowed && mean < 0.02, "{name} {severity}: {largest} {mean}");
        }
    }
}

#[test]
fn photographs_are_decoded_and_resized_as_pillow_does_it() {
    let folder = root().join("../shared/data/photos");
    let text = std::fs::read_to_string(golden().join("photos.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    if !Path::new(&folder).is_dir() {
        println!("skipped: no photographs in `{}`", folder.display());
        return;
    }
    let photos = expected["photos"].as_object().unwrap();
    let mut equal = (0, 0);
    for (name, digests) in photos {
        let image = decode(&std::fs::read(folder.join(name)).unwrap()).unwrap();
        let crop = Preprocessor::clip(224).crop_u8(&image);
        equal.0 += usize::from(Digest::of_bytes(&image.data).as_str() == digests["decoded"]);
        equal.1 += usize::from(Digest::of_bytes(&crop.data).as_str() == digests["crop"]);
    }
    println!(
        "of {} photographs {} are equal after decoding, {} after resizing",
        photos.len(),
        equal.0,
        equal.1
    );
    assert_eq!(equal, (photos.len(), photos.len()));
}

#[test]
fn the_open_clip_layout_as_safetensors_and_as_pickle() {
    let expected =
        candle_core::safetensors::load(golden().join("open-clip/golden.safetensors"), &Device::Cpu).unwrap();
    let ids = expected["ids"].to_dtype(candle_core::DType::U32).unwrap().to_vec2::<u32>().unwrap();
    for name in ["open-clip", "open-clip-pickle"] {
        let folder = CheckpointFolder::open(&golden().join(name)).unwrap();
        let tensors = folder.weights.load_all().unwrap();
        let image = VisionTower::new(&folder.config, &tensors, Kernels::Inference).unwrap();
        let text = TextTower::new(&folder.config, &tensors, Kernels::Inference).unwrap();
        let image = image.forward(&expected["pixels"]).unwrap();
        let text = text.forward(&ids).unwrap();
        assert!(largest_difference(&image, &expected["image"]) < 1e-4, "{name} image");
        assert!(largest_difference(&text, &expected["text"]) < 1e-4, "{name} text");
    }
    let open = |name: &str| crate::support::clip_weights(&golden().join(name)).unwrap();
    let (a, b) = (open("open-clip"), open("open-clip-pickle"));
    assert_eq!(a.entries().keys().collect::<Vec<_>>(), b.entries().keys().collect::<Vec<_>>());
    assert!(a.entries().keys().all(|n| a.same(&b, n) && a.same(&a, n)));
}
