//! specbench
pub mod base;
pub mod catalog;
pub mod checkpoint;
pub mod data;
pub mod emoji;
pub mod image;
pub mod merge;
pub mod metric;
pub mod model;
pub mod stats;
pub mod suite;
pub mod train;
