//! How a fine-tuned model does on data that it was not tuned for, against the model it comes from.

use super::{Best, Cell, Column, Key, Number, NumberTable, Row, Show, TableSpec};
use crate::base::registry::Named;
use crate::report::ReportData;
use crate::report::points::Axis;
use crate::stats::percentile;
use crate::store::ProbeRecord;
use crate::suite::{CheckpointRole, ProbeRole};

/// The table.
pub(super) struct Transfer;

impl Named for Transfer {
    fn name(&self) -> &'static str {
        "transfer"
    }
    fn summary(&self) -> &'static str {
        "source and target averages for each variant, and on how many targets it is below the pretrained model"
    }
    fn reference(&self) -> &'static str {
        "cross-data-set protocol of CoOp and CoCoOp, arXiv:2203.05557"
    }
}

impl TableSpec for Transfer {
    fn build(&self, data: &ReportData) -> Option<NumberTable> {
        let role = |role| data.manifest.probes.iter().filter(move |p| p.spec.role == role);
        let targets: Vec<&ProbeRecord> = role(ProbeRole::Generality).collect();
        let sources: Vec<&ProbeRecord> = role(ProbeRole::Speciality).collect();
        let start = data.manifest.checkpoints.iter().find(|c| c.role == CheckpointRole::Pretrained)?;
        if targets.len() < 2 || sources.is_empty() {
            return None;
        }
        let level = data.manifest.suite.stats.confidence;
        let of = |variant| row(data, variant, &start.id, (&sources, &targets));
        let rows: Vec<Row> = data.variants_in_order().into_iter().filter_map(of).collect();
        let sure = format!("surely below {}", start.id);
        let columns = vec![
            Column::new("source").best(Best::Largest),
            Column::new("targets").best(Best::Largest),
            Column::new(format!("below {}", start.id)).short("below"),
            Column::new(sure).short("surely"),
        ];
        let names: Vec<&str> = targets.iter().map(|p| p.spec.id.as_str()).collect();
        Some(NumberTable {
            title: "Transfer in percent".to_owned(),
            keys: vec!["variant"],
            columns,
            rows,
            notes: vec![
                format!("Targets: mean of {}.", names.join(", ")),
                format!(
                    "Surely below: the {}% interval of the paired difference lies below 0.",
                    level * 100.0
                ),
            ],
        })
    }
}

/// A variant against the pretrained model; none where a score is missing.
fn row(
    data: &ReportData,
    variant: &str,
    start: &str,
    (sources, targets): (&[&ProbeRecord], &[&ProbeRecord]),
) -> Option<Row> {
    let level = data.manifest.suite.stats.confidence;
    let on = |variant: &str, probes: &[&ProbeRecord]| {
        probes.iter().map(|p| data.main(variant, p).map(Axis::of)).collect::<Option<Vec<Axis>>>()
    };
    let (own, first, source) = (on(variant, targets)?, on(start, targets)?, on(variant, sources)?);
    let below = own.iter().zip(&first).filter(|(a, b)| a.value < b.value).count();
    let surely = own.iter().zip(&first).filter(|(a, b)| {
        let difference = a.combine(b, |x, y| x - y);
        percentile(&difference.replicates, level).is_some_and(|i| i.high < 0.0)
    });
    let average = |all: &[Axis]| {
        let mean = Axis::mean(all);
        Cell::percent(mean.value, mean.interval(level))
    };
    let count = |n: usize| {
        let number = Cell::Number(Number::new(n as f64, Show::Of(targets.len())));
        if variant == start { Cell::Nothing } else { number }
    };
    Some(Row {
        keys: vec![Key::of_variant(data, variant)],
        origin: Some(data.origin(variant)),
        cells: vec![average(&source), average(&own), count(below), count(surely.count())],
    })
}
