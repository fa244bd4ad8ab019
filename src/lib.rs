//! specbench
pub mod base;
pub mod catalog;
pub mod checkpoint;
pub mod cli;
pub mod data;
pub mod emoji;
pub mod image;
pub mod merge;
pub mod metric;
pub mod model;
pub mod plan;
pub mod report;
pub mod run;
pub mod stats;

pub mod store;
pub mod suite;
pub mod train;
