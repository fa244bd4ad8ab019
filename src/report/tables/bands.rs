//! Both axes along each curve, with bands that hold at all alphas together.

use super::{Cell, Column, NumberTable, Row, TableSpec};
use crate::base::registry::Named;
use crate::report::ReportData;

/// The table.
pub(super) struct Bands;

impl Named for Bands {
    fn name(&self) -> &'static str {
        "bands"
    }
    fn summary(&self) -> &'static str {
        "speciality and generality along alpha with simultaneous bands"
    }
    fn reference(&self) -> &'static str {
        "max-|t| bands, Romano and Wolf 2005"
    }
}

impl TableSpec for Bands {
    fn build(&self, data: &ReportData) -> Option<NumberTable> {
        let mut rows = Vec::new();
        for curve in &data.frontier.curves {
            for band in &curve.bands {
                let variant = data.manifest.curves.iter().find(|c| c.id == curve.curve).and_then(|c| {
                    let point = c.points.iter().find(|p| p.alpha == band.alpha)?;
                    data.frontier.point(&point.variant)
                });
                let Some(point) = variant else { continue };
                rows.push(Row {
                    keys: vec![curve.curve.clone().into(), band.alpha.to_string().into()],
                    origin: Some(data.origin_of_curve(&curve.curve)),
                    cells: vec![
                        Cell::percent(point.speciality, Some(band.speciality)),
                        Cell::percent(point.generality, Some(band.generality)),
                    ],
                });
            }
        }
        if rows.is_empty() {
            return None;
        }
        let level = data.manifest.suite.stats.confidence * 100.0;
        Some(NumberTable {
            title: "Bands along alpha in percent".to_owned(),
            keys: vec!["curve", "alpha"],
            columns: ["speciality", "generality"].map(Column::new).to_vec(),
            rows,
            notes: vec![format!(
                "In brackets: {level}% bands that hold at all alphas of a curve together, from the same resamples."
            )],
        })
    }
}
