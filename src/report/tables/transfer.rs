//! How a fine-tuned model does on data that it was not tuned for, against the model it comes from.

use super::{Grid, TableSpec, percent};
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
    fn build(&self, data: &ReportData) -> Option<Grid> {
        let role = |role| data.manifest.probes.iter().filter(move |p| p.spec.role == role);
        let targets: Vec<&ProbeRecord> = role(ProbeRole::Generality).collect();
        let sources: Vec<&ProbeRecord> = role(ProbeRole::Speciality).collect();
        let start = data.manifest.checkpoints.iter().find(|c| c.role == CheckpointRole::Pretrained)?;
        if targets.len() < 2 || sources.is_empty() {
            return None;
        }
        let level = data.manifest.suite.stats.confidence;
        let n = targets.len();
        let rows: Vec<Vec<String>> = data
            .variants_in_order()
            .into_iter()
            .filter_map(|variant| {
                let own = targets
                    .iter()
                    .map(|p| data.main(variant, p).map(Axis::of))
                    .collect::<Option<Vec<_>>>()?;
                let first = targets
                    .iter()
                    .map(|p| data.main(&start.id, p).map(Axis::of))
                    .collect::<Option<Vec<_>>>()?;
                let source = sources
                    .iter()
                    .map(|p| data.main(variant, p).map(Axis::of))
                    .collect::<Option<Vec<_>>>()?;
                let below = own.iter().zip(&first).filter(|(a, b)| a.value < b.value).count();
                let surely = own.iter().zip(&first).filter(|(a, b)| {
                    let difference = a.combine(b, |x, y| x - y);
                    percentile(&difference.replicates, level).is_some_and(|i| i.high < 0.0)
                });
                let (source, target) = (Axis::mean(&source), Axis::mean(&own));
                let counts = if variant == start.id {
                    ["-".to_owned(), "-".to_owned()]
                } else {
                    [format!("{below} of {n}"), format!("{} of {n}", surely.count())]
                };
                let mut row = vec![
                    data.label(variant),
                    percent(source.value, source.interval(level)),
                    percent(target.value, target.interval(level)),
                ];
                row.extend(counts);
                Some(row)
            })
            .collect();
        let sure = format!("surely below {}", start.id);
        let headers = ["variant", "source", "targets", &format!("below {}", start.id), &sure];
        let names: Vec<&str> = targets.iter().map(|p| p.spec.id.as_str()).collect();
        Some(Grid {
            title: "Transfer in percent".to_owned(),
            headers: headers.map(str::to_owned).to_vec(),
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
