//! Variants, curves and cells, with the digest of everything that a cell depends on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cell_inputs::CellInputs;
use super::inputs::CheckpointInfo;
use super::probes::Probe;
use super::{PlanError, Until};
use crate::base::digest::Digest;
use crate::image::DECODER;
use crate::merge::{Beside, PATHS, PathMethod};
use crate::model::Numerics;
use crate::suite::{CheckpointRole, GroupSpec, HeadRule, Suite, SweepSpec};
use crate::task::Candidates;

/// Raised whenever the same inputs would give other predictions.
const EVALUATION_VERSION: u32 = 3;

/// What a variant is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VariantInputs {
    /// A checkpoint as it is.
    Checkpoint(String),
    /// A point on a curve.
    Merged {
        /// Name of the merge method.
        merge: String,
        /// The pretrained end.
        from: String,
        /// The fine-tuned end.
        to: String,
        /// Weight of the fine-tuned end.
        alpha: f64,
        /// Tensors that take part, if not all.
        include: Vec<String>,
        /// Tensors that do not.
        exclude: Vec<String>,
        /// Which head is used.
        head: HeadRule,
        /// Parts that go different lengths of the way.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        groups: Vec<GroupSpec>,
    },
}

/// One model that is evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Name; becomes a folder: a checkpoint's id, or `<curve id>@<alpha>`.
    pub id: String,
    /// What it is made of.
    pub inputs: VariantInputs,
}

/// One point of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Weight of the fine-tuned end.
    pub alpha: f64,
    /// The variant at this point.
    pub variant: String,
}

/// The path from a pretrained to a fine-tuned checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Its name: the fine-tuned end's id, unless several sweeps lead there.
    pub id: String,
    /// Name of the path.
    pub merge: String,
    /// The pretrained end.
    pub from: String,
    /// The fine-tuned end.
    pub to: String,
    /// How the fine-tuned end was made.
    pub method: String,
    /// Points by ascending alpha.
    pub points: Vec<CurvePoint>,
}

/// One (variant, probe) pair.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Index of the variant.
    pub variant: usize,
    /// Index of the probe.
    pub probe: usize,
    /// Digest of everything that the predictions depend on.
    pub fingerprint: Digest,
    /// Its parts.
    pub inputs: CellInputs,
}

pub(super) fn expand(
    suite: &Suite,
    checkpoints: &BTreeMap<String, CheckpointInfo>,
    probes: &[Probe],
) -> Result<(Vec<Variant>, Vec<Curve>), PlanError> {
    let mut variants: Vec<Variant> = suite
        .checkpoints
        .iter()
        .map(|c| Variant { id: c.id.clone(), inputs: VariantInputs::Checkpoint(c.id.clone()) })
        .collect();
    let asked: Vec<&Candidates> = probes.iter().filter_map(|p| p.task.candidates().map(|c| &**c)).collect();
    for (checkpoint, info) in checkpoints {
        for probe in probes.iter().filter(|p| suite.checkpoint(checkpoint).covers(&p.spec.id)) {
            info.architecture.can(probe.task.asks()).map_err(|reason| PlanError::CannotAnswer {
                checkpoint: checkpoint.clone(),
                probe: probe.spec.id.clone(),
                reason,
            })?;
        }
    }
    let mut curves = Vec::new();
    for sweep in &suite.sweeps {
        for to in &sweep.to {
            let (a, b) = (&checkpoints[&sweep.from].architecture, &checkpoints[to].architecture);
            let wrap = |source| PlanError::Model { checkpoint: to.clone(), source };
            if let Some(what) = a.differs_from(&**b, &asked).map_err(wrap)? {
                return Err(PlanError::Ends { from: sweep.from.clone(), to: to.clone(), what });
            }
            answers_with_scores(sweep, to, probes, suite)?;
            has_importance(sweep, to, checkpoints)?;
            curves.push(curve(suite, sweep, to, &mut variants));
        }
    }
    Ok((variants, curves))
}

/// Outputs are combined where they are scores of candidates.
fn answers_with_scores(
    sweep: &SweepSpec,
    to: &str,
    probes: &[Probe],
    suite: &Suite,
) -> Result<(), PlanError> {
    if !PATHS.get(&sweep.merge).is_some_and(PathMethod::of_outputs) {
        return Ok(());
    }
    let covered = |p: &&Probe| suite.checkpoint(to).covers(&p.spec.id) && p.task.candidates().is_none();
    match probes.iter().find(covered) {
        Some(probe) => Err(PlanError::CannotAnswer {
            checkpoint: to.to_owned(),
            probe: probe.spec.id.clone(),
            reason: format!(
                "`{}` averages the scores that a head gives to candidates; this probe has no head",
                sweep.merge
            ),
        }),
        None => Ok(()),
    }
}

/// What is weighed by Fisher information has it at both ends.
fn has_importance(
    sweep: &SweepSpec,
    to: &str,
    checkpoints: &BTreeMap<String, CheckpointInfo>,
) -> Result<(), PlanError> {
    if !PATHS.get(&sweep.merge).is_some_and(PathMethod::weighs) {
        return Ok(());
    }
    match [sweep.from.as_str(), to]
        .into_iter()
        .find(|id| !checkpoints[*id].beside.contains_key(&Beside::Fisher))
    {
        Some(id) => Err(PlanError::NoImportance { checkpoint: id.to_owned(), merge: sweep.merge.clone() }),
        None => Ok(()),
    }
}

/// The points of one curve; both ends are always on it. An end is the checkpoint itself, unless a
/// filter or head rule makes it something else.
fn curve(suite: &Suite, sweep: &SweepSpec, to: &str, variants: &mut Vec<Variant>) -> Curve {
    let filtered = !sweep.include.is_empty() || !sweep.exclude.is_empty();
    let start_is_plain = sweep.head != HeadRule::To;
    let end_is_plain = sweep.head != HeadRule::From && !filtered;
    let mut alphas = sweep.alphas.clone();
    alphas.extend([0.0, 1.0]);
    alphas.sort_by(f64::total_cmp);
    alphas.dedup();
    let points = alphas
        .into_iter()
        .map(|alpha| {
            let variant = if alpha == 0.0 && start_is_plain {
                sweep.from.clone()
            } else if alpha == 1.0 && end_is_plain {
                to.to_owned()
            } else {
                let id = format!("{}@{alpha}", sweep.curve(to));
                let inputs = VariantInputs::Merged {
                    merge: sweep.merge.clone(),
                    from: sweep.from.clone(),
                    to: to.to_owned(),
                    alpha,
                    include: sweep.include.clone(),
                    exclude: sweep.exclude.clone(),
                    head: sweep.head,
                    groups: sweep.groups.clone(),
                };
                variants.push(Variant { id: id.clone(), inputs });
                id
            };
            CurvePoint { alpha, variant }
        })
        .collect();
    Curve {
        id: sweep.curve(to),
        merge: sweep.merge.clone(),
        from: sweep.from.clone(),
        to: to.to_owned(),
        method: method(suite, sweep, to),
        points,
    }
}

/// How the fine-tuned end of a curve was made, and from what the way goes if not from the pretrained model: another way is
/// another method.
fn method(suite: &Suite, sweep: &SweepSpec, to: &str) -> String {
    let of = |id: &str| suite.checkpoint(id).method.clone().unwrap_or_else(|| "fine-tuned".to_owned());
    match suite.checkpoint(&sweep.from).role {
        CheckpointRole::Pretrained => of(to),
        CheckpointRole::Finetuned => format!("{} from {}", of(to), of(&sweep.from)),
    }
}

pub(super) fn cells(
    suite: &Suite,
    variants: &[Variant],
    probes: &[Probe],
    checkpoints: &BTreeMap<String, CheckpointInfo>,
    numerics: &Numerics,
    until: Option<Until>,
) -> Vec<Cell> {
    let digest = |id: &str| checkpoints[id].digest.as_str().to_owned();
    let positions: Vec<Digest> = probes.iter().map(|p| Digest::of_value(&p.positions)).collect();
    // Which of several equal devices it is changes nothing.
    let device = numerics.device.split(':').next().unwrap_or_default().to_owned();
    let kind = Numerics { dtype: numerics.dtype.clone(), device };
    let mut all = Vec::with_capacity(variants.len() * probes.len());
    for (v, variant) in variants.iter().enumerate() {
        let mut inputs = variant.inputs.clone();
        let tuned = match &inputs {
            VariantInputs::Checkpoint(id) | VariantInputs::Merged { to: id, .. } => suite.checkpoint(id),
        };
        // Ids stand for digests here: renaming a checkpoint changes no prediction.
        let info = match &mut inputs {
            VariantInputs::Checkpoint(id) => {
                let info = &checkpoints[id.as_str()];
                *id = digest(id);
                info
            }
            VariantInputs::Merged { from, to, merge, .. } => {
                let info = &checkpoints[from.as_str()];
                let weighs = PATHS.get(merge).is_some_and(PathMethod::weighs);
                let end = |id: &str| match checkpoints[id].beside.get(&Beside::Fisher).filter(|_| weighs) {
                    Some(importance) => format!("{} weighed by {}", digest(id), importance.digest),
                    None => digest(id),
                };
                (*from, *to) = (end(from), end(to));
                info
            }
        };
        let weights = Digest::of_value(&inputs);
        let read = info.architecture.reader().digest();
        for (p, probe) in probes.iter().enumerate().filter(|(_, p)| tuned.covers(&p.spec.id)) {
            let mut inputs = CellInputs::new(EVALUATION_VERSION);
            inputs.add("data", &probe.data_digest);
            inputs.add("examples", &positions[p]);
            for (name, digest) in probe.task.inputs() {
                inputs.add(name, &digest);
            }
            inputs.add("border", &probe.border);
            inputs.add("corruption", &probe.spec.corruption);
            inputs.add("weights", &weights);
            inputs.add("tokenizer", &info.tokenizer);
            inputs.add("preprocessing", &read);
            inputs.add("decoder", DECODER);
            inputs.add("device and type", &kind);
            // A race that stopped early has other examples.
            inputs.add("stopping rule", &until.map(|u| format!("{u}, order {}", suite.stats.seed)));
            all.push(Cell { variant: v, probe: p, fingerprint: inputs.fingerprint(), inputs });
        }
    }
    all
}
