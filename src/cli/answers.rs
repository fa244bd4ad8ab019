//! What `--json` prints, command by command, with its JSON Schema.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Value, json};

use crate::compare::{Comparison, GateVerdict};
use crate::report::FrontierReport;
use crate::suite::GateSpec;

/// Raised whenever what `--json` prints changes its meaning.
const VERSION: u32 = 1;

/// What one command prints.
pub trait Answer: Serialize + JsonSchema {
    /// Its name within `format`.
    const KIND: &'static str;
}

/// The `format` of a kind of answer.
pub fn format_of(kind: &str) -> String {
    format!("specbench-{kind}-{VERSION}")
}

macro_rules! answers {
    ($($(#[$doc:meta])* $kind:literal $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Serialize, JsonSchema)]
            pub struct $name { $($(#[$about])* pub $field: $type,)* }

            impl Answer for $name {
                const KIND: &'static str = $kind;
            }
        )*

        /// Answers that are structs of fields, with their schemas.
        const PLAIN: &[(&str, Schematic)] = &[$(($kind, schema_of::<$name>)),*];
    };
}

type Schematic = fn(&mut SchemaGenerator) -> Schema;

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

answers! {
    /// What went wrong, of any command.
    "error" ErrorAnswer {
        /// In words.
        message: String,
        /// The exit code.
        exit: u8,
    }
    /// A run that is over.
    "run" RunAnswer {
        /// The results folder.
        out: PathBuf,
        /// Results that were evaluated.
        finished: usize,
        /// Results that were there.
        reused: usize,
        /// Examples that were left out.
        skipped: usize,
        /// Images that were read.
        decoded: usize,
        /// Tokens of one variant.
        tokens: TokensAnswer,
        /// How long it took.
        seconds: f64,
        /// What came of it.
        frontier: FrontierReport,
    }
    /// What a run would do.
    "plan" PlanAnswer {
        /// The suite's name.
        suite: String,
        /// The results folder.
        out: PathBuf,
        /// All variants.
        variants: Vec<String>,
        /// All probes.
        probes: Vec<ProbeAnswer>,
        /// Where each result's head comes from, by `variant/probe`.
        heads: BTreeMap<String, String>,
        /// Results that do not count any more, by why.
        stale: BTreeMap<String, Vec<String>>,
        /// What is worth knowing.
        notes: Vec<String>,
        /// All results.
        cells: usize,
        /// Those that are to be evaluated.
        cells_to_do: usize,
        /// Images or documents that are to be read.
        images_to_decode: usize,
        /// Predictions that are to be made.
        predictions_to_make: usize,
    }
    /// What a comparison with a baseline ends with.
    "check" CheckAnswer {
        /// `pass` or `regression`.
        verdict: String,
        /// What is gated.
        gate: GateSpec,
        /// Each gated metric.
        metrics: Vec<GateVerdict>,
    }
    /// A baseline that was written.
    "bless" BlessAnswer {
        /// Its file.
        baseline: PathBuf,
        /// Variants in it.
        variants: usize,
        /// Probes in it.
        probes: usize,
        /// Results in it.
        cells: usize,
    }
    /// Scores that were taken over.
    "import" ImportAnswer {
        /// The results folder.
        out: PathBuf,
        /// Scores.
        cells: usize,
        /// Those with their examples.
        with_examples: usize,
        /// What was left out, in words.
        left_out: Vec<String>,
        /// What came of it.
        frontier: FrontierReport,
    }
    /// A suite that was written.
    "init" InitAnswer {
        /// Its file.
        suite: PathBuf,
        /// All files.
        files: Vec<PathBuf>,
        /// What is worth knowing.
        remarks: Vec<String>,
        /// Variants of the suite.
        variants: usize,
        /// Its probes.
        probes: usize,
    }
    /// A checkpoint that was made, or was there.
    "tune" TuneAnswer {
        /// Its folder.
        checkpoint: PathBuf,
        /// Whether it was there.
        kept: bool,
    }
    /// Jobs: scripts with `--dry-run`, else numbers.
    "slurm" SlurmAnswer {
        /// Of the shards.
        array: String,
        /// Of the job that joins them.
        join: String,
        /// The results folder, once submitted.
        out: Option<PathBuf>,
    }
    /// Registered things.
    "list" ListAnswer {
        /// One each.
        items: Vec<ListItem>,
    }
    /// Checks of the machine.
    "doctor" DoctorAnswer {
        /// One each.
        items: Vec<DoctorItem>,
    }
    /// Data sets.
    "data-list" DataListAnswer {
        /// One each.
        items: Vec<DataItem>,
    }
    /// Ids of a few-shot draw.
    "data-shots" ShotsAnswer {
        /// In the order of the draw.
        items: Vec<String>,
    }
    /// What would be fetched.
    "data-fetch" FetchAnswer {
        /// Files of repositories.
        files: Vec<FetchFile>,
        /// Of those that are not here.
        bytes_to_fetch: u64,
        /// Archives.
        archives: Vec<FetchArchive>,
    }
    /// What files of data sets were found to be.
    "data-verify" VerifyAnswer {
        /// One each.
        items: Vec<VerifyItem>,
    }
}

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Serialize, JsonSchema)]
            pub struct $name { $($(#[$about])* pub $field: $type,)* }
        )*
    };
}

parts! {
    /// Tokens of one variant.
    TokensAnswer {
        /// That were computed.
        computed: usize,
        /// If nothing were shared.
        without_sharing: usize,
    }
    /// A probe.
    ProbeAnswer {
        /// Its id.
        id: String,
        /// Examples.
        examples: usize,
        /// Classes.
        classes: usize,
        /// Digest of its data.
        data: String,
        /// Licence of its data.
        licence: String,
    }
    /// Something registered.
    ListItem {
        /// Its name in files.
        name: String,
        /// What it is.
        summary: String,
        /// Where it comes from.
        reference: String,
    }
    /// A check.
    DoctorItem {
        /// What is looked at.
        check: String,
        /// `ok`, `note` or `BAD`.
        state: String,
        /// What was found.
        found: String,
        /// What to do.
        advice: Option<String>,
    }
    /// A data set.
    DataItem {
        /// Its name.
        name: String,
        /// What it is.
        summary: String,
        /// Its layout.
        layout: String,
        /// Its licence.
        licence: String,
        /// Where it comes from.
        origin: String,
        /// Its splits.
        splits: Vec<SplitItem>,
    }
    /// A split.
    SplitItem {
        /// Its name.
        split: String,
        /// Examples, if they are known.
        examples: Option<u64>,
        /// Whether its files are here.
        here: bool,
    }
    /// A file of a repository.
    FetchFile {
        /// The data set.
        dataset: String,
        /// The split.
        split: String,
        /// The repository.
        repository: String,
        /// The file within it.
        file: String,
        /// Its size.
        bytes: u64,
        /// Whether it is here.
        here: bool,
        /// Licence of the data.
        licence: String,
    }
    /// An archive.
    FetchArchive {
        /// The data set.
        dataset: String,
        /// Its file.
        file: String,
        /// Where it is.
        url: String,
        /// Its size.
        bytes: u64,
        /// Its digest.
        sha256: String,
        /// Licence of the data.
        licence: String,
    }
    /// A part of a data set.
    VerifyItem {
        /// The data set.
        dataset: String,
        /// Split or archive.
        split: String,
        /// What it was found to be.
        state: String,
        /// In words.
        detail: String,
    }
}

/// Facts by name.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct InspectAnswer(pub BTreeMap<String, String>);

impl Answer for InspectAnswer {
    const KIND: &'static str = "inspect";
}

/// What a merge would make of two checkpoints, or facts of what a merge file describes.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum MergeAnswer {
    /// A point between two.
    Point {
        /// Tensors that are interpolated.
        interpolated: Vec<String>,
        /// Tensors that are equal at both ends.
        equal: Vec<String>,
        /// Tensors that a filter keeps as in the first.
        kept: Vec<String>,
        /// Tensors that take no part.
        skipped: Vec<String>,
        /// Pairs that are one tensor at one end alone.
        untied: Vec<String>,
        /// What stands against merging.
        problems: Vec<String>,
        /// What becomes of heads.
        heads: String,
    },
    /// A merge file.
    File(BTreeMap<String, String>),
}

impl Answer for MergeAnswer {
    const KIND: &'static str = "merge";
}

/// One run's report, or the page of several.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ReportAnswer {
    /// Of one.
    One {
        /// The results folder.
        out: PathBuf,
        /// What came of it.
        frontier: Box<FrontierReport>,
    },
    /// Of several.
    Several {
        /// The page.
        page: PathBuf,
        /// The results folders.
        runs: Vec<PathBuf>,
    },
}

impl Answer for ReportAnswer {
    const KIND: &'static str = "report";
}

impl Answer for Comparison {
    const KIND: &'static str = "compare";
}

/// Schemas of keys, by kind of file, or the folder that they were written to.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct KeysAnswer(pub BTreeMap<String, Value>);

impl Answer for KeysAnswer {
    const KIND: &'static str = "keys";
}

/// The schema of everything that `--json` prints, draft 2020-12: one alternative a `format`.
pub fn schema() -> Value {
    let others: &[(&str, Schematic)] = &[
        (InspectAnswer::KIND, schema_of::<InspectAnswer>),
        (MergeAnswer::KIND, schema_of::<MergeAnswer>),
        (ReportAnswer::KIND, schema_of::<ReportAnswer>),
        (Comparison::KIND, schema_of::<Comparison>),
        (KeysAnswer::KIND, schema_of::<KeysAnswer>),
    ];
    let mut generator = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator();
    let one = |(kind, schema): &(&str, Schematic)| {
        let answer = schema(&mut generator);
        let format = json_schema!({
            "properties": { "format": { "const": format_of(kind) } },
            "required": ["format"],
        });
        json!({ "title": kind, "allOf": [format, answer] })
    };
    let all: Vec<Value> = PLAIN.iter().chain(others).map(one).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "specbench --json",
        "description": "What the commands print with `--json`: one object, by its `format`.",
        "oneOf": all,
        "$defs": generator.take_definitions(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_that_of_the_program() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/schemas/output.json");
        let stored: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(stored, schema(), "run `specbench keys --out suites/schemas`");
    }
}
