//! From logits to what is stored of them.

use crate::store::{PartRow, TOP};

/// The stored form of one row of logits; `None` if any logit is not finite.
///
/// The prediction is the first of the largest logits, as in NumPy and PyTorch. The softmax is
/// computed in f64 from f32 logits.
pub fn score_row(cell: u32, position: u32, label: u32, logits: &[f32]) -> Option<PartRow> {
    if logits.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mut top_classes = [u32::MAX; TOP];
    let mut top_logits = [f32::NEG_INFINITY; TOP];
    for (class, &logit) in logits.iter().enumerate() {
        if logit > top_logits[TOP - 1] || top_classes[TOP - 1] == u32::MAX {
            // Insertion into a sorted list of five; equal values keep the order of the classes.
            let mut place = TOP - 1;
            while place > 0 && (top_classes[place - 1] == u32::MAX || logit > top_logits[place - 1]) {
                top_classes[place] = top_classes[place - 1];
                top_logits[place] = top_logits[place - 1];
                place -= 1;
            }
            top_classes[place] = class as u32;
            top_logits[place] = logit;
        }
    }
    let largest = f64::from(top_logits[0]);
    let total: f64 = logits.iter().map(|&v| (f64::from(v) - largest).exp()).sum();
    let own = f64::from(logits[label as usize]) - largest;
    Some(PartRow {
        cell,
        position,
        prediction: top_classes[0],
        score: (1.0 / total) as f32,
        loss: (total.ln() - own) as f32,
        top_classes,
        top_logits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_five_in_order_with_ties_to_the_first() {
        let row = score_row(0, 0, 1, &[1.0, 3.0, 3.0, -1.0, 0.0, 2.0, 9.0]).unwrap();
        assert_eq!(row.top_classes, [6, 1, 2, 5, 0]);
        let row = score_row(0, 0, 0, &[2.0, 2.0]).unwrap();
        assert_eq!((row.prediction, row.top_classes[1], row.top_classes[2]), (0, 1, u32::MAX));
        assert!((row.score - 0.5).abs() < 1e-6 && (row.loss - 2f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn loss_is_stable_for_large_logits() {
        let row = score_row(0, 0, 0, &[1000.0, 0.0]).unwrap();
        assert_eq!((row.loss, row.score), (0.0, 1.0));
        assert!(score_row(0, 0, 0, &[f32::NAN, 0.0]).is_none());
    }

    #[test]
    fn negative_logits_fill_the_list() {
        let row = score_row(0, 0, 0, &[-5.0, -4.0, -6.0]).unwrap();
        assert_eq!(row.top_classes, [1, 0, 2, u32::MAX, u32::MAX]);
    }
}
