//! Batches that do not fit in the device's memory, in halves.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::model::ModelError;

/// What is done with some items at once.
type Run<'a, T, R> = dyn Fn(&[T]) -> Result<Vec<R>, ModelError> + 'a;

/// What `run` gives for all items; where the device has no memory for them, for one half and then the other. Counts the
/// halvings.
pub fn in_halves<T, R>(items: &[T], run: &Run<'_, T, R>, halved: &AtomicUsize) -> Result<Vec<R>, ModelError> {
    match run(items) {
        Err(error) if error.is_out_of_memory() && items.len() > 1 => {
            halved.fetch_add(1, Ordering::Relaxed);
            let (first, second) = items.split_at(items.len() / 2);
            let mut all = in_halves(first, run, halved)?;
            all.extend(in_halves(second, run, halved)?);
            Ok(all)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> ModelError {
        let source =
            candle_core::Error::Msg("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".to_owned());
        ModelError::compute("decoder")(source)
    }

    #[test]
    fn a_batch_is_halved_until_it_fits() {
        let run = |items: &[u32]| {
            if items.len() > 3 { Err(full()) } else { Ok(items.iter().map(|i| i * 2).collect()) }
        };
        let halved = AtomicUsize::new(0);
        let all: Vec<u32> = (0..10).collect();
        let found: Vec<u32> = in_halves(&all, &run, &halved).unwrap();
        assert_eq!(found, (0..10).map(|i| i * 2).collect::<Vec<u32>>());
        // 10 into 5 and 5, each of those into 2 and 3.
        assert_eq!(halved.into_inner(), 3);
    }

    #[test]
    fn one_that_does_not_fit_alone_and_other_errors_are_told() {
        let halved = AtomicUsize::new(0);
        let never = |_: &[u32]| Err::<Vec<u32>, _>(full());
        assert!(in_halves(&[1, 2], &never, &halved).is_err_and(|e| e.is_out_of_memory()));
        assert_eq!(halved.swap(0, Ordering::Relaxed), 1);
        let other = |_: &[u32]| Err::<Vec<u32>, _>(ModelError::Unlike("a shape".to_owned()));
        assert!(in_halves(&[1, 2], &other, &halved).is_err_and(|e| !e.is_out_of_memory()));
        assert_eq!(halved.into_inner(), 0);
    }
}
