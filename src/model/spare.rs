//! Threads that nobody uses. Each thread works on a batch of its own; where there are fewer batches than threads, those that are
//! left take parts of a batch's rows. What a row gives does not depend on how many others there are.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// Batches that are being computed.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// A batch that is being computed, for as long as this value lives.
pub struct Busy(());

impl Busy {
    /// One more.
    #[must_use]
    pub fn new() -> Self {
        BUSY.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Default for Busy {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Rows that are a part at least.
const LEAST: usize = 32;

/// In how many parts of a batch's rows they are worth computing at once; 1 where all threads have work, or nobody says what they
/// do.
pub fn parts(rows: usize) -> usize {
    match BUSY.load(Ordering::Relaxed) {
        0 => 1,
        busy => (rayon::current_num_threads() / busy).clamp(1, (rows / LEAST).max(1)),
    }
}

/// What `of` gives for each of so many parts of `rows` rows: it is told the first and how many there are.
pub fn in_parts<T: Send>(
    rows: usize,
    parts: usize,
    of: impl Fn(usize, usize) -> Result<T> + Send + Sync,
) -> Result<Vec<T>> {
    // Within a part nothing is cut again.
    let _others: Vec<Busy> = (1..parts).map(|_| Busy::new()).collect();
    let part = |i: usize| {
        let (from, to) = (i * rows / parts, (i + 1) * rows / parts);
        of(from, to - from)
    };
    (0..parts).into_par_iter().map(part).collect()
}

/// What `of` makes of the rows of `x`, each on its own, computed at once where threads have nothing else to do. Not where gradients
/// are wanted, nor off the CPU.
pub fn by_rows(x: &Tensor, of: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync) -> Result<Tensor> {
    let rows = x.dim(0)?;
    match if x.track_op() || !x.device().is_cpu() { 1 } else { parts(rows) } {
        1 => of(x),
        parts => Tensor::cat(&in_parts(rows, parts, |from, len| of(&x.narrow(0, from, len)?))?, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn parts_are_for_threads_without_work() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(6).build().unwrap();
        pool.install(|| {
            let _first = Busy::new();
            assert_eq!(parts(LEAST - 1), 1);
            // As many as there are threads, whatever other tests do.
            let _others: Vec<Busy> = (0..6).map(|_| Busy::new()).collect();
            assert_eq!(parts(1000 * LEAST), 1);
        });
    }

    #[test]
    fn parts_lie_one_after_the_other() {
        let x = Tensor::arange(0f32, 222.0, &Device::Cpu).unwrap().reshape((111, 2)).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(64).build().unwrap();
        let found = pool.install(|| {
            let _busy = Busy::new();
            by_rows(&x, |part| part * 2.0).unwrap()
        });
        let right = (&x * 2.0).unwrap();
        assert_eq!(found.to_vec2::<f32>().unwrap(), right.to_vec2::<f32>().unwrap());
        assert_eq!(in_parts(11, 4, |from, len| Ok((from, len))).unwrap(), [(0, 2), (2, 3), (5, 3), (8, 3)]);
    }
}
