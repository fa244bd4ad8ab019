//! The layouts: how data sets lie on disk. To add one, write a file with a `Layout` and list it here.

mod idx;
mod image_folder;
mod parquet;
mod webdataset;

use super::Layout;
use crate::base::registry::Registry;

/// All layouts.
pub static LAYOUTS: Registry<dyn Layout> = Registry {
    kind: "layout",
    items: &[&idx::Idx, &image_folder::ImageFolder, &parquet::Parquet, &webdataset::WebDataset],
};
