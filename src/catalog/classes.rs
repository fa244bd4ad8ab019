//! Which of the listed classes a data set has, from the files that the registry names.

use std::path::Path;

use super::{Catalog, CatalogError, DatasetEntry};
use crate::base::fs::{FileError, read_lines};
use crate::task::ClassRule;

impl Catalog {
    /// The rule of a data set whose list of names has `classes` entries.
    pub fn class_rule(entry: &DatasetEntry, classes: usize) -> Result<ClassRule, CatalogError> {
        if let Some(path) = &entry.groups {
            return Ok(ClassRule::Groups(read_groups(path, classes)?));
        }
        let Some(path) = &entry.restrict else { return Ok(ClassRule::All) };
        let parse = |line: String| line.parse().ok().filter(|&i: &usize| i < classes);
        let bad = || malformed(path, "holds something that is not the index of a class");
        let listed = read_lines(path)?.into_iter().map(|l| parse(l).ok_or_else(bad));
        Ok(ClassRule::Only(listed.collect::<Result<_, _>>()?))
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
