//! Leaf helpers used everywhere: digests, atomic files, the counter-based generator, registries,
//! spanned configuration files. Nothing here knows of models, data or statistics.

pub mod account;
pub mod config;
pub mod digest;
pub mod embedded;
pub mod file_digests;
pub mod fs;
pub mod guard;
pub mod harmless;
pub mod hub;
pub mod parquet_pages;
pub mod python_random;
pub mod registry;
pub mod rng;
pub mod rows;
pub mod table;
