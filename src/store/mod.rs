//! Results on disk: predictions, the parts of an unfinished pass, and the manifest.
//!
//! | file | written by | content |
//! | --- | --- | --- |
//! | `manifest.json` | [`Manifest`] | what was evaluated, from what, how |
//! | `predictions/<variant>/<probe>.parquet` | [`Predictions`] | one row per example |
//! | `clusters/<probe>.parquet` | [`Clusters`] | which examples belong together |
//! | `.parts/<pass>/<segment>.parquet` | [`Part`] | finished segments of a pass |

mod clusters;
mod columns;
mod manifest;
mod part;
mod predictions;
mod shown;

pub use clusters::Clusters;
pub use manifest::{
    CellRecord, CheckpointRecord, FORMAT, Manifest, ProbeRecord, RaceRecord, SkippedExample, Stated,
    SuiteRecord, Timing,
};
pub use part::{Part, PartRow, PartState};
pub use predictions::Predictions;
pub use shown::Shown;

use std::path::{Path, PathBuf};

use crate::base::fs::FileError;
use crate::base::table::TableError;

/// Why results cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file is missing or cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A Parquet file is damaged.
    #[error("`{}`: {source}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: TableError,
    },
    /// Predictions are not those that the manifest speaks of.
    #[error("`{}` is not the file that the run wrote (its digest differs); run the suite again", .0.display())]
    Edited(PathBuf),
    /// The manifest is damaged.
    #[error("`{}` is not a manifest: {reason}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The manifest is of another format.
    #[error("`{}` has format {found}, this program reads {FORMAT}; run the suite again with `--fresh`", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
    },
}

impl StoreError {
    fn table(path: &Path, source: TableError) -> Self {
        match source {
            TableError::File(error) => error.into(),
            source => Self::Table { path: path.to_owned(), source },
        }
    }
}
