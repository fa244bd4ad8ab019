//! Flags that several commands share: how models compute, and where files come from. A command has those that it heeds.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::parsers::any_path;

/// How models compute.
#[derive(Args, Debug)]
#[command(next_help_heading = "Computation")]
pub struct ModelArgs {
    /// Device that evaluates the models
    #[arg(long, default_value = "auto", value_name = "auto|cpu|cuda[:N]")]
    pub device: String,
    /// Type of weights and activations
    #[arg(long, value_enum, default_value_t = DtypeArg::Auto)]
    pub dtype: DtypeArg,
}

/// The hub.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Where files come from")]
pub struct HubArgs {
    /// Never touch the network
    #[arg(long)]
    pub offline: bool,
    /// Another server that speaks the hub's protocol
    #[arg(long, env = "HF_ENDPOINT", value_name = "URL", hide = true)]
    pub hub_endpoint: Option<String>,
    /// Cache of files from the hub
    #[arg(long, env = "HF_HUB_CACHE", value_name = "DIR", hide = true, value_parser = any_path())]
    pub hub_cache: Option<PathBuf>,
    /// Token for gated repositories of the hub
    #[arg(long, env = "HF_TOKEN", value_name = "TOKEN", hide = true, hide_env_values = true)]
    pub hub_token: Option<String>,
}

/// The data registry.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where files come from")]
pub struct RegistryArgs {
    /// A data registry over the built-in one; `datasets.toml` beside the suite or here if not given
    #[arg(long, value_name = "FILE")]
    pub registry: Option<PathBuf>,
}

/// Where data sets and checkpoints come from.
#[derive(Args, Clone, Debug)]
pub struct SourceArgs {
    #[command(flatten)]
    pub registry: RegistryArgs,
    #[command(flatten)]
    pub hub: HubArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DtypeArg {
    Auto,
    F32,
    Bf16,
    F16,
}
