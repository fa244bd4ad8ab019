//! The command line of `specbench data`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::common_args::{RegistryArgs, SourceArgs};
use super::parsers::positive;

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the registered data sets
    #[command(after_help = "Examples:\n  specbench data list\n  specbench data list --registry mine.toml")]
    List {
        #[command(flatten)]
        registry: RegistryArgs,
    },
    /// Make a data set
    #[command(
        after_help = "Examples:\n  specbench data build emoji --source icons\n  specbench data build emoji --source icons --train --out views"
    )]
    Build(BuildArgs),
    /// Check files against their registered digests and counts
    #[command(
        after_help = "Examples:\n  specbench data verify\n  specbench data verify imagenet-v2 --archives downloads"
    )]
    Verify {
        /// Data sets; all if none is named
        names: Vec<String>,
        /// Check the published archives in this folder too
        #[arg(long, value_name = "FOLDER")]
        archives: Option<PathBuf>,
        #[command(flatten)]
        sources: SourceArgs,
    },
    /// Make a split file in CoOp's form for a tree with one folder per class
    #[command(
        after_help = "Examples:\n  specbench data split photos --out split.json\n  specbench data split photos --out split.json --train 0.6 --val 0.1 --seed 2"
    )]
    Split(SplitArgs),
    /// List the examples of a few-shot subset, as CoOp draws them
    #[command(
        after_help = "Examples:\n  specbench data shots emoji-noto --split val\n  specbench data shots emoji-noto --split val --shots 4 --seed 2"
    )]
    Shots(ShotsArgs),
    /// Get data from where it is published
    #[command(after_help = "Examples:\n  specbench data fetch --plan\n  specbench data fetch lm-arc-easy")]
    Fetch(FetchArgs),
}

#[derive(Args, Debug)]
pub struct SplitArgs {
    /// The tree
    pub root: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Seed of the shuffle
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Share of the training part
    #[arg(long, default_value_t = 0.5)]
    pub train: f64,
    /// Share of the validation part; the rest is for testing
    #[arg(long, default_value_t = 0.2)]
    pub val: f64,
}

#[derive(Args, Debug)]
pub struct ShotsArgs {
    /// The data set
    pub dataset: String,
    /// Its split
    #[arg(long, default_value = "train")]
    pub split: String,
    /// Examples per class
    #[arg(long, default_value_t = 16, value_parser = positive)]
    pub shots: usize,
    /// Seed of their choice
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub sources: SourceArgs,
}

#[derive(Args, Debug)]
pub struct FetchArgs {
    /// Data sets; all that have a source on the hub if none is named
    pub names: Vec<String>,
    /// Only list what would be fetched, with sizes and licences
    #[arg(long)]
    pub plan: bool,
    #[command(flatten)]
    pub sources: SourceArgs,
}

#[derive(Args, Debug)]
pub struct BuildArgs {
    #[arg(value_enum)]
    pub dataset: Buildable,
    /// Folder with the icon packages, unpacked or as `npm pack` leaves them
    #[arg(long, value_name = "DIR")]
    pub source: PathBuf,
    /// Where the test and validation views go
    #[arg(long, value_name = "DIR", default_value = "suites/emoji")]
    pub out: PathBuf,
    /// Make the training views as well
    #[arg(long)]
    pub train: bool,
    /// Where the training views go
    #[arg(long, value_name = "DIR", default_value = ".cache/emoji")]
    pub train_out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Buildable {
    Emoji,
}
