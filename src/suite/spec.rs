//! A validated suite.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::data::ClassSubset;
use crate::merge::CombineSettings;
use crate::stats::Aggregate;

/// The family of models that a suite is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Track {
    /// Image-text models.
    #[default]
    Clip,
    /// Language models.
    Lm,
}

/// What a checkpoint is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckpointRole {
    /// The foundation model.
    Pretrained,
    /// Made from it.
    Finetuned,
}

/// What a probe measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeRole {
    /// What the fine-tuning was for.
    Speciality,
    /// What it may have cost.
    Generality,
    /// Used to choose alpha, never reported as a result.
    Selection,
}

impl ProbeRole {
    /// Names used in suite files.
    pub const CHOICES: [(&str, Self); 3] =
        [("speciality", Self::Speciality), ("generality", Self::Generality), ("selection", Self::Selection)];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Speciality => "speciality",
            Self::Generality => "generality",
            Self::Selection => "selection",
        }
    }
}

/// Which head the variants of a curve use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadRule {
    /// Interpolated like the other weights.
    #[default]
    Interpolate,
    /// The pretrained end's.
    From,
    /// The fine-tuned end's.
    To,
}

/// What happens when an image cannot be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorruptPolicy {
    /// The run stops and names it.
    #[default]
    Fail,
    /// It is left out for every variant, named and counted in the manifest.
    Skip,
}

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointSpec {
    /// Its name.
    pub id: String,
    /// What it is.
    pub role: CheckpointRole,
    /// How it was made; shown in tables and legends.
    pub method: Option<String>,
    /// Folder, file, or `hf:owner/name@revision`, as written in the suite; of a combination, what it is made of.
    pub source: String,
    /// What it is combined from, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combine: Option<CombineSpec>,
    /// Id of the checkpoint that gives what this one does not hold (adapters, heads, learned context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Id of the checkpoint whose texts make its head, if not its own (PromptKD).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_of: Option<String>,
    /// File with the class names of the head's rows, relative to the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<String>,
    /// File with its Fisher information, or the folder that holds one; the one beside its weights, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fisher: Option<String>,
    /// File with the products of the inputs of its linear layers, or the folder that holds one; as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gram: Option<String>,
    /// Training seed; checkpoints of one method that differ only in it are averaged in tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Globs of the probes that it is evaluated on; all if empty. A curve has those of its fine-tuned end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<String>,
}

/// A checkpoint that is combined from others, and never written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CombineSpec {
    /// Name of a registered combination.
    pub merge: String,
    /// Ids of the checkpoints that are combined.
    pub of: Vec<String>,
    /// The selection probe that decides which of them are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// Its settings.
    #[serde(flatten)]
    pub settings: CombineSettings,
}

impl CheckpointSpec {
    /// Whether the checkpoint is evaluated on a probe.
    #[must_use]
    pub fn covers(&self, probe: &str) -> bool {
        matches_any(&self.probes, probe)
    }
}

/// One sweep: a curve for each of `to`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepSpec {
    /// Name of the curve (of each of its curves, before the fine-tuned end's), if the suite gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of a registered path.
    pub merge: String,
    /// The pretrained end.
    pub from: String,
    /// The fine-tuned ends.
    pub to: Vec<String>,
    /// Weights of the fine-tuned model, ascending.
    pub alphas: Vec<f64>,
    /// Only tensors that match take part, if given.
    pub include: Vec<String>,
    /// Tensors that match do not take part.
    pub exclude: Vec<String>,
    /// Which head is used.
    pub head: HeadRule,
    /// Parts that go different lengths of the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupSpec>,
}

/// Tensors that go further, or less far, than others; see [`crate::merge::Groups`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupSpec {
    /// Globs of their names.
    pub tensors: Vec<String>,
    /// How far they go beside the other groups.
    pub weight: f64,
}

impl SweepSpec {
    /// Id of the curve to one of the ends; its points are `<id>@<alpha>`. It names the merge, so that sweeps by several
    /// methods to one checkpoint are apart; WiSE-FT's is the checkpoint's own.
    #[must_use]
    pub fn curve(&self, to: &str) -> String {
        match &self.name {
            Some(name) if self.to.len() == 1 => name.clone(),
            Some(name) => format!("{name}+{to}"),
            None if self.merge == "wise-ft" => to.to_owned(),
            None => format!("{to}+{}", self.merge),
        }
    }
}

/// One probe: a data set, a set of classes, a metric, a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeSpec {
    /// Its name.
    pub id: String,
    /// Key of `datasets.toml`.
    pub dataset: String,
    /// Split of the data set.
    pub split: String,
    /// What it measures.
    pub role: ProbeRole,
    /// Free label for grouping in tables.
    pub group: String,
    /// Name of a registered metric.
    pub metric: String,
    /// Which classes the head has and which examples are used.
    pub classes: ClassSubset,
    /// Use only the first examples of the selection.
    pub limit: Option<usize>,
    /// Templates file that replaces the data set's.
    pub templates: Option<String>,
    /// Which examples belong together: `folder` (ids up to the last `/`), or a column of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What is done to every image before the model reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corruption: Option<CorruptionSpec>,
    /// What a language model is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskSpec>,
}

/// A task file and how its prompts are put together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Its name among the tasks of the registry, or a path.
    pub file: String,
    /// Few-shot examples, if not as many as the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub few_shot: Option<usize>,
    /// Whether prompts are conversations in the checkpoint's chat template.
    #[serde(default)]
    pub chat: bool,
    /// Instructions before everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Whether few-shot examples are drawn as lm-eval draws them.
    #[serde(default)]
    pub parity: bool,
}

/// A corruption at a severity; `name:severity` in suite files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorruptionSpec {
    /// Name of a registered corruption.
    pub name: String,
    /// 1 to 5.
    pub severity: usize,
}

/// How numbers are computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatsSpec {
    /// Level of all intervals.
    pub confidence: f64,
    /// Bootstrap replicates.
    pub resamples: usize,
    /// Seed of all resampling.
    pub seed: u64,
    /// Interval of metrics that are no proportions.
    #[serde(default)]
    pub interval: IntervalMethod,
}

/// How an interval is made from bootstrap replicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IntervalMethod {
    /// Their percentiles.
    #[default]
    Percentile,
    /// Bias-corrected and accelerated.
    Bca,
}

/// A property of whole curves that the gate may watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CurveGate {
    /// The area that the curve dominates.
    Hypervolume,
    /// Generality at the speciality of the baseline's points.
    GeneralityAtEqualSpeciality,
}

/// What `specbench check` fails on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateSpec {
    /// Falls up to this fraction pass.
    pub tolerance: f64,
    /// Chance of any false alarm on unchanged models.
    pub significance: f64,
    /// Globs of the gated probes; all but selection probes if empty.
    pub probes: Vec<String>,
    /// Gated properties of curves.
    pub curves: Vec<CurveGate>,
}

impl Default for GateSpec {
    fn default() -> Self {
        Self {
            tolerance: 0.01,
            significance: 0.05,
            probes: Vec::new(),
            curves: vec![CurveGate::Hypervolume, CurveGate::GeneralityAtEqualSpeciality],
        }
    }
}

impl GateSpec {
    /// Bounds of the tolerance.
    pub const TOLERANCE: RangeInclusive<f64> = 0.0..=1.0;
    /// Bounds of the significance.
    pub const SIGNIFICANCE: RangeInclusive<f64> = 0.000_001..=0.5;

    /// Whether a probe is gated.
    #[must_use]
    pub fn covers(&self, probe: &str) -> bool {
        matches_any(&self.probes, probe)
    }
}

/// Whether a name matches one of some globs, or there are none.
fn matches_any(globs: &[String], name: &str) -> bool {
    globs.is_empty() || globs.iter().any(|g| glob::Pattern::new(g).is_ok_and(|g| g.matches(name)))
}

/// A validated suite.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Name; becomes the results folder.
    pub name: String,
    /// Family of models.
    pub track: Track,
    /// What it is about.
    pub description: String,
    /// What happens with corrupt images.
    pub corrupt: CorruptPolicy,
    /// Pixels that an image may have at most; more counts as corrupt.
    pub most_pixels: u64,
    /// Checkpoints.
    pub checkpoints: Vec<CheckpointSpec>,
    /// Sweeps.
    pub sweeps: Vec<SweepSpec>,
    /// Probes.
    pub probes: Vec<ProbeSpec>,
    /// Speciality probes to one number.
    pub speciality: Aggregate,
    /// Generality probes to one number.
    pub generality: Aggregate,
    /// Statistics.
    pub stats: StatsSpec,
    /// What the gate fails on.
    pub gate: GateSpec,
    /// File with published results, relative to the registry.
    pub references: Option<PathBuf>,
}

impl Suite {
    /// Digest of the suite's text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_bytes(self.text.as_bytes())
    }

    /// A checkpoint by id. The id must be one of the suite's.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn checkpoint(&self, id: &str) -> &CheckpointSpec {
        self.checkpoints.iter().find(|c| c.id == id).expect("validated id")
    }
}
