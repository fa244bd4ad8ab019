//! What would happen to each tensor of two checkpoints, and what stands against merging them, before any
//! arithmetic.

use std::collections::BTreeMap;

use super::curve::{Fate, TensorFilter};
use super::error::differences;
use crate::checkpoint::{TensorInfo, Weights};

/// The look at two checkpoints before they are merged.
#[derive(Clone, Debug, Default)]
pub struct Preflight {
    /// What happens to each floating-point tensor.
    pub fates: BTreeMap<String, Fate>,
    /// Tensors that take no part: integer buffers, heads (which are combined row by row).
    pub skipped: Vec<String>,
    /// Names and shapes that do not fit; the checkpoints cannot be merged then.
    pub problems: Vec<String>,
    /// Tensors that are one at one end and two at the other (tied and untied weights): merging keeps them
    /// apart, which changes what the tied model computes.
    pub untied: Vec<String>,
}

impl Preflight {
    /// Compares two checkpoints. `skip` names tensors that stay out.
    pub fn new(
        from: &dyn Weights,
        to: &dyn Weights,
        filter: &TensorFilter,
        skip: impl Fn(&str) -> bool,
    ) -> Self {
        let mut this = Self { problems: differences(from, to, &skip), ..Self::default() };
        let takes_part =
            |w: &dyn Weights, name: &str| w.info(name).is_some_and(|i| i.is_float()) && !skip(name);
        for name in from.names() {
            if !takes_part(from, name) {
                this.skipped.push(name.to_owned());
            } else if to.contains(name) {
                this.fates.insert(name.to_owned(), filter.fate(from, to, name));
            }
        }
        let only_in_second = to.names().into_iter().filter(|n| !takes_part(to, n) && !from.contains(n));
        this.skipped.extend(only_in_second.map(str::to_owned));
        let (a, b) = (tied(from), tied(to));
        let only = |x: &[(String, String)], y: &[(String, String)], end: &str| -> Vec<String> {
            let lone = x.iter().filter(|p| !y.contains(p));
            lone.map(|(m, n)| format!("`{m}` and `{n}` are equal in {end} alone")).collect()
        };
        this.untied = only(&a, &b, "the first");
        this.untied.extend(only(&b, &a, "the second"));
        this
    }

    /// Tensors with a fate.
    pub fn with(&self, fate: Fate) -> impl Iterator<Item = &str> {
        self.fates.iter().filter(move |(_, f)| **f == fate).map(|(name, _)| name.as_str())
    }
}

/// Pairs of matrices that hold the same values within one checkpoint.
fn tied(weights: &dyn Weights) -> Vec<(String, String)> {
    let mut alike: BTreeMap<(Vec<usize>, String), Vec<&str>> = BTreeMap::new();
    for name in weights.floats() {
        if let Some(TensorInfo { shape, dtype }) = weights.info(name).filter(|i| i.shape.len() > 1) {
            alike.entry((shape, dtype)).or_default().push(name);
        }
    }
    let mut pairs = Vec::new();
    for names in alike.values() {
        for (i, a) in names.iter().enumerate() {
            for b in &names[i + 1..] {
                if weights.same_within(a, b) {
                    pairs.push(((*a).to_owned(), (*b).to_owned()));
                }
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{StateDict, write_safetensors};
    use candle_core::{DType, Device, Tensor};

    #[test]
    fn fates_and_lost_ties_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        let dict = |name: &str, tensors: &[(&str, [f32; 4])]| {
            let tensor = |v: &[f32; 4]| Tensor::from_slice(v, (2, 2), &Device::Cpu).unwrap();
            let all = tensors.iter().map(|(n, v)| ((*n).to_owned(), tensor(v))).collect();
            write_safetensors(&dir.path().join(name), &all, DType::F32).unwrap();
            StateDict::open(&dir.path().join(name)).unwrap()
        };
        let (one, two) = ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 5.0]);
        let a = dict("a", &[("emb", one), ("out", one), ("same", two), ("head", two)]);
        let b = dict("b", &[("emb", one), ("out", two), ("same", two), ("head", one)]);
        let found = Preflight::new(&a, &b, &TensorFilter::default(), |n| n == "head");
        assert_eq!(found.with(Fate::Interpolated).collect::<Vec<_>>(), ["out"]);
        assert_eq!(found.with(Fate::Shared).collect::<Vec<_>>(), ["emb", "same"]);
        assert_eq!(found.skipped, ["head"]);
        assert!(found.untied.contains(&"`emb` and `out` are equal in the first alone".to_owned()));
        assert!(found.problems.is_empty());
    }
}
