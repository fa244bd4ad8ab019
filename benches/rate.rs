//! Images per second as one line, for scripts that interleave programs:
//!
//! - `cargo bench --bench rate -- forward CHECKPOINT [--batch 32] [--threads 2] [--rounds 5]`
//! - `cargo bench --bench rate -- preprocess FOLDER [--size 224] [--threads 1] [--rounds 5]`
//!
//! or seconds:
//!
//! - `cargo bench --bench rate -- resample all [--resamples 10000] [--variants 11] [--probes 6] [--examples 50000]`

#![expect(clippy::print_stdout, reason = "its result is a line on standard output")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use specbench::image::{Preprocessor, decode, recycle};
use specbench::model::Kernels;
use specbench::model::clip::{CheckpointFolder, VisionTower};
use specbench::stats::{Estimator, Form, Resampling};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome = Result<f64, Box<dyn std::error::Error>>;

fn option(arguments: &[String], name: &str, default: usize) -> usize {
    let place = arguments.iter().position(|a| a == name);
    place.and_then(|i| arguments.get(i + 1)).and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let threads = option(&arguments, "--threads", 2);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let measured = pool.install(|| {
        let outcome = match (arguments.first().map(String::as_str), arguments.get(1)) {
            (Some("forward"), Some(path)) => forward(Path::new(path), &arguments, threads),
            (Some("preprocess"), Some(path)) => preprocess(Path::new(path), &arguments),
            (Some("resample"), Some(_)) => Ok(resample(&arguments)),
            _ => Err("nothing named, nothing measured".into()),
        };
        outcome.map_err(|e| e.to_string())
    });
    match measured {
        Ok(rate) => println!("{rate:.2}"),
        Err(error) => println!("rate: {error}"),
    }
    ExitCode::SUCCESS
}

/// The median rate of `rounds` calls that each do `images` images, after one to warm up.
fn median(
    images: usize,
    rounds: usize,
    mut once: impl FnMut() -> Result<(), Box<dyn std::error::Error>>,
) -> Outcome {
    once()?;
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        once()?;
        rates.push(images as f64 / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[rates.len() / 2])
}

/// The image tower alone. A batch is cut over the threads, as the sweep does it.
fn forward(path: &Path, arguments: &[String], threads: usize) -> Outcome {
    let folder = CheckpointFolder::open(path)?;
    let tensors = folder.weights.load_all()?;
    let tower = VisionTower::new(&folder.config, &tensors, Kernels::Inference)?;
    let side = folder.config.vision_config.image_size;
    let part = option(arguments, "--batch", 32).div_ceil(threads);
    let inputs = (0..threads)
        .map(|_| Tensor::randn(0f32, 1f32, (part, 3, side, side), &Device::Cpu))
        .collect::<Result<Vec<_>, _>>()?;
    median(part * threads, option(arguments, "--rounds", 5), || {
        inputs.par_iter().map(|x| tower.forward(x)).collect::<Result<Vec<_>, _>>()?;
        Ok(())
    })
}

/// Decoding, resizing, cropping and normalising the images of a folder, from memory.
fn preprocess(folder: &Path, arguments: &[String]) -> Outcome {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.sort();
    let files = paths.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let preprocessor = Preprocessor::clip(option(arguments, "--size", 224));
    median(files.len(), option(arguments, "--rounds", 5), || {
        files.par_iter().try_for_each(|bytes| {
            let image = decode(bytes).map_err(|e| e.to_string())?;
            let crop = preprocessor.crop_u8(&image);
            recycle(image);
            let mut out = Vec::with_capacity(crop.data.len());
            preprocessor.normalise_into(&crop, &mut out);
            Ok::<(), String>(())
        })?;
        Ok(())
    })
}

/// Seconds that paired resampling of accuracies takes.
fn resample(arguments: &[String]) -> f64 {
    let (n, variants) = (option(arguments, "--examples", 50_000), option(arguments, "--variants", 11));
    let (probes, resamples) = (option(arguments, "--probes", 6), option(arguments, "--resamples", 10_000));
    let hit = |i: usize, v: usize| f64::from(u8::from((i * 7919 + v) % 10 < 7));
    let all: Vec<Estimator> =
        (0..variants).map(|v| Estimator::new(Form::Mean((0..n).map(|i| hit(i, v)).collect()))).collect();
    let statistics: Vec<&Estimator> = all.iter().collect();
    let resampling = Resampling { seed: 0, resamples };
    let start = Instant::now();
    for probe in 0..probes {
        std::hint::black_box(resampling.replicates(&probe.to_string(), n, &statistics));
    }
    start.elapsed().as_secs_f64()
}
