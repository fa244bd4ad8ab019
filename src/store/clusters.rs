//! Which examples of a probe belong together, for resampling whole clusters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{StoreError, columns};
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
            table.push_strings(columns::EXAMPLE, ids)?;
            table.push_strings(columns::CLUSTER, names)?;
            table.write(path)
        };
        fill().map_err(|e| StoreError::table(path, e))
    }

    /// The name of the cluster of each of some examples. Examples that the file does not know are clusters of their own.
    pub fn names(path: &Path, ids: &[String]) -> Result<Vec<String>, StoreError> {
        let load = || -> Result<BTreeMap<String, String>, TableError> {
            let table = Table::read(path, None, None)?;
            Ok(table.strings(columns::EXAMPLE)?.into_iter().zip(table.strings(columns::CLUSTER)?).collect())
        };
        let known = load().map_err(|e| StoreError::table(path, e))?;
        let name = |id: &String| match known.get(id) {
            Some(cluster) => format!("cluster {cluster}"),
            None => format!("example {id}"),
        };
        Ok(ids.iter().map(name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_examples_are_clusters_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = Clusters::path(dir.path(), "p");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        Clusters::write(&path, vec![pair("1", "x"), pair("2", "y"), pair("3", "x")]).unwrap();
        let ids = ["3", "2", "1", "new"].map(str::to_owned);
        let names = Clusters::names(&path, &ids).unwrap();
        assert_eq!(names, ["cluster x", "cluster y", "cluster x", "example new"]);
    }
}
