//! Log-likelihoods of the goals of a forest.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::decoder::Decoder;
use super::forest::Forest;
use crate::model::exponential::sum_of_exponentials;
use crate::task::Likelihood;

/// Bytes of logits at a time.
const LOGITS: usize = 64 << 20;

/// Log-likelihoods by question and sequence. `x` is `[rows, width]`, the last block's output; the vocabulary product is
/// computed for rows with a goal alone. Sums over the vocabulary are in f64.
pub fn score(decoder: &Decoder, x: &Tensor, forest: &Forest) -> Result<Vec<Vec<Likelihood>>> {
    let mut wanted: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for goal in forest.goals.iter().flatten().flatten() {
        wanted.entry(goal.row).or_default().push(goal.token);
    }
    let rows: Vec<(usize, Vec<u32>)> = wanted.into_iter().collect();
    let mut found: BTreeMap<(usize, u32), (f64, bool)> = BTreeMap::new();
    let at_once = (LOGITS / (4 * decoder.config.vocab_size)).max(1);
    for chunk in rows.chunks(at_once) {
        let mut index: Vec<u32> = chunk.iter().map(|(row, _)| *row as u32).collect();
        if let [only] = index[..] {
            // One row alone is summed in another order than one of several.
            index.push(only);
        }
        let n = index.len();
        let index = Tensor::from_vec(index, n, x.device())?;
        let logits = decoder.logits(&x.index_select(&index, 0)?)?.to_vec2::<f32>()?;
        for ((row, tokens), logits) in chunk.iter().zip(logits) {
            let (best, total) = summary(&logits);
            for &token in tokens {
                let value = f64::from(logits[token as usize]) - total;
                found.insert((*row, token), (value, best == token as usize));
            }
        }
    }
    let of_sequence = |goals: &Vec<super::forest::Goal>| {
        let each = goals.iter().map(|g| found[&(g.row, g.token)]);
        let (nats, greedy) = each.fold((0.0, true), |(sum, all), (value, best)| (sum + value, all && best));
        Likelihood { nats, tokens: goals.len() as u32, greedy }
    };
    Ok(forest.goals.iter().map(|question| question.iter().map(of_sequence).collect()).collect())
}

/// The first largest logit, and the logarithm of the sum of exponentials.
pub fn summary(logits: &[f32]) -> (usize, f64) {
    let mut best = 0;
    for (i, &v) in logits.iter().enumerate() {
        // A NaN is kept, and makes the sum one.
        if v > logits[best] || v.is_nan() {
            best = i;
        }
    }
    let largest = logits.get(best).copied().unwrap_or(f32::NEG_INFINITY);
    (best, f64::from(largest) + sum_of_exponentials(logits, largest).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_and_sum_by_hand() {
        let (best, total) = summary(&[1.0, 3.0, 3.0, -2.0]);
        let right = 3.0 + ((-2.0f64).exp() + 2.0 + (-5.0f64).exp()).ln();
        assert!(best == 1 && (total - right).abs() < 1e-6, "{best} {total}");
        assert!(summary(&[0.0, f32::NAN, 1.0]).1.is_nan());
    }
}
