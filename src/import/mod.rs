//! Results of other programs as a results folder: frontiers, intervals and the gate for runs that people already have.
//!
//! A format reads its files into [`Found`] cells: scores as stated, and the rows they are means of where the files hold them.
//! Cells with rows are paired like our own; those without have the intervals of their stated standard errors and are compared
//! unpaired, which the report says.

mod clip_benchmark;
mod folder;
mod lm_eval;
mod model_soups;
mod names;
mod wide;
mod wise_ft;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use folder::{Imported, Wanted, import};

use crate::base::fs::FileError;
use crate::base::registry::{Named, Registry};
use crate::report::ReportError;
use crate::store::{Predictions, Stated, StoreError};

/// Why results cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The results folder cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The report cannot be made.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A file is not what it is taken for.
    #[error("`{}`: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The results do not fit together, or not what is asked of them.
    #[error("{0}")]
    Unfit(String),
}

/// One score as a file has it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The model.
    pub variant: String,
    /// The task or data set.
    pub probe: String,
    /// Scores by the name of a registered metric, the probe's own first.
    pub scores: Vec<(&'static str, Stated)>,
    /// What the scores are means of.
    pub rows: Option<Rows>,
}

/// Rows of a cell.
#[derive(Clone, Debug)]
pub struct Rows {
    /// One row per example.
    pub predictions: Predictions,
    /// Names of the outputs that labels and predictions count.
    pub outputs: Vec<String>,
    /// What identifies the questions: equal for cells that may be paired.
    pub questions: String,
}

/// A program's files.
pub trait Format: Named + Sync {
    /// Reads the cells of some files or folders, and what is left out and why, one line each.
    fn read(&self, paths: &[PathBuf]) -> Result<(Vec<Found>, Vec<String>), ImportError>;
}

/// All formats. To add one, write a file with a `Format` and list it here.
pub static FORMATS: Registry<dyn Format> = Registry {
    kind: "format",
    items: &[&clip_benchmark::ClipBenchmark, &lm_eval::LmEval, &model_soups::ModelSoups, &wise_ft::WiseFt],
};

/// Files below some paths whose names fit; a path that is a file is taken as it is.
fn files(paths: &[PathBuf], fits: &dyn Fn(&str) -> bool) -> Result<Vec<PathBuf>, ImportError> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_file() {
            all.push(path.clone());
            continue;
        }
        if !path.is_dir() {
            let reason = "there is no such file or folder".to_owned();
            return Err(ImportError::Unreadable { path: path.clone(), reason });
        }
        let pattern = format!("{}/**/*", glob::Pattern::escape(&path.display().to_string()));
        let found = glob::glob(&pattern).into_iter().flatten().filter_map(Result::ok);
        all.extend(found.filter(|p| p.is_file() && p.file_name().and_then(|n| n.to_str()).is_some_and(fits)));
    }
    if all.is_empty() {
        let shown: Vec<String> = paths.iter().map(|p| format!("`{}`", p.display())).collect();
        return Err(ImportError::Unfit(format!("{} holds no file of this format", shown.join(", "))));
    }
    Ok(all)
}

/// JSON objects of a file: one, a list, or one a line.
fn objects(path: &std::path::Path) -> Result<Vec<serde_json::Map<String, serde_json::Value>>, ImportError> {
    let bad = |reason: String| ImportError::Unreadable { path: path.to_owned(), reason };
    let text = crate::base::fs::read_text(path)?;
    let object = |value: serde_json::Value| match value {
        serde_json::Value::Object(map) => Ok(map),
        other => Err(bad(format!("holds {other} where an object is expected"))),
    };
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
        return match value {
            serde_json::Value::Array(all) => all.into_iter().map(object).collect(),
            one => Ok(vec![object(one)?]),
        };
    }
    let line = |(i, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| bad(format!("line {}: {e}", i + 1))).and_then(object)
    };
    text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()).map(line).collect()
}

/// A proportion of so many examples, if that is known.
fn proportion(value: f64, n: Option<usize>) -> Stated {
    let stderr = n.map(|n| (value * (1.0 - value) / n as f64).max(0.0).sqrt());
    Stated { value, stderr, n }
}

type Scores = BTreeMap<(String, String), Found>;
