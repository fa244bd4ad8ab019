//! specbench
pub mod base;
pub mod emoji;
pub mod image;
