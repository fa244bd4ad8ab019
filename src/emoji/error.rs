//! Why the emoji data cannot be built.

use std::path::PathBuf;

use crate::base::fs::FileError;
use crate::base::table::TableError;

/// What can go wrong while building.
#[derive(Debug, thiserror::Error)]
pub enum EmojiError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A Parquet file could not be written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A package is not below the source folder.
    #[error(
        "no icon package `{style}` below `{}`: run `npm pack @iconify-json/{style}` there",
        source_dir.display()
    )]
    Package {
        /// The style looked for.
        style: String,
        /// Where it was looked for.
        source_dir: PathBuf,
    },
    /// A JSON file of a package is not what it should be.
    #[error("`{}` is not the expected JSON: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A drawing could not be rasterised.
    #[error("cannot rasterise `{name}` of `{style}`: {reason}")]
    Raster {
        /// The style.
        style: String,
        /// The concept.
        name: String,
        /// What `resvg` said.
        reason: String,
    },
}
