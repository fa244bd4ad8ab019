//! `scores.csv` and `scores.parquet`.

use std::path::Path;

use super::origin::Origin;
use super::{ReportData, ReportError};
use crate::base::table::Table;

struct Row<'a> {
    variant: &'a str,
    origin: Origin,
    score: &'a super::CellScore,
    probe: &'a crate::store::ProbeRecord,
}

/// Writes one row per curve point (or variant without a curve), probe and metric.
pub(super) fn write(data: &ReportData, out: &Path) -> Result<(), ReportError> {
    let mut rows = Vec::new();
    for variant in &data.manifest.variants {
        for origin in data.origins(&variant.id) {
            for probe in &data.manifest.probes {
                let key = (variant.id.clone(), probe.spec.id.clone());
                if let Some(score) = data.scores.get(&key) {
                    rows.push(Row { variant: &variant.id, origin: origin.clone(), score, probe });
                }
            }
        }
    }
    let flat: Vec<(&Row<'_>, &super::MetricValue)> =
        rows.iter().flat_map(|r| r.score.metrics.iter().map(move |m| (r, m))).collect();
    let text = |f: &dyn Fn(&Row<'_>) -> String| flat.iter().map(|(r, _)| f(r)).collect::<Vec<_>>();
    let mut table = Table::new(flat.len());
    table.push_strings("suite", text(&|_| data.manifest.suite.name.clone()))?;
    table.push_strings("curve", text(&|r| r.origin.curve.clone()))?;
    table.push_strings("variant", text(&|r| r.variant.to_owned()))?;
    table.push_f64("alpha", flat.iter().map(|(r, _)| r.origin.alpha).collect())?;
    table.push_strings("method", text(&|r| r.origin.method.clone()))?;
    table.push_strings("probe", text(&|r| r.probe.spec.id.clone()))?;
    table.push_strings("role", text(&|r| r.probe.spec.role.name().to_owned()))?;
    table.push_strings("group", text(&|r| r.probe.spec.group.clone()))?;
    table.push_strings("metric", flat.iter().map(|(_, m)| m.metric.to_owned()).collect())?;
    let number = |f: &dyn Fn(&super::MetricValue) -> Option<f64>| flat.iter().map(|(_, m)| f(m)).collect();
    table.push_f64("value", number(&|m| Some(m.estimate.value)))?;
    table.push_f64("ci_low", number(&|m| m.estimate.interval.map(|i| i.low)))?;
    table.push_f64("ci_high", number(&|m| m.estimate.interval.map(|i| i.high)))?;
    table.push_f64("stderr", number(&|m| m.estimate.stderr))?;
    table.push_u32("n", flat.iter().map(|(_, m)| m.estimate.n as u32).collect())?;
    table.push_f64("seed", flat.iter().map(|(r, _)| r.origin.seed.map(|s| s as f64)).collect())?;
    table.write(&out.join("scores.parquet"))?;
    table.write_csv(&out.join("scores.csv"))?;
    Ok(())
}
