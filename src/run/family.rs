//! Variants that share ends: the models of one curve, or a checkpoint alone.

use std::sync::Arc;

use super::placement::Placement;
use super::{RunError, RunOptions};
use crate::checkpoint::Tensors;
use crate::merge::{Ends, MERGES, MergeMethod, TensorFilter};
use crate::model::clip::{ClipConfig, Kernels, VisionTower};
use crate::model::{CheckpointFolder, ModelError};
use crate::plan::{Curve, Plan, VariantInputs};
use crate::suite::HeadRule;

/// One variant of a family.
pub struct Member {
    /// Index of the variant in the plan.
    pub variant: usize,
    /// Weight of the fine-tuned end.
    pub alpha: f64,
}

/// Where a family's weights come from.
pub enum Source {
    /// One checkpoint.
    Single {
        /// Its folder.
        folder: Arc<CheckpointFolder>,
        /// Its weights.
        tensors: Tensors,
    },
    /// Two ends.
    Pair {
        /// The pretrained end's folder.
        from: Arc<CheckpointFolder>,
        /// The fine-tuned end's folder.
        to: Arc<CheckpointFolder>,
        /// Their weights.
        ends: Ends,
        /// How they are combined.
        method: &'static dyn MergeMethod,
        /// Which head is used.
        head: HeadRule,
    },
}

/// Variants that are evaluated together.
pub struct Family {
    /// Where the weights come from.
    pub source: Source,
    /// The variants.
    pub members: Vec<Member>,
    /// Leading stages of the image tower that all members share.
    pub shared: usize,
}

impl Family {
    /// Shapes and hyper-parameters of all members.
    pub fn config(&self) -> &ClipConfig {
        match &self.source {
            Source::Single { folder, .. } | Source::Pair { from: folder, .. } => &folder.config,
        }
    }

    /// The image tower of one member.
    pub fn tower(&self, member: &Member, placement: &Placement) -> Result<VisionTower, RunError> {
        let wrap = |e| RunError::from(ModelError::compute("image tower")(e));
        match &self.source {
            Source::Single { folder, tensors } => {
                let tensors = placement.tower(tensors)?;
                VisionTower::new(&folder.config, &tensors, Kernels::Inference).map_err(wrap)
            }
            Source::Pair { from, ends, method, .. } => {
                let tensors = placement.tower(&ends.at(*method, member.alpha)?)?;
                VisionTower::new(&from.config, &tensors, Kernels::Inference).map_err(wrap)
            }
        }
    }

    /// Bytes that one member's own weights take.
    pub fn bytes_per_member(&self, placement: &Placement) -> usize {
        match &self.source {
            Source::Single { .. } => 0,
            Source::Pair { ends, .. } => ends.interpolated_values() * placement.bytes(),
        }
    }
}

/// Families in memory, for all passes that evaluate the same variants.
pub struct Loaded {
    /// Indices of the variants, ascending.
    pub variants: Vec<usize>,
    /// The families.
    pub families: Vec<Family>,
    /// Towers of families that stay in memory, member by member.
    pub resident: Vec<Option<Vec<VisionTower>>>,
}

impl Loaded {
    /// Loads the weights of some variants, and forms as many towers as the options' memory holds.
    pub fn new(
        plan: &Plan,
        options: &RunOptions,
        placement: &Placement,
        variants: Vec<usize>,
    ) -> Result<Self, RunError> {
        let families = families(plan, &variants, options.share)?;
        let mut budget = options.memory;
        let resident = families
            .iter()
            .map(|family| {
                let bytes = family.bytes_per_member(placement) * family.members.len();
                if bytes > budget {
                    return Ok(None);
                }
                budget -= bytes;
                family.members.iter().map(|m| family.tower(m, placement)).collect::<Result<_, _>>().map(Some)
            })
            .collect::<Result<Vec<_>, RunError>>()?;
        Ok(Self { variants, families, resident })
    }
}

/// Groups the wanted variants of a plan into families and loads their weights. Each variant is in
/// one family; the ends of a curve are evaluated with it.
fn families(plan: &Plan, wanted: &[usize], share: bool) -> Result<Vec<Family>, RunError> {
    let mut left: Vec<usize> = wanted.to_vec();
    let mut all = Vec::new();
    for curve in &plan.curves {
        let members: Vec<Member> = curve
            .points
            .iter()
            .filter_map(|point| {
                let place = left.iter().position(|&v| plan.variants[v].id == point.variant)?;
                Some(Member { variant: left.remove(place), alpha: point.alpha })
            })
            .collect();
        if !members.is_empty() {
            all.push(pair(plan, curve, members, share)?);
        }
    }
    for variant in left {
        let VariantInputs::Checkpoint(id) = &plan.variants[variant].inputs else { continue };
        let folder = Arc::clone(&plan.checkpoints[id].folder);
        let tensors = folder.weights.load_all()?;
        let members = vec![Member { variant, alpha: 0.0 }];
        all.push(Family { source: Source::Single { folder, tensors }, members, shared: 0 });
    }
    Ok(all)
}

fn pair(plan: &Plan, curve: &Curve, members: Vec<Member>, share: bool) -> Result<Family, RunError> {
    let rules = curve.points.iter().find_map(|point| {
        let variant = plan.variants.iter().find(|v| v.id == point.variant)?;
        match &variant.inputs {
            VariantInputs::Merged { include, exclude, head, .. } => Some((include, exclude, *head)),
            VariantInputs::Checkpoint(_) => None,
        }
    });
    let (filter, head) = match rules {
        Some((include, exclude, head)) => {
            let compile = |list: &[String]| list.iter().filter_map(|p| glob::Pattern::new(p).ok()).collect();
            (TensorFilter { include: compile(include), exclude: compile(exclude) }, head)
        }
        None => (TensorFilter::default(), HeadRule::Interpolate),
    };
    let from = Arc::clone(&plan.checkpoints[&curve.from].folder);
    let to = Arc::clone(&plan.checkpoints[&curve.to].folder);
    let ends = Ends::load(&from.weights, &to.weights, &filter, CheckpointFolder::is_head)?;
    let stage = |name: &str| VisionTower::stage_of(&from.config, name);
    let stages = VisionTower::stages(&from.config);
    let shared = (0..stages).take_while(|&s| ends.shares(|name| stage(name) == Some(s))).count();
    let method = MERGES.get(&curve.merge).expect("the suite was validated");
    Ok(Family {
        source: Source::Pair { from, to, ends, method, head },
        members,
        shared: if share { shared } else { 0 },
    })
}
