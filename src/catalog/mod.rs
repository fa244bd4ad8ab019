//! The data registry: `datasets.toml` says what each data set is, where it lies, whose it is.

mod entry;
mod open;
mod read;

pub use entry::{DatasetEntry, Folders, Source, Split, Templates};
pub use open::OpenSplit;
pub use read::{Catalog, CatalogError};
