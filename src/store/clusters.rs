//! Which examples of a probe belong together, for resampling whole clusters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::base::table::{Table, TableError};

/// A probe's clusters.
pub struct Clusters;

impl Clusters {
    /// Where they lie below the results folder.
    #[must_use]
    pub fn path(out: &Path, probe: &str) -> PathBuf {
        out.join("clusters").join(format!("{probe}.parquet"))
    }

    /// Writes examples with the names of their clusters, atomically.
    pub fn write(path: &Path, examples: Vec<(String, String)>) -> Result<(), StoreError> {
        let fill = || -> Result<(), TableError> {
            let mut table = Table::new(examples.len());
            let (ids, names): (Vec<String>, Vec<String>) = examples.into_iter().unzip();
            table.push_strings("example_id", ids)?;
            table.push_strings("cluster", names)?;
            table.write(path)
        };
        fill().map_err(|e| StoreError::table(path, e))
    }

    /// The cluster of each of some examples, numbered from 0 in the order of first appearance. Examples that the
    /// file does not know are clusters of their own.
    pub fn read(path: &Path, ids: &[String]) -> Result<Vec<u32>, StoreError> {
        let load = || -> Result<BTreeMap<String, String>, TableError> {
            let table = Table::read(path, None, None)?;
            Ok(table.strings("example_id")?.into_iter().zip(table.strings("cluster")?).collect())
        };
        let known = load().map_err(|e| StoreError::table(path, e))?;
        let mut numbers: BTreeMap<(bool, &str), u32> = BTreeMap::new();
        let mut all = Vec::with_capacity(ids.len());
        for id in ids {
            let key = known.get(id).map_or((false, id.as_str()), |name| (true, name.as_str()));
            let next = numbers.len() as u32;
            all.push(*numbers.entry(key).or_insert(next));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_numbered_as_they_appear() {
        let dir = tempfile::tempdir().unwrap();
        let path = Clusters::path(dir.path(), "p");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        Clusters::write(&path, vec![pair("1", "x"), pair("2", "y"), pair("3", "x")]).unwrap();
        let ids = ["3", "2", "1", "new"].map(str::to_owned);
        assert_eq!(Clusters::read(&path, &ids).unwrap(), [0, 1, 0, 2]);
    }
}
