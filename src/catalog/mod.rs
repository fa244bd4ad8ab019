//! The data registry: `datasets.toml` says what each data set is, where it lies, whose it is.

mod classes;
mod entry;
mod expected;
mod fetch;
mod open;
mod read;
mod tasks;
mod verify;

pub use entry::{Archive, DatasetEntry, Folders, Source, Split, Templates};
pub use expected::Expected;
pub use fetch::{FetchError, Wanted};
pub use open::OpenSplit;
#[cfg(test)]
pub(crate) use read::read_document;
pub use read::{Catalog, CatalogError};
pub use verify::{State, Verdict};
