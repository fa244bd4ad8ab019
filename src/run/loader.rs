//! Reads, decodes and preprocesses segments ahead of the models.

use std::ops::ControlFlow;

use crossbeam_channel::{Receiver, Sender, bounded};
use rayon::prelude::*;

use super::RunError;
use super::crops::CropCache;
use crate::base::rng::CounterRng;
use crate::data::{Dataset, RawImage};
use crate::image::corruptions::CORRUPTIONS;
use crate::image::{Preprocessor, Rgb, recycle};
use crate::suite::CorruptionSpec;

/// Examples per segment: the unit of storing, resuming and sharding.
pub const SEGMENT: usize = 512;

/// Examples that are read for nothing rather than reading twice.
const GAP: usize = 16;

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
    /// How many of them were decoded now; the rest were kept.
    pub decoded: usize,
}

/// How the images of a pass become crops.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Data set and split, for messages.
    pub name: &'a str,
    /// The opened split.
    pub data: &'a dyn Dataset,
    /// Pixels cut off each side before preprocessing.
    pub border: usize,
    /// Resize, crop, normalise.
    pub preprocessor: &'a Preprocessor,
    /// What is done to every crop; crops are kept without it.
    pub corruption: Option<&'a CorruptionSpec>,
    /// Pixels that an image may have at most.
    pub most_pixels: u64,
    /// Crops of earlier runs.
    pub kept: Option<&'a CropCache>,
}

/// Loads the given segments in order, at most [`QUEUE`] ahead, and hands each to `consume`.
///
/// Ends early when `consume` fails or has enough.
pub fn stream(
    reader: &Reader<'_>,
    segments: &[(usize, &[usize])],
    mut consume: impl FnMut(LoadedSegment) -> Result<ControlFlow<()>, RunError>,
) -> Result<(), RunError> {
    let threads = rayon::current_num_threads();
    let (sender, receiver): (Sender<Result<LoadedSegment, RunError>>, Receiver<_>) = bounded(QUEUE);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Its own pool: the models' pool is busy, and decoding must run beside it.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            for &(index, positions) in segments {
                let work = || reader.load(index, positions);
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
            if consume(loaded?)?.is_break() {
                break;
            }
        }
        Ok(())
    })
}

impl Reader<'_> {
    fn load(&self, index: usize, positions: &[usize]) -> Result<LoadedSegment, RunError> {
        let wrap = |source| RunError::Data { name: self.name.to_owned(), source };
        let kept = |&position: &usize| self.kept.and_then(|cache| cache.get(position));
        let mut crops: Vec<Option<Result<Rgb, String>>> =
            positions.par_iter().map(|p| kept(p).map(Ok)).collect();
        let mut missing: Vec<usize> = (0..positions.len()).filter(|&i| crops[i].is_none()).collect();
        missing.sort_unstable_by_key(|&i| positions[i]);
        // Positions that lie near each other are one read, whatever lies between.
        for run in missing.chunk_by(|&a, &b| positions[b] - positions[a] <= GAP) {
            let (first, last) = (positions[run[0]], positions[run[run.len() - 1]]);
            let raw = self.data.read(first..last + 1).map_err(wrap)?;
            let mut raw: Vec<Option<RawImage>> = raw.into_iter().map(Some).collect();
            let taken: Vec<(usize, Option<RawImage>)> =
                run.iter().map(|&i| (positions[i], raw[positions[i] - first].take())).collect();
            let gone = || "the data set gave too few images".to_owned();
            let decoded: Vec<_> = taken
                .into_par_iter()
                .map(|(position, image)| self.crop(position, image.ok_or_else(gone)?))
                .collect();
            for (&place, crop) in run.iter().zip(decoded) {
                crops[place] = Some(crop);
            }
        }
        let crops: Vec<_> = crops.into_iter().flatten().collect();
        let ready = crops.into_par_iter().zip(positions).map(|(c, &p)| c.map(|c| self.corrupted(c, p)));
        let crops = ready.collect();
        Ok(LoadedSegment { index, positions: positions.to_vec(), crops, decoded: missing.len() })
    }

    fn corrupted(&self, crop: Rgb, position: usize) -> Rgb {
        let Some(spec) = self.corruption else { return crop };
        let corruption = CORRUPTIONS.get(&spec.name).expect("the suite was validated");
        // Keyed by the example, not by its place: a limit or a shard changes nothing.
        let id = &self.data.examples()[position].id;
        let mut rng = CounterRng::new(0, &format!("{}:{}:{id}", spec.name, spec.severity));
        corruption.apply(&crop, spec.severity, &mut rng)
    }

    fn crop(&self, position: usize, image: RawImage) -> Result<Rgb, String> {
        let image = image.decode(self.most_pixels).map_err(|e| e.to_string())?;
        let image = without_border(image, self.border);
        let crop = self.preprocessor.crop_u8(&image);
        recycle(image);
        if let Some(cache) = self.kept {
            cache.put(position, &crop);
        }
        Ok(crop)
    }
}

/// The image without `border` pixels on each side; unchanged if nothing would remain.
pub(super) fn without_border(image: Rgb, border: usize) -> Rgb {
    if border == 0 || image.width <= 2 * border || image.height <= 2 * border {
        return image;
    }
    let (width, height) = (image.width - 2 * border, image.height - 2 * border);
    image.crop(border as isize, border as isize, width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_border_goes_on_all_sides() {
        let mut image = Rgb::filled(6, 5, [255, 0, 0]);
        image.data[(2 * 6 + 3) * 3] = 7;
        let inner = without_border(image.clone(), 2);
        assert_eq!((inner.width, inner.height, inner.data[3]), (2, 1, 7));
        assert_eq!(without_border(image.clone(), 3), image);
    }
}
