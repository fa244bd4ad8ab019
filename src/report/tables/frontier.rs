//! The points of the frontier.

use super::{Grid, TableSpec, percent};
use crate::base::registry::Named;
use crate::report::ReportData;

/// The table.
pub(super) struct Frontier;

impl Named for Frontier {
    fn name(&self) -> &'static str {
        "frontier"
    }
    fn summary(&self) -> &'static str {
        "speciality, generality and their means for each variant, with frontier probabilities"
    }
    fn reference(&self) -> &'static str {
        "paired bootstrap over examples"
    }
}

impl TableSpec for Frontier {
    fn build(&self, data: &ReportData) -> Option<Grid> {
        let frontier = &data.frontier;
        let volume = frontier.hypervolume.as_ref()?;
        let headers = [
            "variant",
            "alpha",
            "speciality",
            "generality",
            "mean",
            "harmonic mean",
            "on frontier",
            "P(on frontier)",
        ];
        let rows = data
            .variants_in_order()
            .into_iter()
            .filter_map(|v| frontier.point(v))
            .map(|p| {
                vec![
                    data.label(&p.variant),
                    p.alpha.map_or_else(|| "-".to_owned(), |a| a.to_string()),
                    percent(p.speciality, p.speciality_ci),
                    percent(p.generality, p.generality_ci),
                    percent(p.mean, p.mean_ci),
                    percent(p.harmonic_mean, p.harmonic_mean_ci),
                    if p.on_frontier { "yes" } else { "no" }.to_owned(),
                    p.p_on_frontier.map_or_else(|| "-".to_owned(), |p| format!("{p:.2}")),
                ]
            })
            .collect();
        let interval = volume.ci.map(|i| format!(" [{:.4}, {:.4}]", i.low, i.high)).unwrap_or_default();
        Some(Grid {
            title: "Speciality and generality in percent".to_owned(),
            headers: headers.map(str::to_owned).to_vec(),
            rows,
            notes: vec![
                format!("Axes: {}.", frontier.axes),
                format!(
                    "Hypervolume above ({:.1}, {:.1}): {:.4}{interval}.",
                    volume.reference.0 * 100.0,
                    volume.reference.1 * 100.0,
                    volume.value
                ),
            ],
        })
    }
}
