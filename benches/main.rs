//! Throughput of the parts: `cargo bench --bench main`.
//!
//! Read ratios, not absolute numbers: machines differ, and this one may be shared.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use specbench::catalog::Catalog;
use specbench::checkpoint::{Budget, Cached, StateDict, Weights, write_safetensors};
use specbench::image::{Preprocessor, Rgb, decode};
use specbench::merge::{COMBINES, Combination, CombineSettings, Each, Ends, PATHS, TensorFilter};
use specbench::model::clip::{CheckpointFolder, VisionTower};
use specbench::model::{Kernels, Numerics};
use specbench::plan::Plan;
use specbench::run::{RunOptions, run};
use specbench::stats::{Estimator, Form, Resampling};
use specbench::suite::Suite;

/// A smooth picture with texture, as large as a usual photograph of ImageNet.
fn picture(width: usize, height: usize) -> Rgb {
    let value = |x: usize, y: usize, c: usize| {
        let wave = (x as f64 / (7.0 + c as f64)).sin() * (y as f64 / 11.0).cos();
        (127.0 + 100.0 * wave + ((x * 31 + y * 17 + c * 7) % 23) as f64) as u8
    };
    let data = (0..width * height * 3).map(|i| value(i / 3 % width, i / 3 / width, i % 3)).collect();
    Rgb { width, height, data }
}

fn images(c: &mut Criterion) {
    let mut group = c.benchmark_group("image");
    group.throughput(Throughput::Elements(1));
    let photo = picture(500, 375);
    let mut jpeg = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
    jpeg.set_size(photo.width, photo.height);
    jpeg.set_quality(90.0);
    let mut started = jpeg.start_compress(Vec::new()).expect("memory");
    started.write_scanlines(&photo.data).expect("memory");
    let jpeg = started.finish().expect("memory");
    let png = picture(32, 32).to_png();
    let (large, small) = (Preprocessor::clip(224), Preprocessor::clip(32));
    group.bench_function("decode-jpeg-500x375", |b| b.iter(|| decode(black_box(&jpeg))));
    group.bench_function("crop-224", |b| b.iter(|| large.crop_u8(black_box(&photo))));
    group.bench_function("decode-and-preprocess-jpeg", |b| {
        b.iter(|| {
            let mut out = Vec::new();
            large.normalise_into(&large.crop_u8(&decode(black_box(&jpeg)).expect("a JPEG")), &mut out);
            out
        });
    });
    group.bench_function("decode-and-preprocess-emoji", |b| {
        b.iter(|| small.crop_u8(&decode(black_box(&png)).expect("a PNG")));
    });
    group.finish();
}

fn checkpoint(name: &str) -> CheckpointFolder {
    CheckpointFolder::open(&Path::new("suites/demo").join(name)).expect("the demo's checkpoint")
}

fn forward(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward");
    let folder = checkpoint("zero-shot");
    let tensors = folder.weights.load_all().expect("weights");
    let pixels = Tensor::randn(0f32, 1f32, (64, 3, 32, 32), &Device::Cpu).expect("memory");
    group.throughput(Throughput::Elements(64));
    for (name, kernels) in [("plain", Kernels::Differentiable), ("inference", Kernels::Inference)] {
        let tower = VisionTower::new(&folder.config, &tensors, kernels).expect("a model");
        group.bench_function(format!("demo-b64-{name}"), |b| b.iter(|| tower.forward(black_box(&pixels))));
    }
    group.finish();
}

fn merge(c: &mut Criterion) {
    let mut group = c.benchmark_group("merge");
    let (from, to) = (checkpoint("zero-shot"), checkpoint("ft-noto"));
    let skip = |name: &str| name.starts_with("classifier.");
    let held =
        |f: &CheckpointFolder| Cached::new(std::sync::Arc::clone(&f.weights) as _, Budget::new(1 << 30));
    let ends = Ends::new(held(&from), held(&to), &TensorFilter::default(), skip).expect("two ends");
    // Two reads and one write of every interpolated value.
    group.throughput(Throughput::Bytes(3 * (ends.interpolated_values(|_| true) * 4) as u64));
    let method = PATHS.get("wise-ft").expect("registered");
    group.bench_function("wise-ft-demo", |b| b.iter(|| ends.at(method, black_box(0.3)).load_all()));
    group.finish();
}

fn sweep(c: &mut Criterion) {
    let mut group = c.benchmark_group("sweep");
    group.sample_size(10);
    let catalog =
        Catalog::open(Path::new("datasets.toml")).expect("the registry").beside(Path::new("suites"));
    let plan = || {
        let suite = Suite::open(Path::new("suites/demo.toml"), &catalog).expect("the demo");
        Plan::new(suite, &catalog, Some(64), Numerics::default(), None).expect("a plan")
    };
    let plan = plan();
    group.throughput(Throughput::Elements(plan.cells.len() as u64));
    group.bench_function("demo-cells-of-64-examples", |b| {
        b.iter_batched(
            || tempfile::tempdir().expect("a folder"),
            |dir| run(&plan, &RunOptions::new(dir.path().to_owned()), &mut |_| {}).expect("a run"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn statistics(c: &mut Criterion) {
    let mut group = c.benchmark_group("bootstrap");
    group.sample_size(10);
    let n = 50_000;
    let estimators: Vec<Estimator> = (0..11)
        .map(|v| Estimator::new(Form::Mean((0..n).map(|i| f64::from((i * 7 + v) % 10 < 6)).collect())))
        .collect();
    let all: Vec<&Estimator> = estimators.iter().collect();
    let resampling = Resampling { seed: 0, resamples: 100 };
    group.throughput(Throughput::Elements(100));
    group.bench_function("100-resamples-of-11-alphas-by-50000", |b| {
        b.iter(|| resampling.replicates("probe", n as usize, black_box(&all)));
    });
    group.finish();
}

/// Four checkpoints and their base: those of `benches/against_mergekit.py`, or small ones.
fn combine(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    #[expect(clippy::disallowed_methods, reason = "criterion takes no arguments of ours")]
    let folder = std::env::var("SPECBENCH_COMBINE").map_or_else(|_| dir.path().to_owned(), Into::into);
    let files =
        ["base", "tuned-0", "tuned-1", "tuned-2", "tuned-3"].map(|n| folder.join(format!("{n}.safetensors")));
    for (i, file) in files.iter().enumerate().filter(|(_, f)| !f.is_file()) {
        let tensor = Tensor::rand(0f32, 1.0 + i as f32 * 0.1, (1024, 1024), &Device::Cpu).expect("memory");
        let tensors = (0..4).map(|t| (format!("{t}"), tensor.clone())).collect();
        write_safetensors(file, &tensors, candle_core::DType::F32).expect("disk");
    }
    let open = |path: &std::path::PathBuf| -> Arc<dyn Weights> {
        Arc::new(StateDict::open(path).expect("a file of tensors"))
    };
    let (base, of): (_, Vec<Arc<dyn Weights>>) = (open(&files[0]), files[1..].iter().map(open).collect());
    let mut group = c.benchmark_group("combine-four");
    group.sample_size(10);
    for (method, density) in [("ties", 0.2), ("dare-linear", 0.5)] {
        let settings = CombineSettings { density: Some(Each::All(density)), ..Default::default() };
        let method = COMBINES.get(method).expect("registered");
        let made =
            Combination::new(method, &settings, Some(Arc::clone(&base)), of.clone()).expect("one shape");
        group.bench_function(method.name(), |b| {
            b.iter(|| {
                for name in made.names() {
                    black_box(made.load(name).expect("a tensor"));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, images, forward, merge, combine, sweep, statistics);
criterion_main!(benches);
