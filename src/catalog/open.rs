//! Opens a split of a registered data set: the one way for plans, training and the data commands.

use std::sync::Arc;

use super::{Catalog, CatalogError, DatasetEntry, Split};
use crate::base::digest::Digest;
use crate::base::python_random::PythonRandom;
use crate::data::{Dataset, LAYOUTS, few_shot};

/// Validation examples a class at most (`min(num_shots, 4)` in CoOp's data sets).
const VALIDATION_SHOTS: usize = 4;

/// An opened split.
#[derive(Clone)]
pub struct OpenSplit {
    /// The examples.
    pub data: Arc<dyn Dataset>,
    /// Digest of all content.
    pub digest: Digest,
    /// How many examples the registry says there are.
    pub registered: Option<u64>,
}

impl OpenSplit {
    /// "1000 of 50000 examples are here", if the registry says that there are more or fewer.
    #[must_use]
    pub fn incomplete(&self) -> Option<String> {
        let found = self.data.examples().len() as u64;
        let registered = self.registered.filter(|&r| r != found)?;
        Some(format!("{found} of {registered} examples are here"))
    }
}

impl Catalog {
    /// The first file of a split that is not there.
    #[must_use]
    pub fn missing(&self, split: &Split) -> Option<std::path::PathBuf> {
        self.files(split).into_iter().find(|f| !f.exists())
    }

    /// Few-shot examples of a split's labels, as CoOp's data sets draw them: `train` first, then `val` with the same
    /// generator and at most four examples a class.
    pub fn draw_shots(
        &self,
        entry: &DatasetEntry,
        split: &str,
        labels: &[u32],
        shots: usize,
        random: &mut PythonRandom,
    ) -> Result<Vec<usize>, CatalogError> {
        if split != "val" {
            return Ok(few_shot(labels, shots, random));
        }
        let train = self.open_split(entry, self.split(entry, "train")?)?;
        let before: Vec<u32> = train.data.examples().iter().map(|e| e.label).collect();
        // Only for what it takes from the generator.
        let _ = few_shot(&before, shots, random);
        Ok(few_shot(labels, shots.min(VALIDATION_SHOTS), random))
    }

    /// Opens a split and checks its files against the registered digests.
    pub fn open_split(&self, entry: &DatasetEntry, split: &Split) -> Result<OpenSplit, CatalogError> {
        let files = self.files(split);
        for (path, expected) in files.iter().zip(&split.expected) {
            if let Some(found) = expected.differs(path, self.digests())? {
                let (path, expected) = (path.clone(), expected.clone());
                return Err(CatalogError::WrongDigest { path, found, expected });
            }
        }
        let layout = LAYOUTS.get(&entry.layout).expect("the registry was checked");
        let data: Arc<dyn Dataset> = layout.open(&files, &self.layout_options(entry, &split.name)?)?.into();
        let digest = data.digest(self.digests())?;
        Ok(OpenSplit { data, digest, registered: split.examples })
    }
}
