//! The points of the frontier.

use super::{Best, Cell, Column, Key, NumberTable, Row, TableSpec};
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
    fn build(&self, data: &ReportData) -> Option<NumberTable> {
        let frontier = &data.frontier;
        let volume = frontier.hypervolume.as_ref()?;
        let largest = |title: &str| Column::new(title).best(Best::Largest);
        let columns = [
            largest("speciality").short("spec."),
            largest("generality").short("gen."),
            largest("mean"),
            largest("harmonic mean").short("H"),
            Column::new("on frontier").short("front"),
            Column::new("P(on frontier)").short("P(front)"),
        ];
        let rows = data
            .variants_in_order()
            .into_iter()
            .filter_map(|v| frontier.point(v))
            .map(|p| {
                let alpha = p.alpha.map(|a| a.to_string());
                let shown = alpha.clone().unwrap_or_else(|| "-".to_owned());
                let alpha = Key { shown, stored: alpha.unwrap_or_default() };
                Row {
                    keys: vec![Key::of_variant(data, &p.variant), alpha],
                    origin: Some(data.origin(&p.variant)),
                    cells: vec![
                        Cell::percent(p.speciality, p.speciality_ci),
                        Cell::percent(p.generality, p.generality_ci),
                        Cell::percent(p.mean, p.mean_ci),
                        Cell::percent(p.harmonic_mean, p.harmonic_mean_ci),
                        Cell::Text(if p.on_frontier { "yes" } else { "no" }.to_owned()),
                        Cell::probability(p.p_on_frontier),
                    ],
                }
            })
            .collect();
        let interval = volume.ci.map(|i| format!(" [{:.4}, {:.4}]", i.low, i.high)).unwrap_or_default();
        Some(NumberTable {
            title: "Speciality and generality in percent".to_owned(),
            keys: vec!["variant", "alpha"],
            columns: columns.to_vec(),
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
