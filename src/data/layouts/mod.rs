//! The layouts: how data sets lie on disk. To add one, write a file with a `Layout` and list it here.

mod idx;
mod image_folder;
mod image_list;
mod parquet;
mod records;
mod webdataset;
mod zhou_split;

use super::Layout;
use crate::base::registry::Registry;

/// All layouts.
pub static LAYOUTS: Registry<dyn Layout> = Registry {
    kind: "layout",
    items: &[
        &idx::Idx,
        &image_folder::ImageFolder,
        &image_list::ImageList,
        &parquet::Parquet,
        &records::Records,
        &webdataset::WebDataset,
        &zhou_split::ZhouSplit,
    ],
};
