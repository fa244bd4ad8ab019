//! Reads, decodes and preprocesses segments ahead of the models.

use crossbeam_channel::{Receiver, Sender, bounded};
use rayon::prelude::*;

use super::RunError;
use crate::data::Dataset;
use crate::image::{Preprocessor, Rgb};

/// Examples per segment: the unit of storing, resuming and sharding.
pub const SEGMENT: usize = 512;

/// Segments that wait between decoding and the models.
const QUEUE: usize = 1;

/// A segment ready for the models.
pub struct LoadedSegment {
    /// Its number.
    pub index: usize,
    /// Positions of its examples in the data set.
    pub positions: Vec<usize>,
    /// 8-bit crops, or why an image cannot be decoded.
    pub crops: Vec<Result<Rgb, String>>,
}

/// Loads the given segments in order, at most [`QUEUE`] ahead, and hands each to `consume`.
///
/// Decoding runs in the current thread pool; ends early when `consume` fails.
pub fn stream(
    name: &str,
    data: &dyn Dataset,
    preprocessor: &Preprocessor,
    segments: &[(usize, &[usize])],
    mut consume: impl FnMut(LoadedSegment) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let threads = rayon::current_num_threads();
    let (sender, receiver): (Sender<Result<LoadedSegment, RunError>>, Receiver<_>) = bounded(QUEUE);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Its own pool: the models' pool is busy, and decoding must run beside it.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            for &(index, positions) in segments {
                let work = || load(name, data, preprocessor, index, positions);
                let loaded = match &pool {
                    Ok(pool) => pool.install(work),
                    Err(_) => work(),
                };
                let failed = loaded.is_err();
                // The other side is gone when it failed; then there is nothing left to do.
                if sender.send(loaded).is_err() || failed {
                    return;
                }
            }
        });
        for loaded in receiver {
            consume(loaded?)?;
        }
        Ok(())
    })
}

fn load(
    name: &str,
    data: &dyn Dataset,
    preprocessor: &Preprocessor,
    index: usize,
    positions: &[usize],
) -> Result<LoadedSegment, RunError> {
    let wrap = |source| RunError::Data { name: name.to_owned(), source };
    let mut crops = Vec::with_capacity(positions.len());
    // Positions come in runs; each run is one read.
    for run in positions.chunk_by(|a, b| a + 1 == *b) {
        let raw = data.read(run[0]..run[run.len() - 1] + 1).map_err(wrap)?;
        crops.par_extend(raw.into_par_iter().map(|image| {
            let image = image.decode().map_err(|e| e.to_string())?;
            Ok(preprocessor.crop_u8(&image))
        }));
    }
    Ok(LoadedSegment { index, positions: positions.to_vec(), crops })
}
