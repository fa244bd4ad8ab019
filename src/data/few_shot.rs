//! The subsets of the few-shot protocols: k examples per class, and splits of sets that have none.
//!
//! Both draw as CoOp's code does (`generate_fewshot_dataset` of Dassl, `read_and_split_data` of
//! datasets/dtd.py), with Python's generator, so that a seed gives the reference's subset.

use std::collections::BTreeMap;

use crate::base::python_random::PythonRandom;

/// Positions of `shots` examples of each class, class by class in the order of first appearance. A class
/// with fewer examples gives all of them. Drawn over all classes, before any base or novel half is taken.
#[must_use]
pub fn few_shot(labels: &[u32], shots: usize, random: &mut PythonRandom) -> Vec<usize> {
    let mut order: Vec<u32> = Vec::new();
    let mut by_label: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (position, &label) in labels.iter().enumerate() {
        let members = by_label.entry(label).or_default();
        if members.is_empty() {
            order.push(label);
        }
        members.push(position);
    }
    let mut chosen = Vec::new();
    for label in order {
        let members = &by_label[&label];
        if members.len() >= shots {
            chosen.extend(random.sample(members, shots));
        } else {
            chosen.extend(members);
        }
    }
    chosen
}

/// Train, validation and test parts of one class: shuffled, then cut at `round(train * n)` and
/// `round(val * n)`, halves to even as Python rounds. `None` if a part would be empty.
#[must_use]
pub fn split_class<T>(
    mut items: Vec<T>,
    train: f64,
    val: f64,
    random: &mut PythonRandom,
) -> Option<[Vec<T>; 3]> {
    random.shuffle(&mut items);
    let part = |share: f64| (items.len() as f64 * share).round_ties_even() as usize;
    let (n_train, n_val) = (part(train), part(val));
    if n_train == 0 || n_val == 0 || n_train + n_val >= items.len() {
        return None;
    }
    let test = items.split_off(n_train + n_val);
    let val = items.split_off(n_train);
    Some([items, val, test])
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with CPython 3.11: random.seed(1), then the reference's functions on lists of positions.
    #[test]
    fn draws_the_reference_subset() {
        let labels: Vec<u32> = (0..60).map(|i| [2, 0, 1][i % 3]).chain([5, 5]).collect();
        assert_eq!(
            few_shot(&labels, 4, &mut PythonRandom::new(1)),
            [12, 54, 6, 24, 10, 46, 43, 55, 38, 20, 11, 47, 60, 61]
        );
        let parts = split_class((0..11).collect(), 0.5, 0.2, &mut PythonRandom::new(1)).unwrap();
        assert_eq!(parts, [vec![6, 8, 10, 7, 5, 3], vec![0, 4], vec![1, 9, 2]]);
        assert!(split_class(vec![1, 2], 0.5, 0.2, &mut PythonRandom::new(1)).is_none());
    }
}
