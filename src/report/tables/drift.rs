//! How far each way of fine-tuning moves each probe, relative to the pretrained model.

use super::{Cell, Column, NumberTable, Row, TableSpec};
use crate::base::registry::Named;
use crate::plan::Curve;
use crate::report::ReportData;
use crate::report::methods::by_method;
use crate::stats::percentile;
use crate::store::ProbeRecord;
use crate::suite::ProbeRole;

/// The table.
pub(super) struct Drift;

impl Named for Drift {
    fn name(&self) -> &'static str {
        "drift"
    }
    fn summary(&self) -> &'static str {
        "change of each probe from the start of a curve to its end, in percent of the start, mean over seeds"
    }
    fn reference(&self) -> &'static str {
        "paired bootstrap over examples"
    }
}

impl TableSpec for Drift {
    fn build(&self, data: &ReportData) -> Option<NumberTable> {
        let level = data.manifest.suite.stats.confidence;
        let probes: Vec<&ProbeRecord> =
            data.manifest.probes.iter().filter(|p| p.spec.role != ProbeRole::Selection).collect();
        let row = |(name, curves): (String, Vec<&Curve>)| {
            let cells: Vec<Option<Cell>> = probes.iter().map(|p| drift(data, &curves, p, level)).collect();
            let any = cells.iter().any(Option::is_some);
            let cells = cells.into_iter().map(|c| c.unwrap_or(Cell::Nothing)).collect();
            any.then(|| Row { keys: vec![name.into()], origin: None, cells })
        };
        let rows: Vec<Row> = by_method(&data.manifest.curves).into_iter().filter_map(row).collect();
        if rows.is_empty() {
            return None;
        }
        let headers = probes.iter().map(|p| format!("{} ({})", p.spec.id, p.spec.role.name()));
        Some(NumberTable {
            title: "Relative drift in percent of the pretrained score".to_owned(),
            keys: vec!["method"],
            columns: headers.map(Column::new).collect(),
            rows,
            notes: vec![format!(
                "(fine-tuned - pretrained) / pretrained, the mean over seeds, with {}% intervals of the paired bootstrap over \
                 examples.",
                level * 100.0
            )],
        })
    }
}

/// The mean over a method's curves of the relative change from end to end; none where an end has no score, or the start is 0.
fn drift(data: &ReportData, curves: &[&Curve], probe: &ProbeRecord, level: f64) -> Option<Cell> {
    let mut pairs = Vec::new();
    for curve in curves {
        let end = |p: Option<&crate::plan::CurvePoint>| data.main(&p?.variant, probe);
        pairs.push((end(curve.points.first())?, end(curve.points.last())?));
    }
    let mean = |of: &dyn Fn(usize) -> (f64, f64)| {
        let each = (0..pairs.len()).map(|i| {
            let (start, end) = of(i);
            (end - start) / start
        });
        each.sum::<f64>() / pairs.len() as f64
    };
    let value = mean(&|i| (pairs[i].0.estimate.value, pairs[i].1.estimate.value));
    if !value.is_finite() {
        return None;
    }
    let draws = pairs.iter().map(|(a, b)| a.replicates.len().min(b.replicates.len())).min()?;
    let replicates: Vec<f64> =
        (0..draws).map(|r| mean(&|i| (pairs[i].0.replicates[r], pairs[i].1.replicates[r]))).collect();
    // A draw in which the start scores nothing has no relative change.
    let interval = percentile(&replicates, level).filter(|i| i.low.is_finite() && i.high.is_finite());
    Some(Cell::percent(value, interval))
}
