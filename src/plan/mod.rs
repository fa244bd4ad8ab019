//! Turns a suite into work, without loading weights or images.
//!
//! The unit of results is the *cell* (variant x probe); the unit of work is the *pass* (one split of
//! one data set, all variants that read it the same way), so that each image is decoded once.

mod cell_inputs;
mod cells;
mod heads;
mod inputs;
mod passes;
mod probes;
mod references;
mod until;

pub use cell_inputs::CellInputs;
pub use cells::{Cell, Curve, CurvePoint, Variant, VariantInputs};
pub use heads::{Dropped, HeadRecord};
pub use inputs::CheckpointInfo;
pub use passes::{Pass, pass_name};
pub use probes::Probe;
pub use references::Reference;
pub use until::{EQUAL, Until};

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::fs::FileError;
use crate::base::hub::HubError;
use crate::catalog::{Catalog, CatalogError};
use crate::data::DataError;
use crate::metric::{METRICS, Metric};
use crate::model::{ModelError, Numerics};
use crate::suite::Suite;
use crate::train::Training;

/// Why a plan cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The registry cannot answer.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A data set cannot be opened.
    #[error("probe `{probe}`: {source}")]
    Data {
        /// The probe.
        probe: String,
        /// What is wrong.
        source: DataError,
    },
    /// A checkpoint cannot be opened.
    #[error("checkpoint `{checkpoint}`: {source}")]
    Model {
        /// The checkpoint.
        checkpoint: String,
        /// What is wrong.
        source: ModelError,
    },
    /// A checkpoint is neither in the working folder nor beside the suite.
    #[error("checkpoint `{checkpoint}`: {source}; nor is there `{}`, beside the suite", looked.display())]
    NotThere {
        /// The checkpoint.
        checkpoint: String,
        /// What is wrong.
        source: ModelError,
        /// Where else it was looked for.
        looked: PathBuf,
    },
    /// A checkpoint cannot be had from the hub.
    #[error("checkpoint `{checkpoint}`: {source}")]
    Hub {
        /// The checkpoint.
        checkpoint: String,
        /// What is wrong.
        source: HubError,
    },
    /// Files that the suite needs are not there.
    #[error("{}", missing_text(.0))]
    MissingData(Vec<MissingData>),
    /// The rule of `--until` does not fit.
    #[error("`--until` needs the metric top1 or top5, probe `{probe}` has `{metric}`")]
    Until {
        /// The probe.
        probe: String,
        /// Its metric.
        metric: String,
    },
    /// Several mistakes, each on its own line.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<PlanError>),
    /// A probe's task file cannot be used, or does not fit its documents.
    #[error("probe `{probe}`: {reason}")]
    Task {
        /// The probe.
        probe: String,
        /// What is wrong.
        reason: String,
    },
    /// A metric does not fit what a probe asks.
    #[error("probe `{probe}` cannot be measured by `{metric}`: {reason}")]
    Metric {
        /// The probe.
        probe: String,
        /// Its metric.
        metric: String,
        /// Why.
        reason: String,
    },
    /// A path weighs by what a checkpoint does not say.
    #[error(
        "checkpoint `{checkpoint}` has no Fisher information, by which `{merge}` weighs: write it with `save_fisher` in the \
         recipe (of a checkpoint as it is: with `steps = 0`) and name the file with `fisher`"
    )]
    NoImportance {
        /// The checkpoint.
        checkpoint: String,
        /// The path.
        merge: String,
    },
    /// A checkpoint cannot answer what a probe asks.
    #[error("checkpoint `{checkpoint}` cannot answer probe `{probe}`: {reason}")]
    CannotAnswer {
        /// The checkpoint.
        checkpoint: String,
        /// The probe.
        probe: String,
        /// Why.
        reason: String,
    },
    /// A probe has nothing to measure.
    #[error("probe `{0}` selects no example")]
    NoExamples(String),
    /// The ends of a sweep read images or texts differently.
    #[error("sweep to `{to}`: `{from}` and `{to}` differ in their {what}")]
    Ends {
        /// The pretrained end.
        from: String,
        /// The fine-tuned end.
        to: String,
        /// What differs.
        what: &'static str,
    },
}

/// A data set that is not on this machine.
#[derive(Clone, Debug)]
pub struct MissingData {
    /// The data set.
    pub dataset: String,
    /// The first file that is not there.
    pub path: String,
    /// How to get it.
    pub obtain: String,
}

fn missing_text(all: &[MissingData]) -> String {
    let lines = all.iter().map(|m| {
        let hint = if m.obtain.is_empty() { String::new() } else { format!("; {}", m.obtain) };
        format!("data set `{}` is missing: no `{}`{hint}", m.dataset, m.path)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What a suite amounts to.
pub struct Plan {
    /// The suite.
    pub suite: Suite,
    /// How numbers are computed.
    pub numerics: Numerics,
    /// Checkpoints by id.
    pub checkpoints: BTreeMap<String, CheckpointInfo>,
    /// Probes in the order of the suite.
    pub probes: Vec<Probe>,
    /// Everything that is evaluated, in order of first appearance.
    pub variants: Vec<Variant>,
    /// One curve per sweep and fine-tuned end.
    pub curves: Vec<Curve>,
    /// All cells, variant by variant.
    pub cells: Vec<Cell>,
    /// Published results to show beside ours.
    pub references: Vec<Reference>,
    /// When the run may stop before it has seen every example.
    pub until: Option<Until>,
}

impl Plan {
    /// Opens checkpoints (configuration and digests) and data (ids and labels), checks that all is
    /// there and fits, and lays out cells. `limit` caps every probe.
    pub fn new(
        suite: Suite,
        catalog: &Catalog,
        limit: Option<usize>,
        numerics: Numerics,
        until: Option<Until>,
    ) -> Result<Self, PlanError> {
        let checkpoints = inputs::open_checkpoints(&suite, catalog);
        Self::of(suite, catalog, checkpoints, limit, numerics, until)
    }

    /// As [`Plan::new`], with checkpoints that are open already.
    pub fn of(
        suite: Suite,
        catalog: &Catalog,
        checkpoints: Result<BTreeMap<String, CheckpointInfo>, PlanError>,
        limit: Option<usize>,
        numerics: Numerics,
        until: Option<Until>,
    ) -> Result<Self, PlanError> {
        let of_hits = |metric: &str| METRICS.get(metric).is_some_and(Metric::is_of_hits);
        if let (Some(_), Some(probe)) = (until, suite.probes.iter().find(|p| !of_hits(&p.metric))) {
            return Err(PlanError::Until { probe: probe.id.clone(), metric: probe.metric.clone() });
        }
        // Mistakes of data and of checkpoints are said together.
        let (probes, checkpoints) = match (probes::open_probes(&suite, catalog, limit), checkpoints) {
            (Ok(probes), Ok(checkpoints)) => (probes, checkpoints),
            (Err(data), Ok(_)) => return Err(data),
            (Ok(_), Err(models)) => return Err(models),
            (Err(data), Err(models)) => return Err(PlanError::Several(vec![data, models])),
        };
        for probe in &probes {
            let metric = METRICS.get(&probe.spec.metric).expect("the suite was validated");
            metric.fits(&*probe.task).map_err(|reason| PlanError::Metric {
                probe: probe.spec.id.clone(),
                metric: probe.spec.metric.clone(),
                reason,
            })?;
        }
        let (variants, curves) = cells::expand(&suite, &checkpoints, &probes)?;
        let cells = cells::cells(&suite, &variants, &probes, &checkpoints, &numerics, until);
        let references = match &suite.references {
            Some(path) => references::read(&catalog.find(path))?,
            None => Vec::new(),
        };
        Ok(Self { suite, numerics, checkpoints, probes, variants, curves, cells, references, until })
    }

    /// Ids of a cell's variant and probe.
    #[must_use]
    pub fn ids(&self, cell: &Cell) -> (&str, &str) {
        (&self.variants[cell.variant].id, &self.probes[cell.probe].spec.id)
    }

    /// A cell as `--only` and the manifest's timing name it: `variant/probe`.
    #[must_use]
    pub fn cell_name(&self, cell: &Cell) -> String {
        let (variant, probe) = self.ids(cell);
        format!("{variant}/{probe}")
    }

    /// Which head a cell's variant uses, if it uses one.
    #[must_use]
    pub fn head(&self, cell: &Cell) -> Option<HeadRecord> {
        let candidates = self.probes[cell.probe].task.candidates()?;
        let of = |id: &String| self.checkpoints[id].architecture.head_choice(candidates);
        Some(match &self.variants[cell.variant].inputs {
            VariantInputs::Checkpoint(id) => HeadRecord::single(&of(id)?),
            VariantInputs::Merged { from, to, head, .. } => HeadRecord::pair(&of(from)?, &of(to)?, *head),
        })
    }

    /// What is chosen for lack of something better, for `plan`, `run` and the report: data that are not all here,
    /// classifiers that are left aside, each checkpoint and probe once.
    #[must_use]
    pub fn fallbacks(&self) -> Vec<String> {
        let data = self
            .probes
            .iter()
            .filter_map(|p| Some(format!("probe `{}`: {}", p.spec.id, p.incomplete.as_ref()?)));
        data.chain(self.dropped_heads()).chain(self.trained_on()).collect()
    }

    /// Classifiers that are left aside; of those for the same reason on the same probe the first is named.
    fn dropped_heads(&self) -> Vec<String> {
        let mut all: Vec<(&str, String, Vec<&str>)> = Vec::new();
        for cell in &self.cells {
            let VariantInputs::Checkpoint(id) = &self.variants[cell.variant].inputs else { continue };
            let Some(dropped) = self.head(cell).and_then(|h| h.dropped) else { continue };
            let (probe, reason) = (self.probes[cell.probe].spec.id.as_str(), dropped.to_string());
            match all.iter_mut().find(|(p, r, _)| *p == probe && *r == reason) {
                Some((.., ids)) => ids.push(id),
                None => all.push((probe, reason, vec![id])),
            }
        }
        let text = |(probe, reason, ids): (&str, String, Vec<&str>)| {
            let more = if ids.len() > 1 { format!(" and {} more", ids.len() - 1) } else { String::new() };
            format!("`{}`{more} on probe `{probe}`: {reason}", ids[0])
        };
        all.into_iter().map(text).collect()
    }

    /// Probes whose very files some checkpoints say that they were trained on.
    fn trained_on(&self) -> Vec<String> {
        let said = |info: &CheckpointInfo| Training::of(info.architecture.path());
        let trainings: Vec<(&String, Training)> =
            self.checkpoints.iter().filter_map(|(id, info)| Some((id, said(info)?))).collect();
        let of = |probe: &Probe| {
            let digest = probe.data_digest.as_str();
            let learned = trainings.iter().filter(|(_, t)| t.data.iter().any(|d| d.digest == digest));
            let ids: Vec<String> = learned.map(|(id, _)| format!("`{id}`")).collect();
            let (first, rest) = ids.split_first()?;
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            Some(format!("probe `{}`: {first}{more} trained on these files", probe.spec.id))
        };
        self.probes.iter().filter_map(of).collect()
    }

    /// Groups the cells for which `wanted` says so into passes.
    #[must_use]
    pub fn passes(&self, wanted: impl Fn(&Cell) -> bool) -> Vec<Pass> {
        passes::group(self, wanted)
    }
}
