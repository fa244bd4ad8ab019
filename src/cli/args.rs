//! The command line.

use std::path::PathBuf;

use crate::plan::Until;
use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::parsers::{any_path, counted, points, positive, shard};

pub use super::common_args::{DtypeArg, HubArgs, ModelArgs, RegistryArgs, SourceArgs};
pub use super::data_args::{BuildArgs, Buildable, DataCommand, FetchArgs, ShotsArgs, SplitArgs};

/// Evaluates what fine-tuned foundation models gain and forget.
#[derive(Debug, Parser)]
#[command(name = "specbench", version, about, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Args, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Threads; all cores if not given
    #[arg(long, global = true, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,
    /// No progress, no warnings
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More detail on standard error
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Colours
    #[arg(long, global = true, value_enum, default_value_t = ColorArg::Auto)]
    pub color: ColorArg,
    /// Machine-readable result on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorArg {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Evaluate a suite, then write tables, figures and a page
    #[command(
        after_help = "Examples:\n  specbench run demo\n  specbench run suite.toml --limit 100 --out /tmp/first-look"
    )]
    Run(RunArgs),
    /// Run a suite as a Slurm job array of shards, and a job that joins them
    #[command(
        after_help = "Examples:\n  specbench slurm suite.toml --shards 8 --sbatch=--partition=gpu -- --device cuda\n  specbench slurm suite.toml --shards 8 --dry-run"
    )]
    Slurm(SlurmArgs),
    /// Show what `run` would do, without loading a model
    #[command(
        after_help = "Examples:\n  specbench plan suite.toml\n  specbench plan demo --only \"ft-noto@*/noto\""
    )]
    Plan {
        /// The suite file, or the name of a built-in suite (`specbench list suites`)
        suite: PathBuf,
        #[command(flatten)]
        select: SelectArgs,
        #[command(flatten)]
        model: ModelArgs,
        #[command(flatten)]
        sources: SourceArgs,
    },
    /// Rebuild tables and figures from stored predictions
    #[command(
        after_help = "Examples:\n  specbench report reports/demo\n  specbench report reports/demo --json"
    )]
    Report(ReportArgs),
    /// Write a suite for your own data and checkpoints, ready to run
    #[command(
        after_help = "Examples:\n  specbench init photos --from clip-base --to clip-tuned\n  specbench init questions.jsonl --from llama --to adapter --out study"
    )]
    Init(InitArgs),
    /// Fine-tune checkpoints with recipes; what is there is kept, what was interrupted goes on
    #[command(
        after_help = "Examples:\n  specbench tune recipe.toml\n  specbench tune methods_clip --only \"*spider*\""
    )]
    Tune(TuneArgs),
    /// Say what a checkpoint is
    #[command(
        after_help = "Examples:\n  specbench inspect clip-base\n  specbench inspect adapter --base llama"
    )]
    Inspect {
        /// A checkpoint folder or file, or `hf:OWNER/NAME`
        checkpoint: PathBuf,
        /// The checkpoint that an adapter, a head or learned context belongs to
        #[arg(long, value_name = "DIR")]
        base: Option<PathBuf>,
        /// File with the class names of a head, one a line
        #[arg(long, value_name = "FILE")]
        classes: Option<PathBuf>,
        #[command(flatten)]
        hub: HubArgs,
    },
    /// The data registry
    #[command(after_help = "Examples:\n  specbench data list\n  specbench data verify emoji-noto")]
    Data {
        #[command(subcommand)]
        command: DataCommand,
    },
    /// What is registered
    #[command(after_help = "Examples:\n  specbench list suites\n  specbench list methods --json")]
    List {
        #[arg(value_enum)]
        what: ListKind,
        #[command(flatten)]
        registry: RegistryArgs,
    },
    /// Paired differences between two results folders
    #[command(
        after_help = "Examples:\n  specbench compare reports/before reports/after\n  specbench compare reports/before reports/after --out differences"
    )]
    Compare(CompareArgs),
    /// The CI gate: exit code 1 where a gated metric fell significantly and beyond the tolerance
    #[command(
        after_help = "Examples:\n  specbench check reports/gate --baseline baseline.json\n  specbench check reports/gate --baseline baseline.json --junit gate.xml --summary gate.md"
    )]
    Check(CheckArgs),
    /// Write a baseline for the gate
    #[command(
        after_help = "Examples:\n  specbench bless reports/gate --to baseline.json\n  specbench bless reports/gate --to gates/$(git rev-parse --short HEAD).json"
    )]
    Bless(BlessArgs),
    /// Write a merged checkpoint, or list what merging would do
    #[command(
        after_help = "Examples:\n  specbench merge wise-ft --from base --to tuned --alpha 0.5 --out merged\n  specbench merge ties.yml --out merged"
    )]
    Merge(MergeArgs),
    /// A results folder from results of other programs
    #[command(
        after_help = "Examples:\n  specbench import lm-eval results --out reports/theirs --pretrained base --speciality medqa\n  specbench import wise-ft results.jsonl --out reports/theirs"
    )]
    Import(ImportArgs),
    /// Check device, types, tokenizer and preprocessing against known values, caches and free disk
    #[command(after_help = "Examples:\n  specbench doctor\n  specbench doctor --device cuda --dtype bf16")]
    Doctor {
        #[command(flatten)]
        model: ModelArgs,
        #[command(flatten)]
        sources: SourceArgs,
    },
    /// Every key of suites, recipes and the registry, or their JSON Schemas
    #[command(
        after_help = "Examples:\n  specbench keys suite\n  specbench keys recipe --schema > recipe.schema.json"
    )]
    Keys(KeysArgs),
    /// Print completions for a shell
    #[command(
        after_help = "Examples:\n  specbench completions bash > ~/.local/share/bash-completion/completions/specbench\n  specbench completions zsh > ~/.zfunc/_specbench"
    )]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write manual pages
    #[command(
        after_help = "Examples:\n  specbench man ~/.local/share/man/man1\n  specbench man /tmp/man && man /tmp/man/specbench-run.1"
    )]
    Man {
        /// The folder to write into
        dir: PathBuf,
    },
}

/// `import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Whose results they are (`specbench list formats`)
    #[arg(value_name = "FORMAT")]
    pub format: String,
    /// Files, or folders that are searched
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// The results folder
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The pretrained model, by the name it has in the results
    #[arg(long, value_name = "NAME")]
    pub pretrained: Option<String>,
    /// Probes that measure the speciality; the others measure generality
    #[arg(long, value_name = "GLOB")]
    pub speciality: Vec<String>,
    /// Probes that choose alpha and are no results
    #[arg(long, value_name = "GLOB")]
    pub selection: Vec<String>,
    /// Number of examples of a probe whose files do not say it: its intervals follow from it
    #[arg(long, value_name = "PROBE=N", value_parser = counted)]
    pub examples: Vec<(String, usize)>,
}

#[derive(Args, Debug)]
pub struct CompareArgs {
    /// The results folder to start from
    pub a: PathBuf,
    /// The results folder to compare with it
    pub b: PathBuf,
    /// Write tables, flipped examples and changes by class here
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write a page with all tables, which needs nothing beside it
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The results folder
    pub dir: PathBuf,
    /// The baseline file
    #[arg(long, value_name = "FILE")]
    pub baseline: PathBuf,
    /// Falls up to this fraction pass; the suite's `[gate]` if not given
    #[arg(long, value_name = "FRACTION")]
    pub tolerance: Option<f64>,
    /// Chance of any false alarm; the suite's `[gate]` if not given
    #[arg(long, value_name = "P")]
    pub significance: Option<f64>,
    /// Write JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a Markdown summary
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    /// Print annotations for GitHub Actions
    #[arg(long, env = "GITHUB_ACTIONS", hide_env = true, value_parser = FalseyValueParser::new())]
    pub github: bool,
    /// Append the summary here, as GitHub Actions shows it
    #[arg(long, env = "GITHUB_STEP_SUMMARY", value_name = "FILE", hide = true, value_parser = any_path())]
    pub step_summary: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct BlessArgs {
    /// The results folder
    pub dir: PathBuf,
    /// The baseline file to write
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

#[derive(Args, Debug)]
pub struct MergeArgs {
    /// How to go from one to another (`specbench list merges`), or a mergekit file (.yaml, .yml)
    #[arg(value_name = "METHOD|FILE")]
    pub method: String,
    /// The pretrained checkpoint (not with a file)
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// The fine-tuned checkpoint (not with a file)
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Weight of the fine-tuned checkpoint, 0.5 if not given (not with a file)
    #[arg(long, value_name = "ALPHA")]
    pub alpha: Option<f64>,
    /// Only tensors that match
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// No tensors that match
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Templates, one a line, for the zero-shot head of the checkpoint without a classifier where the other has one
    #[arg(long, value_name = "FILE")]
    pub templates: Option<PathBuf>,
    /// Leave heads out of what is written
    #[arg(long)]
    pub drop_heads: bool,
    /// Folder to write; without it the checks are made and listed, and nothing is written
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub hub: HubArgs,
}

#[derive(Args, Debug)]
pub struct SelectArgs {
    /// The results folder; `reports/<suite name>` if not given
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// At most this many examples of each probe
    #[arg(long, value_name = "N", value_parser = positive)]
    pub limit: Option<usize>,
    /// Only results whose `variant/probe` matches
    #[arg(long, value_name = "GLOB")]
    pub only: Option<String>,
    /// Evaluate finished results again
    #[arg(long)]
    pub fresh: bool,
}

#[derive(Args, Debug)]
pub struct SlurmArgs {
    /// The suite file, or the name of a built-in suite
    pub suite: PathBuf,
    /// Tasks of the array
    #[arg(long, value_name = "N", value_parser = positive)]
    pub shards: usize,
    /// At most this many tasks at a time
    #[arg(long, value_name = "K", value_parser = positive)]
    pub parallel: Option<usize>,
    /// The results folder, which all nodes share; `reports/<suite name>` if not given
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// An option for sbatch, such as `--sbatch=--partition=gpu`; may be given more than once
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub sbatch: Vec<String>,
    /// Wait for the join; fails where it does
    #[arg(long)]
    pub wait: bool,
    /// Print both scripts and submit nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Further arguments of `specbench run`, after `--`
    #[arg(last = true, value_name = "RUN ARGUMENTS")]
    pub run: Vec<String>,
    #[command(flatten)]
    pub sources: SourceArgs,
}

#[derive(Args, Debug)]
pub struct InitArgs {
    /// Images in one folder per class (or such folders within train, val and test), or documents (.jsonl, .json, .csv, .parquet)
    pub folder: PathBuf,
    /// The pretrained checkpoint
    #[arg(long, value_name = "CHECKPOINT")]
    pub from: PathBuf,
    /// A fine-tuned checkpoint, or an adapter or head for the pretrained one; may be given more than once
    #[arg(long, value_name = "CHECKPOINT", required = true)]
    pub to: Vec<PathBuf>,
    /// The folder to write into
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Write over files that are there
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// Options of `report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Results folders; several make one page with a leaderboard, which `--html` names
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// The page of several results folders
    #[arg(long, value_name = "FILE", conflicts_with = "figure_width")]
    pub html: Option<PathBuf>,
    /// Width of the figures as a paper prints them, such as 3.25in, 8.5cm or 234pt; without it they fit a screen
    #[arg(long, value_name = "LENGTH", value_parser = points)]
    pub figure_width: Option<f64>,
    /// Size of the text at that width
    #[arg(long, value_name = "LENGTH", value_parser = points, default_value = "8pt", requires = "figure_width")]
    pub font_size: f64,
}

#[derive(Args, Debug)]
pub struct KeysArgs {
    /// Which kind of file; all without it
    #[arg(value_enum)]
    pub file: Option<KeysOf>,
    /// Print the JSON Schema of that kind, for editors
    #[arg(long, requires = "file")]
    pub schema: bool,
    /// Write the page of all keys and the schemas into a folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "schema"])]
    pub out: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysOf {
    Suite,
    Recipe,
    Registry,
    Task,
}

#[derive(Args, Debug)]
pub struct TuneArgs {
    /// Recipe files, or names of built-in recipes
    #[arg(required = true)]
    pub recipes: Vec<PathBuf>,
    /// Write the checkpoint of the one recipe here instead of where it says
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Only recipes whose id or folder matches a glob
    #[arg(long, value_name = "GLOB")]
    pub only: Option<glob::Pattern>,
    /// Train again what is there
    #[arg(long)]
    pub fresh: bool,
    #[command(flatten)]
    pub sources: SourceArgs,
}

#[derive(Args, Debug)]
pub struct RunArgs {
    /// The suite file, or the name of a built-in suite (`specbench list suites`)
    pub suite: PathBuf,
    #[command(flatten)]
    pub select: SelectArgs,
    /// Evaluate part I of N; run without it (or all parts) to join
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<(usize, usize)>,
    /// Stop each data set when confidence sequences are narrow enough (`ci=0.02`) or say for every variant
    /// whether it beats the pretrained model (`decided`)
    #[arg(long, value_name = "RULE", conflicts_with = "shard")]
    pub until: Option<Until>,
    /// Examples per forward
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = positive)]
    pub batch: usize,
    /// Memory for weights, in MiB; beyond it they are read and formed anew for each segment
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub memory: usize,
    /// Where decoded crops are kept, so that a second run decodes nothing
    #[arg(long, value_name = "DIR", env = "SPECBENCH_CACHE", default_value = ".cache/crops")]
    pub cache: PathBuf,
    /// Largest size of one data set's crops, in GiB; a larger set is decoded again each time
    #[arg(long, value_name = "GIB", default_value_t = 20)]
    pub cache_limit: u64,
    /// Keep no crops
    #[arg(long)]
    pub no_cache: bool,
    /// Compute everything for each variant, sharing nothing (slower, same predictions)
    #[arg(long)]
    pub no_share: bool,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub sources: SourceArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ListKind {
    Datasets,
    Suites,
    Probes,
    Metrics,
    Merges,
    Methods,
    Terms,
    Trains,
    Updates,
    Models,
    Layouts,
    Corruptions,
    Tables,
    Figures,
    Formats,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Examples of a command and of those below it, each of which has two.
    fn examples(command: &clap::Command) -> Vec<String> {
        let below = command.get_subcommands().flat_map(|inner| {
            let help = inner.get_after_help().map(ToString::to_string).unwrap_or_default();
            let own: Vec<String> = help.lines().skip(1).map(|line| line.trim().to_owned()).collect();
            assert_eq!(own.len(), 2, "{}", inner.get_name());
            own.into_iter().chain(examples(inner)).collect::<Vec<_>>()
        });
        below.collect()
    }

    #[test]
    fn every_command_has_two_examples_that_are_command_lines() {
        // What the shell does itself is left out.
        for example in examples(&Cli::command()).iter().filter(|e| !e.contains("$(")) {
            let words = shlex::split(example).unwrap();
            let own = words.iter().take_while(|word| !matches!(word.as_str(), ">" | "&&"));
            Cli::try_parse_from(own).unwrap_or_else(|e| panic!("{example}: {e}"));
        }
    }
}
