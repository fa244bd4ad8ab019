//! From a data set's labels to the classes that a probe's head tells apart.
//!
//! Three rules, alone or with the base/novel halves: all classes of the list; a restriction to some of
//! them (ImageNet-A and -R: the 1000 logits masked to 200, WiSE-FT `src/datasets`), which is the same as a
//! head with only those rows; and groups (ObjectNet: a class's logit is the largest of its ImageNet classes').

use std::path::Path;

use crate::base::digest::Digest;
use crate::base::fs::{FileError, read_lines};
use crate::catalog::{Catalog, CatalogError, DatasetEntry};
use crate::data::{ClassSubset, Dataset};

/// The classes of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassSpace {
    /// Names of the head's rows.
    pub head: Vec<String>,
    /// The whole list of class names that the head's rows are taken from.
    pub names: Vec<String>,
    /// Place of each row in that list.
    pub rows: Vec<usize>,
    /// Names of the classes that predictions and labels count.
    pub outputs: Vec<String>,
    /// Rows of the head that make up each output, if outputs are not the rows themselves.
    pub groups: Option<Vec<Vec<u32>>>,
    /// Output of each label of the data set; `None` where the probe does not use it.
    labels: Vec<Option<u32>>,
}

impl ClassSpace {
    /// The class space of a data set's entry and a half of its classes.
    pub fn new(
        catalog: &Catalog,
        entry: &DatasetEntry,
        data: &dyn Dataset,
        subset: ClassSubset,
    ) -> Result<Self, CatalogError> {
        let names = catalog.class_names(entry, data)?;
        if let Some(path) = &entry.groups {
            let path = catalog.resolve(path);
            let groups = read_groups(&path, names.len())?;
            return Ok(Self::grouped(&names, &groups, subset));
        }
        let listed: Vec<usize> = match &entry.restrict {
            Some(path) => {
                let path = catalog.resolve(path);
                let parse = |line: String| line.parse().ok().filter(|&i: &usize| i < names.len());
                let bad = || malformed(&path, "holds something that is not the index of a class");
                read_lines(&path)?.into_iter().map(|l| parse(l).ok_or_else(bad)).collect::<Result<_, _>>()?
            }
            None => (0..names.len()).collect(),
        };
        Ok(Self::plain(&names, &listed, subset))
    }

    fn plain(names: &[String], listed: &[usize], subset: ClassSubset) -> Self {
        let chosen = &listed[subset.range(listed.len())];
        let head: Vec<String> = chosen.iter().map(|&i| names[i].clone()).collect();
        let mut labels = vec![None; names.len()];
        for (output, &label) in chosen.iter().enumerate() {
            labels[label] = Some(output as u32);
        }
        let (names, rows) = (names.to_vec(), chosen.to_vec());
        Self { outputs: head.clone(), head, names, rows, groups: None, labels }
    }

    fn grouped(names: &[String], groups: &[(String, Vec<usize>)], subset: ClassSubset) -> Self {
        let range = subset.range(groups.len());
        let mut rows: Vec<usize> = groups[range.clone()].iter().flat_map(|g| g.1.iter().copied()).collect();
        rows.sort_unstable();
        rows.dedup();
        let row_of = |i: &usize| rows.binary_search(i).unwrap_or(0) as u32;
        let mut labels = vec![None; groups.len()];
        for (output, label) in range.clone().enumerate() {
            labels[label] = Some(output as u32);
        }
        Self {
            head: rows.iter().map(|&i| names[i].clone()).collect(),
            outputs: groups[range.clone()].iter().map(|g| g.0.clone()).collect(),
            groups: Some(groups[range].iter().map(|g| g.1.iter().map(row_of).collect()).collect()),
            names: names.to_vec(),
            rows: rows.clone(),
            labels,
        }
    }

    /// The output of a label of the data set; `None` if the probe does not use it.
    #[must_use]
    pub fn output(&self, label: u32) -> Option<u32> {
        self.labels.get(label as usize).copied().flatten()
    }

    /// Labels that the data set may have.
    #[must_use]
    pub const fn known_labels(&self) -> usize {
        self.labels.len()
    }

    /// Logits of the outputs from logits of the head's rows.
    #[must_use]
    pub fn reduce(&self, rows: &[f32]) -> Option<Vec<f32>> {
        let groups = self.groups.as_ref()?;
        // `max` of f32 ignores NaN; a NaN must reach the check for finite logits.
        let largest = |g: &Vec<u32>| {
            g.iter().map(|&i| rows[i as usize]).reduce(|a, b| if b > a || b.is_nan() { b } else { a })
        };
        Some(groups.iter().map(|g| largest(g).unwrap_or(f32::NAN)).collect())
    }

    /// Digest of everything that predictions depend on.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_value(&(&self.head, &self.groups, &self.labels))
    }
}

fn malformed(path: &Path, reason: &str) -> CatalogError {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidData, reason.to_owned());
    FileError::new("use", path, source).into()
}

/// Lines `name: index index …`.
fn read_groups(path: &Path, classes: usize) -> Result<Vec<(String, Vec<usize>)>, CatalogError> {
    let bad = || malformed(path, "has a line that is not `name: index index ...`");
    let parse = |line: String| {
        let (name, rest) = line.rsplit_once(':')?;
        let members: Option<Vec<usize>> =
            rest.split_whitespace().map(|i| i.parse().ok().filter(|&i| i < classes)).collect();
        members.filter(|m| !m.is_empty()).map(|m| (name.trim().to_owned(), m))
    };
    read_lines(path)?.into_iter().map(|l| parse(l).ok_or_else(bad)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("c{i}")).collect()
    }

    #[test]
    fn a_restriction_renumbers_labels() {
        let space = ClassSpace::plain(&names(6), &[1, 4, 5], ClassSubset::All);
        assert_eq!(space.head, ["c1", "c4", "c5"]);
        assert_eq!((space.output(4), space.output(0), space.output(99)), (Some(1), None, None));
        let base = ClassSpace::plain(&names(6), &[1, 4, 5], ClassSubset::Base);
        assert_eq!((base.head.len(), base.output(4), base.output(5)), (2, Some(1), None));
    }

    #[test]
    fn a_group_has_the_largest_logit_of_its_members() {
        // By hand: groups {c3, c1} and {c4} over rows c1, c3, c4.
        let groups = [("alarm".to_owned(), vec![3, 1]), ("bag".to_owned(), vec![4])];
        let space = ClassSpace::grouped(&names(6), &groups, ClassSubset::All);
        assert_eq!(space.head, ["c1", "c3", "c4"]);
        assert_eq!(space.reduce(&[0.5, -1.0, 0.25]).unwrap(), [0.5, 0.25]);
        assert!(space.reduce(&[0.5, f32::NAN, 0.0]).unwrap()[0].is_nan());
        assert_eq!(space.outputs, ["alarm", "bag"]);
        assert_eq!(space.output(1), Some(1));
    }
}
