//! Evaluates what a foundation model gains and forgets when it is fine-tuned: its speciality and its
//! generality.
//!
//! Data flows one way; a module may use only modules above it (a test keeps it so):
//!
//! | module | owns |
//! | --- | --- |
//! | [`base`] | digests, atomic files, random numbers, registries, spanned TOML, tables |
//! | [`image`] | decoding, Pillow's resampling, preprocessing |
//! | [`data`] | layouts: files to records, in a fixed order |
//! | [`task`] | what is asked of a model, what would be right, what was answered |
//! | [`catalog`] | `datasets.toml`: what data there is |
//! | [`emoji`] | makes the embedded data set |
//! | [`checkpoint`] | weights by name: files, overlays, tensors in memory |
//! | [`merge`] | weights made of weights: points of a path, combinations of many |
//! | [`model`] | architectures: questions to input, weights to models, answers |
//! | [`train`] | recipes: fine-tuned checkpoints |
//! | [`stats`] | intervals, resampling, frontiers, barriers, selection |
//! | [`metric`] | numbers from predictions |
//! | [`suite`] | suite files |
//! | [`keys`] | every key of a suite, a recipe, the registry |
//! | [`plan`] | suites to cells and passes |
//! | [`store`] | results on disk |
//! | [`run`] | the sweep: plans to predictions |
//! | [`report`] | predictions to tables, figures, a page |
//! | [`init`] | a suite for a user's own data and checkpoints |
//! | [`doctor`] | whether this machine computes what it must |
//! | [`import`] | results of other programs as a results folder |
//! | [`compare`] | two results side by side, baselines, the gate |
//! | [`cli`] | the person: arguments, progress, messages, exit codes |
//!
//! Files that are read and written:
//!
//! | file | module |
//! | --- | --- |
//! | `suites/*.toml` | [`suite`] |
//! | `datasets.toml`, class names, templates | [`catalog`] |
//! | data files | [`data`] |
//! | `config.json`, `model.safetensors`, `tokenizer.json`, `preprocessor_config.json`, `classifier.json` | [`model`] |
//! | recipes | [`train`] |
//! | `manifest.json`, `predictions/`, `.parts/` | [`store`] |
//! | `scores.*`, `frontier.json`, `tables/`, `figures/`, `report.html` | [`report`] |

#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests make and damage files"))]

pub mod base;
pub mod catalog;
pub mod checkpoint;
pub mod cli;
pub mod compare;
pub mod data;
pub mod doctor;
pub mod emoji;
pub mod image;
pub mod import;
pub mod init;
pub mod keys;
pub mod merge;
pub mod metric;
pub mod model;
pub mod plan;
pub mod report;
pub mod run;
pub mod stats;
pub mod store;
pub mod suite;
pub mod task;
pub mod train;
