//! What of the registry lies on the hub, and what of that is already here.

use super::{Catalog, CatalogError, DatasetEntry};
use crate::base::hub::{HubError, HubRepository};

/// Why nothing can be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The registry cannot answer.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The data set is got by hand.
    #[error("data set `{name}` has no source on the hub; {obtain}")]
    ByHand {
        /// The data set.
        name: String,
        /// How.
        obtain: String,
    },
    /// The hub does not answer.
    #[error(transparent)]
    Hub(#[from] HubError),
}

/// One file of a data set on the hub.
pub struct Wanted<'a> {
    /// The data set.
    pub entry: &'a DatasetEntry,
    /// Its split.
    pub split: &'a str,
    /// Where it lies.
    pub repository: HubRepository,
    /// Its path there.
    pub file: String,
    /// Whether it is in the cache.
    pub here: bool,
    /// Its size.
    pub bytes: u64,
}

impl Catalog {
    /// The files on the hub of the named data sets, of all if none is named.
    pub fn wanted(&self, names: &[String]) -> Result<Vec<Wanted<'_>>, FetchError> {
        for name in names {
            let entry = self.dataset(name)?;
            if entry.splits.values().all(|s| self.on_hub(s).is_empty()) {
                return Err(FetchError::ByHand { name: name.clone(), obtain: entry.obtain.clone() });
            }
        }
        let mut wanted = Vec::new();
        for entry in self.chosen(names) {
            for split in entry.splits.values() {
                for (repository, path) in self.on_hub(split) {
                    for file in self.files_below(&repository, &path)? {
                        let place = self.hub().path(&repository, &file);
                        let here = place.is_file();
                        let bytes = if here {
                            std::fs::metadata(place).map_or(0, |m| m.len())
                        } else {
                            self.hub().size(&repository, &file)?
                        };
                        let (repository, split) = (repository.clone(), split.name.as_str());
                        wanted.push(Wanted { entry, split, repository, file, here, bytes });
                    }
                }
            }
        }
        Ok(wanted)
    }

    /// The files that a path of the registry stands for: itself, or all below it if it is a folder. What is in the
    /// cache as a file needs no network.
    fn files_below(&self, repository: &HubRepository, path: &str) -> Result<Vec<String>, HubError> {
        if self.hub().path(repository, path).is_file() {
            return Ok(vec![path.to_owned()]);
        }
        let folder = format!("{}/", path.trim_end_matches('/'));
        let names = self.hub().list(repository)?;
        let found: Vec<String> = names.into_iter().filter(|n| n == path || n.starts_with(&folder)).collect();
        if found.is_empty() {
            let (file, repository) = (format!("`{path}`"), repository.clone());
            return Err(HubError::Unknown { file, repository });
        }
        Ok(found)
    }
}
