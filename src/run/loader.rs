//! Reads segments ahead of the models: records to questions to inputs.

use std::ops::ControlFlow;

use crossbeam_channel::{Receiver, Sender, bounded};
use rayon::prelude::*;

use super::RunError;
use super::crops::CropCache;
use crate::base::rng::CounterRng;
use crate::data::Record;
use crate::image::corruptions::CORRUPTIONS;
use crate::model::{Input, Reading};
use crate::plan::Pass;

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
    /// What the models read, or why a question cannot be read.
    pub inputs: Vec<Result<Input, String>>,
    /// How many images were read now; the rest were kept.
    pub decoded: usize,
}

/// How the examples of a pass become inputs.
#[derive(Clone, Copy)]
pub struct Feed<'a> {
    /// The pass.
    pub pass: &'a Pass,
    /// Pixels that an image may have at most.
    pub most_pixels: u64,
    /// Crops of earlier runs.
    pub kept: Option<&'a CropCache>,
}

/// Loads the given segments in order, at most [`QUEUE`] ahead, and hands each to `consume`.
///
/// Ends early when `consume` fails or has enough.
pub fn stream(
    feed: &Feed<'_>,
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
                let work = || feed.load(index, positions);
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

impl Feed<'_> {
    fn load(&self, index: usize, positions: &[usize]) -> Result<LoadedSegment, RunError> {
        let wrap = |source| RunError::Data { name: self.pass.name.clone(), source };
        let kept = |&position: &usize| self.kept.and_then(|cache| cache.get(position)).map(Input::Image);
        let mut inputs: Vec<Option<Result<Input, String>>> =
            positions.par_iter().map(|p| kept(p).map(Ok)).collect();
        let mut missing: Vec<usize> = (0..positions.len()).filter(|&i| inputs[i].is_none()).collect();
        missing.sort_unstable_by_key(|&i| positions[i]);
        // Positions that lie near each other are one read, whatever lies between.
        for run in missing.chunk_by(|&a, &b| positions[b] - positions[a] <= GAP) {
            let (first, last) = (positions[run[0]], positions[run[run.len() - 1]]);
            let records = self.pass.data.read(first..last + 1).map_err(wrap)?;
            let mut records: Vec<Option<Record>> = records.into_iter().map(Some).collect();
            let mut take = |position: usize| records.get_mut(position - first).and_then(Option::take);
            let taken: Vec<(usize, Option<Record>)> =
                run.iter().map(|&i| (positions[i], take(positions[i]))).collect();
            let gone = || "the data set gave too few examples".to_owned();
            let read: Vec<_> = taken
                .into_par_iter()
                .map(|(position, record)| self.input(position, record.ok_or_else(gone)?))
                .collect();
            for (&place, input) in run.iter().zip(read) {
                inputs[place] = Some(input);
            }
        }
        let inputs: Vec<_> = inputs.into_iter().flatten().collect();
        let ready = inputs.into_par_iter().zip(positions).map(|(c, &p)| c.map(|c| self.corrupted(c, p)));
        let inputs: Vec<Result<Input, String>> = ready.collect();
        let is_text =
            |input: &Result<Input, String>| matches!(input, Ok(Input::Score(_) | Input::Generate(_)));
        let decoded = missing.iter().filter(|&&i| !inputs.get(i).is_some_and(is_text)).count();
        Ok(LoadedSegment { index, positions: positions.to_vec(), inputs, decoded })
    }

    fn corrupted(&self, input: Input, position: usize) -> Input {
        let Some(spec) = &self.pass.corruption else { return input };
        let corruption = CORRUPTIONS.get(&spec.name).expect("the suite was validated");
        // Keyed by the example, not by its place: a limit or a shard changes nothing.
        let id = &self.pass.data.examples()[position].id;
        let mut rng = CounterRng::new(0, &format!("{}:{}:{id}", spec.name, spec.severity));
        match input {
            Input::Image(crop) => Input::Image(corruption.apply(&crop, spec.severity, &mut rng)),
            text => text,
        }
    }

    fn input(&self, position: usize, record: Record) -> Result<Input, String> {
        let question = self.pass.task.question(position, record)?;
        let reading = Reading { most_pixels: self.most_pixels, border: self.pass.border };
        let input = self.pass.reader.reader().read(question, reading)?;
        if let (Some(cache), Input::Image(crop)) = (self.kept, &input) {
            cache.put(position, crop);
        }
        Ok(input)
    }
}
