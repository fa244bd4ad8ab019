//! Two results side by side: what changed, how sure that is, and whether a gate lets it pass.
//!
//! A [`Side`] is what a comparison needs of a results folder: digests that say what was measured, and one bit per
//! example and cell. A baseline file is a side as JSON. [`Comparison`] pairs two sides example by example;
//! [`check`] turns a comparison into verdicts.

mod comparison;
mod curves;
mod gate;
mod options;
mod outcomes;
mod render;
mod side;

pub use comparison::{CellChange, ClassChange, Comparison, Unpaired, Which};
pub use curves::CurveChange;
pub use gate::{GateOutcome, GateVerdict, check, is_gated, not_measured};
pub use options::Options;
pub use outcomes::Outcomes;
pub use render::{annotations, cells_table, curves_table, junit, summary, verdict_line, verdicts_grid};
pub use side::{BASELINE_FORMAT, CellSide, ProbeSide, Side, VariantSide};

use crate::base::fs::FileError;
use crate::store::StoreError;

/// Why two results cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Results cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is no baseline.
    #[error("`{path}` is no baseline of this program: {reason}; write one with `specbench bless`")]
    Baseline {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// They were not measured alike; every difference is listed.
    #[error("the results cannot be compared:\n{}", .0.iter().map(|d| format!("- {d}")).collect::<Vec<_>>().join("\n"))]
    Mixed(Vec<String>),
    /// They have nothing in common.
    #[error("nothing was measured that both sides have: {0}")]
    Nothing(String),
}
