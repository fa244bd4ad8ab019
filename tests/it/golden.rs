//! Numbers of the reference implementations; `tests/golden/make_golden.py` made them.

use std::path::Path;

use candle_core::{Device, Tensor};
use specbench::base::digest::Digest;
use specbench::checkpoint::StateDict;
use specbench::image::{Preprocessor, Rgb, decode};
use specbench::model::clip::{ClipConfig, Kernels, TextTower, VisionTower};
use specbench::model::{CheckpointFolder, normalise_rows};

use crate::support::root;

fn golden() -> std::path::PathBuf {
    root().join("tests/golden")
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(a.dims(), b.dims());
    flat(a).iter().zip(flat(b)).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

fn check_model(name: &str, kernels: Kernels) {
    let folder = golden().join(name);
    let config: ClipConfig =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let tensors = StateDict::open(&folder).unwrap().load_all().unwrap();
    let expected = candle_core::safetensors::load(folder.join("golden.safetensors"), &Device::Cpu).unwrap();

    let vision = VisionTower::new(&config, &tensors, kernels).unwrap();
    let image = vision.forward(&expected["pixels"]).unwrap();
    let ids = expected["ids"].to_dtype(candle_core::DType::U32).unwrap().to_vec2::<u32>().unwrap();
    let text = TextTower::new(&config, &tensors, kernels).unwrap().forward(&ids).unwrap();
    let scale = tensors["logit_scale"].exp().unwrap();
    let logits =
        normalise_rows(&image).unwrap().matmul(&normalise_rows(&text).unwrap().t().unwrap()).unwrap();
    let logits = logits.broadcast_mul(&scale).unwrap();
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
    assert_eq!(names.len(), 12);
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
    let open = |name: &str| StateDict::open(&golden().join(name)).unwrap();
    let (a, b) = (open("open-clip"), open("open-clip-pickle"));
    assert_eq!(a.entries().keys().collect::<Vec<_>>(), b.entries().keys().collect::<Vec<_>>());
    assert!(a.entries().keys().all(|n| a.same_tensor(&b, n) && a.same_tensor(&a, n)));
}
