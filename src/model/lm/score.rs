//! Log-likelihoods of the goals of a forest.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::decoder::Decoder;
use super::forest::{Forest, Goal};
use crate::model::exponential::sum_of_exponentials;
use crate::model::spare;
use crate::task::Likelihood;

/// Rows that the vocabulary is multiplied with at a time.
const ROWS: usize = 2048;

/// Tokens of the vocabulary at a time, at most: 64 MiB of logits.
const TOKENS: usize = 8192;

/// Log-likelihoods by question and sequence. `x` is `[rows, width]`, the last block's output; the vocabulary product is
/// computed for rows with a goal alone, some tokens at a time, so that all logits never are in memory. Sums over the
/// vocabulary are in f64.
pub fn score(decoder: &Decoder, x: &Tensor, forest: &Forest) -> Result<Vec<Vec<Likelihood>>> {
    let mut wanted: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for goal in forest.goals.iter().flatten().flatten() {
        wanted.entry(goal.row).or_default().push(goal.token);
    }
    let rows: Vec<(usize, Vec<u32>)> = wanted.into_iter().collect();
    let mut found: BTreeMap<(usize, u32), (f64, bool)> = BTreeMap::new();
    for chunk in rows.chunks(ROWS) {
        let mut index: Vec<u32> = chunk.iter().map(|(row, _)| *row as u32).collect();
        if let [only] = index[..] {
            // One row alone is summed in another order than one of several.
            index.push(only);
        }
        let n = index.len();
        let index = Tensor::from_vec(index, n, x.device())?;
        let wanted: Vec<&[u32]> = chunk.iter().map(|(_, tokens)| tokens.as_slice()).collect();
        let x = x.index_select(&index, 0)?;
        let parts = if x.device().is_cpu() { spare::parts(wanted.len()) } else { 1 };
        let seen = match parts {
            1 => vec![over_vocabulary(decoder, &x, &wanted)?],
            parts => spare::in_parts(wanted.len(), parts, |from, len| {
                over_vocabulary(decoder, &x.narrow(0, from, len)?, &wanted[from..from + len])
            })?,
        };
        for ((row, tokens), seen) in chunk.iter().zip(seen.into_iter().flatten()) {
            let total = seen.total();
            for (&token, &logit) in tokens.iter().zip(&seen.wanted) {
                let value = f64::from(logit) - total;
                found.insert((*row, token), (value, seen.best == token as usize));
            }
        }
    }
    let of_sequence = |goals: &Vec<Goal>| {
        let each = goals.iter().map(|g| found[&(g.row, g.token)]);
        let (nats, greedy) = each.fold((0.0, true), |(sum, all), (value, best)| (sum + value, all && best));
        Likelihood { nats, tokens: goals.len() as u32, greedy }
    };
    Ok(forest.goals.iter().map(|question| question.iter().map(of_sequence).collect()).collect())
}

/// What has been seen of each row of `x` over the whole vocabulary, with the logits of the tokens that are wanted of it.
fn over_vocabulary(decoder: &Decoder, x: &Tensor, wanted: &[&[u32]]) -> Result<Vec<Seen>> {
    let outputs = decoder.outputs(x)?;
    let all = decoder.config.vocab_size;
    // About equal parts: a narrow last one would be summed in another order.
    let width = all.div_ceil(all.div_ceil(TOKENS));
    let mut seen: Vec<Seen> = wanted.iter().map(|tokens| Seen::nothing(tokens.len())).collect();
    for from in (0..all).step_by(width) {
        let tokens = from..(from + width).min(all);
        let logits = decoder.logits_of(&outputs, &tokens)?.flatten_all()?.to_vec1::<f32>()?;
        for ((row, seen), wanted) in logits.chunks_exact(tokens.len()).zip(&mut seen).zip(wanted) {
            seen.add(row, from);
            for (place, &token) in seen.wanted.iter_mut().zip(*wanted) {
                if tokens.contains(&(token as usize)) {
                    *place = row[token as usize - from];
                }
            }
        }
    }
    Ok(seen)
}

/// What a pass over a row's logits gathers.
struct Seen {
    /// The first token with the largest logit.
    best: usize,
    largest: f32,
    /// Sum of exponentials of the logits less the largest.
    sum: f64,
    /// Logits of the tokens that are asked for.
    wanted: Vec<f32>,
}

impl Seen {
    fn nothing(wanted: usize) -> Self {
        Self { best: 0, largest: f32::NEG_INFINITY, sum: 0.0, wanted: vec![f32::NAN; wanted] }
    }

    /// Goes on with the logits of the tokens from `from` on.
    fn add(&mut self, logits: &[f32], from: usize) {
        let own = best(logits);
        let largest = logits[own];
        if largest == f32::NEG_INFINITY || self.largest.is_nan() {
            return;
        }
        let sum = sum_of_exponentials(logits, largest);
        // A NaN is kept, and makes the sum one.
        if largest > self.largest || largest.is_nan() {
            let before =
                if self.sum > 0.0 { self.sum * f64::from(self.largest - largest).exp() } else { 0.0 };
            (self.best, self.largest, self.sum) = (from + own, largest, before + sum);
        } else {
            self.sum += sum * f64::from(largest - self.largest).exp();
        }
    }

    /// The logarithm of the sum of exponentials.
    fn total(&self) -> f64 {
        f64::from(self.largest) + self.sum.ln()
    }
}

/// The first largest logit; a NaN is larger than all.
pub fn best(logits: &[f32]) -> usize {
    let mut best = 0;
    for (i, &v) in logits.iter().enumerate() {
        if v > logits[best] || v.is_nan() {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_and_sum_by_hand() {
        let all = [1.0, 3.0, 3.0, -2.0];
        let right = 3.0 + ((-2.0f64).exp() + 2.0 + (-5.0f64).exp()).ln();
        for width in 1..=4 {
            let mut seen = Seen::nothing(0);
            all.chunks(width).enumerate().for_each(|(i, part)| seen.add(part, i * width));
            let total = seen.total();
            assert!(seen.best == 1 && (total - right).abs() < 1e-6, "{width}: {} {total}", seen.best);
        }
        for odd in [[0.0, f32::NAN, 1.0, 2.0], [2.0, 0.0, 1.0, f32::NAN]] {
            let mut seen = Seen::nothing(0);
            odd.chunks(2).for_each(|part| seen.add(part, 0));
            assert!(seen.total().is_nan());
        }
        let mut seen = Seen::nothing(0);
        [[f32::NEG_INFINITY; 2], [0.0, f32::NEG_INFINITY]].iter().for_each(|part| seen.add(part, 0));
        assert_eq!(seen.total(), 0.0);
    }
}
