//! The embedded data set "emoji styles": the same concepts drawn by different hands.
//!
//! A small real counterpart of ImageNet and its variants. One style is the in-distribution set, an
//! older version of the same style stands for ImageNet-V2, monochrome styles for Sketch, other
//! hands for R. This module makes the data from the icon packages (`specbench data build emoji`);
//! evaluation reads the resulting Parquet files like any other data set.

mod bundle;
mod error;
mod icons;
mod raster;
mod views;

pub use bundle::{BuildOptions, BuildSummary, BuiltFile, build};
pub use error::EmojiError;

/// One drawing style and the part it plays.
#[derive(Debug)]
pub struct Style {
    /// Name of the style and of the package `@iconify-json/<name>`.
    pub name: &'static str,
    /// Drawn in one colour that the view chooses.
    pub monochrome: bool,
    /// Committed test views per base concept.
    pub test_views: u64,
    /// Committed validation views per base concept (for selecting alpha and nothing else).
    pub val_views: u64,
    /// Whether the novel concepts are in the test split as well.
    pub novel: bool,
}

const fn style(name: &'static str, monochrome: bool, test_views: u64, val_views: u64) -> Style {
    Style { name, monochrome, test_views, val_views, novel: false }
}

/// The styles of the bundle; all under Apache-2.0, MIT or CC BY 4.0.
pub const STYLES: [Style; 8] = [
    style("emojione", false, 0, 2),
    style("emojione-monotone", true, 3, 0),
    style("fluent-emoji", false, 0, 0),
    style("fluent-emoji-flat", false, 3, 0),
    style("fluent-emoji-high-contrast", true, 3, 0),
    Style { name: "noto", monochrome: false, test_views: 3, val_views: 2, novel: true },
    style("noto-v1", false, 3, 0),
    style("twemoji", false, 3, 0),
];
