//! specbench
pub mod base;
pub mod catalog;
pub mod checkpoint;
pub mod data;
pub mod emoji;
pub mod image;
pub mod model;
pub mod train;
