//! Who is drawn together: examples (or their clusters) of one data set, over all probes that read it.
//!
//! Probes of the same images (corruptions, base and novel halves) share their draws: what moves one moves the others,
//! and an interval of their mean says so. The frame of a data set holds the units of all its probes; a probe's
//! examples point into it.

use std::collections::BTreeMap;

/// Where the examples of one probe lie in the frame of their data.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Names the frame: what is drawn under one key is drawn together.
    pub key: String,
    /// Units in the frame.
    pub size: usize,
    /// Unit of each example.
    pub places: Vec<u32>,
}

impl Drawing {
    /// The drawings of some probes, each with the key of its data and the unit of each of its examples.
    #[must_use]
    pub fn of(probes: Vec<(String, Vec<String>)>) -> Vec<Self> {
        let mut frames: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
        let mut all: Vec<Self> = probes
            .into_iter()
            .map(|(key, units)| {
                let frame = frames.entry(key.clone()).or_default();
                let mut place = |unit: String| {
                    let next = frame.len() as u32;
                    *frame.entry(unit).or_insert(next)
                };
                let places = units.into_iter().map(&mut place).collect();
                Self { key, size: 0, places }
            })
            .collect();
        for drawing in &mut all {
            drawing.size = frames[&drawing.key].len();
        }
        all
    }

    /// Whether every unit is one example of this probe, in order.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.size == self.places.len() && self.places.iter().enumerate().all(|(i, &p)| i == p as usize)
    }

    /// Whether no two examples of the probe are one unit.
    #[must_use]
    pub fn is_single(&self) -> bool {
        let mut seen = vec![false; self.size];
        self.places.iter().all(|&p| !std::mem::replace(&mut seen[p as usize], true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_of_one_data_set_share_a_frame() {
        let units = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let all = Drawing::of(vec![
            ("d".to_owned(), units(&["a", "b"])),
            ("d".to_owned(), units(&["b", "c", "b"])),
            ("e".to_owned(), units(&["a"])),
        ]);
        assert_eq!((all[0].size, all[1].size, all[2].size), (3, 3, 1));
        assert_eq!(all[1].places, [1, 2, 1]);
        assert!(!all[0].is_plain() && all[0].is_single() && !all[1].is_single() && all[2].is_plain());
    }
}
