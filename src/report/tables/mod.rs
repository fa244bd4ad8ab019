//! The tables. To add one, write a file with a `TableSpec` and list it here.

mod above;
mod bands;
mod base_novel;
mod cell;
mod curves;
mod drift;
mod forgetting;
mod frontier;
mod grid;
mod latex;
mod methods;
mod numbers;
mod probes;
mod transfer;

pub use cell::{Cell, Number, Show, percent};
pub use grid::Grid;
pub use numbers::{Best, Column, Key, NumberTable, Row};

use super::ReportData;
use crate::base::registry::{Named, Registry};

/// A table of the report.
pub trait TableSpec: Named + Sync {
    /// The table; `None` where there is nothing to show.
    fn build(&self, data: &ReportData) -> Option<NumberTable>;
}

/// All tables.
pub static TABLES: Registry<dyn TableSpec> = Registry {
    kind: "table",
    items: &[
        &above::Above,
        &bands::Bands,
        &base_novel::BaseNovel,
        &curves::Curves,
        &drift::Drift,
        &forgetting::Forgetting,
        &frontier::Frontier,
        &methods::Methods,
        &probes::Probes,
        &transfer::Transfer,
    ],
};
