//! The figures. To add one, write a file with a `Figure` and list it here.

mod alpha;
mod axis;
mod bars;
mod base_novel;
mod by_probe;
mod canvas;
mod frontier;
mod legend;
mod methods;
mod sheet;
mod shifts;

pub use canvas::{method_paint, paint};
pub use sheet::{Sheet, pdf, tree};

use super::ReportData;
use crate::base::registry::{Named, Registry};

/// A figure of the report.
pub trait Figure: Named + Sync {
    /// The figure as SVG; `None` where there is nothing to show, a text where drawing fails.
    fn draw(&self, data: &ReportData, sheet: Sheet) -> Result<Option<String>, String>;

    /// What the reader sees, for the page.
    fn caption(&self, data: &ReportData) -> String;
}

/// All figures.
pub static FIGURES: Registry<dyn Figure> = Registry {
    kind: "figure",
    items: &[
        &alpha::Alpha,
        &bars::Bars,
        &base_novel::BaseNovel,
        &frontier::FRONTIER,
        &frontier::FRONTIER_LOGIT,
        &by_probe::Loss,
        &methods::Methods,
        &shifts::Shifts,
    ],
};
