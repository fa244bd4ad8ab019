//! Racing: examples in random order, in rounds, until confidence sequences say enough.
//!
//! All variants of a pass see the same examples and stop together, so that every comparison stays paired; data sets
//! stop one by one. The sequences of all cells of the plan hold together at the suite's confidence (each at its
//! share of the error), at all times at once, so stopping where they are narrow keeps the guarantee.

use std::collections::BTreeMap;

use super::RunError;
use crate::metric::{Columns, METRICS};
use crate::plan::{EQUAL, Pass, Plan, Until, VariantInputs};
use crate::stats::{DifferenceSequence, Form, Interval, Sequence};
use crate::store::{Part, PartRow};
use crate::suite::CheckpointRole;

/// Examples per round.
pub const ROUND: usize = 256;

/// One cell of the race.
struct Lane {
    probe: usize,
    sequence: Sequence,
    /// The pretrained model's lane on the same probe and the sequence of differences to it.
    difference: Option<(usize, DifferenceSequence)>,
}

/// A pass that may stop early.
pub struct Race<'a> {
    plan: &'a Plan,
    until: Until,
    lanes: Vec<Lane>,
    /// Examples seen.
    pub seen: usize,
}

impl<'a> Race<'a> {
    /// The race of a pass; `None` if the plan has no rule.
    pub fn new(plan: &'a Plan, pass: &Pass) -> Option<Self> {
        let until = plan.until?;
        let level = 1.0 - (1.0 - plan.suite.stats.confidence) / plan.cells.len() as f64;
        let is_start = |variant: usize| match &plan.variants[variant].inputs {
            VariantInputs::Checkpoint(id) => plan.suite.checkpoint(id).role == CheckpointRole::Pretrained,
            VariantInputs::Merged { .. } => false,
        };
        let cells: Vec<_> = pass.cells.iter().map(|&c| &plan.cells[c]).collect();
        let mut lanes = Vec::new();
        for cell in &cells {
            let start = cells.iter().position(|c| c.probe == cell.probe && is_start(c.variant));
            let start = start.filter(|_| !is_start(cell.variant));
            let difference = start.map(|lane| (lane, DifferenceSequence::new(level)));
            lanes.push(Lane { probe: cell.probe, sequence: Sequence::new(level), difference });
        }
        Some(Self { plan, until, lanes, seen: 0 })
    }

    /// Takes a finished round: `order` holds its positions in the order of the race.
    pub fn take(&mut self, path: &std::path::Path, order: &[usize]) -> Result<(), RunError> {
        let mut hits: Vec<BTreeMap<usize, f64>> = Vec::with_capacity(self.lanes.len());
        for (number, lane) in self.lanes.iter().enumerate() {
            let probe = &self.plan.probes[lane.probe];
            let rows = Part::read(path, number as u32)?;
            let label = |row: &PartRow| probe.target(row.position as usize);
            let columns = Columns {
                label: rows.iter().map(label).collect(),
                prediction: rows.iter().map(|r| r.judged.choice.prediction).collect(),
                in_top5: rows.iter().map(|r| r.judged.choice.top_classes.contains(&label(r))).collect(),
                loss: rows.iter().map(|r| r.judged.choice.loss).collect(),
                confidence: rows.iter().map(|r| f64::from(r.judged.choice.score)).collect(),
                classes: probe.task.outputs().len(),
                numbers: BTreeMap::new(),
            };
            // The plan has made sure that the metric is a mean of hits.
            let form = METRICS.get(&probe.spec.metric).and_then(|m| m.form(&columns));
            let values = if let Some(Form::Mean(values)) = form { values } else { Vec::new() };
            hits.push(rows.iter().map(|r| r.position as usize).zip(values).collect());
        }
        for position in order {
            for (number, lane) in self.lanes.iter_mut().enumerate() {
                let Some(hit) = hits[number].get(position) else { continue };
                lane.sequence.push(*hit);
                if let Some((start, sequence)) = &mut lane.difference
                    && let Some(before) = hits[*start].get(position)
                {
                    sequence.push(hit - before);
                }
            }
        }
        self.seen += order.len();
        Ok(())
    }

    /// Whether the rule is satisfied.
    pub fn enough(&self) -> bool {
        self.lanes.iter().all(|lane| match self.until {
            Until::Width(width) => lane.sequence.interval().half_width() <= width,
            Until::Decided => lane.difference.as_ref().is_none_or(|(_, sequence)| {
                let i = sequence.interval();
                i.low > 0.0 || i.high < 0.0 || (i.low >= -EQUAL && i.high <= EQUAL)
            }),
        })
    }

    /// The interval of each cell of the pass.
    pub fn intervals(&self) -> Vec<Interval> {
        self.lanes.iter().map(|l| l.sequence.interval()).collect()
    }
}
