//! Images per second of an image tower, as one line, for scripts that interleave programs:
//! `cargo bench --bench forward -- CHECKPOINT [--batch 32] [--threads 2] [--rounds 5]`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use specbench::model::CheckpointFolder;
use specbench::model::clip::{Kernels, VisionTower};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn option(arguments: &[String], name: &str, default: usize) -> usize {
    let place = arguments.iter().position(|a| a == name);
    place.and_then(|i| arguments.get(i + 1)).and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some(path) = arguments.first().filter(|a| !a.starts_with("--")).map(PathBuf::from) else {
        println!("forward: no checkpoint named, nothing measured");
        return ExitCode::SUCCESS;
    };
    let batch = option(&arguments, "--batch", 32);
    let threads = option(&arguments, "--threads", 2);
    let rounds = option(&arguments, "--rounds", 5);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let result = pool.install(|| measure(&path, batch, threads, rounds).map_err(|e| e.to_string()));
    match result {
        Ok(best) => {
            println!("{best:.2}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("forward: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Images per second in the median round. A batch is cut over the threads, as the sweep does it.
fn measure(
    path: &std::path::Path,
    batch: usize,
    threads: usize,
    rounds: usize,
) -> Result<f64, Box<dyn std::error::Error>> {
    let folder = CheckpointFolder::open(path)?;
    let tensors = folder.weights.load_all()?;
    let tower = VisionTower::new(&folder.config, &tensors, Kernels::Inference)?;
    let side = folder.config.vision_config.image_size;
    let part = batch.div_ceil(threads);
    let inputs = (0..threads)
        .map(|_| Tensor::randn(0f32, 1f32, (part, 3, side, side), &Device::Cpu))
        .collect::<Result<Vec<_>, _>>()?;
    let once = || inputs.par_iter().map(|x| tower.forward(x)).collect::<Result<Vec<_>, _>>();
    once()?;
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        once()?;
        rates.push((part * threads) as f64 / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[rates.len() / 2])
}
