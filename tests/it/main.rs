//! All integration tests, in one binary (one link instead of many).

mod classes;
mod cli;
mod errors;
mod golden;
mod resume;
mod support;
mod tidy;
mod train;
