//! All integration tests, in one binary (one link instead of many).

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests make and damage files, and may panic"
)]

mod answers;
mod block_prompts;
mod classes;
mod cli;
mod clip_cite;
mod combining;
mod errors;
mod foreign;
mod gate;
mod golden;
mod groups;
mod hub;
mod import;
#[cfg(unix)]
mod kills;
mod language;
mod language_tasks;
mod layer_merges;
mod learned_parts;
mod lora_training;
mod maple;
mod merges;
mod mock;
mod mutations;
mod newcomer;
mod page;
mod paper;
mod prompt_training;
mod protocols;
mod race;
mod resilience;
mod resume;
mod simulations;
mod spine;
mod statistics;
mod support;
mod tidy;
mod train;
mod training;
mod var_builder;
mod workflow;
