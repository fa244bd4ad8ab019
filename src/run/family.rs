//! Variants that share ends: the models of one curve, or a checkpoint alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::{RunError, RunOptions};
use crate::checkpoint::{Budget, Cached, Weights as _, With};
use crate::merge::{Beside, Ends, Groups, PATHS, PathMethod, TensorFilter};
use crate::model::{Architecture, Model, ModelError, Placement};
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
pub enum Origin {
    /// One checkpoint.
    Single {
        /// Its architecture.
        architecture: Arc<dyn Architecture>,
        /// Its weights.
        weights: Arc<Cached>,
    },
    /// Two ends.
    Pair {
        /// The pretrained end.
        from: Arc<dyn Architecture>,
        /// The fine-tuned end.
        to: Arc<dyn Architecture>,
        /// Their weights.
        ends: Ends,
        /// How they are combined.
        path: &'static dyn PathMethod,
        /// Which head is used.
        head: HeadRule,
    },
    /// Two ends whose answers are combined, and not their weights: they need not hold the same tensors.
    Ensemble {
        /// The pretrained and the fine-tuned end, with their weights.
        ends: [(Arc<dyn Architecture>, Arc<Cached>); 2],
        /// How they are combined.
        path: &'static dyn PathMethod,
    },
}

/// Variants that are evaluated together.
pub struct Family {
    /// Where the weights come from.
    pub source: Origin,
    /// The variants.
    pub members: Vec<Member>,
    /// Leading stages that all members share.
    pub shared: usize,
}

impl Family {
    /// The curve's path, if what both ends answer is combined, and not their weights.
    pub fn of_outputs(&self) -> Option<&'static dyn PathMethod> {
        match &self.source {
            Origin::Ensemble { path, .. } => Some(*path),
            _ => None,
        }
    }

    /// The architecture of all members.
    pub fn architecture(&self) -> &dyn Architecture {
        match &self.source {
            Origin::Single { architecture, .. }
            | Origin::Pair { from: architecture, .. }
            | Origin::Ensemble { ends: [(architecture, _), _], .. } => &**architecture,
        }
    }

    /// The model of one member.
    pub fn model(&self, member: &Member, placement: &Placement) -> Result<Box<dyn Model>, RunError> {
        let model = match &self.source {
            Origin::Single { architecture, weights } => architecture.build(&**weights, placement),
            Origin::Pair { from, ends, path, .. } => from.build(&ends.at(*path, member.alpha), placement),
            Origin::Ensemble { .. } => {
                Err(ModelError::Unlike("a member of an ensemble is no model".to_owned()))
            }
        };
        Ok(model?)
    }

    /// Bytes that one member's own weights take.
    pub fn bytes_per_member(&self, placement: &Placement) -> usize {
        match &self.source {
            Origin::Single { .. } => 0,
            Origin::Pair { from, ends, .. } => {
                ends.interpolated_values(|name| from.stage_of(name).is_some()) * placement.bytes()
            }
            Origin::Ensemble { ends: [_, (to, weights)], .. } => {
                let own = |name: &&str| to.stage_of(name).is_some_and(|stage| stage >= self.shared);
                let size = |name: &str| weights.info(name).map_or(0, |i| i.shape.iter().product::<usize>());
                weights.floats().into_iter().filter(own).map(size).sum::<usize>() * placement.bytes()
            }
        }
    }

    /// How many models may be in memory at a time; their bytes are taken from the budget. One always may.
    fn fitting(&self, placement: &Placement, budget: &Budget) -> usize {
        let bytes = self.bytes_per_member(placement);
        if self.of_outputs().is_some() {
            budget.take(2 * bytes);
            return self.members.len();
        }
        (1..=self.members.len()).rev().find(|n| budget.take(n * bytes)).unwrap_or(1)
    }
}

/// Families in memory, for all passes that evaluate the same variants.
pub struct Loaded {
    /// Indices of the variants, ascending.
    pub variants: Vec<usize>,
    /// The families.
    pub families: Vec<Family>,
    /// The models of each family.
    pub models: Vec<Models>,
}

/// The models of a family.
pub enum Models {
    /// All stay in memory, member by member.
    Resident(Vec<Box<dyn Model>>),
    /// So many are formed at a time.
    AtOnce(usize),
    /// Both ends, whose answers are combined.
    Ensemble(Vec<Box<dyn Model>>),
}

impl Loaded {
    /// Opens the weights of some variants, and forms as many models as the options' memory holds.
    pub fn new(
        plan: &Plan,
        options: &RunOptions,
        placement: &Placement,
        variants: Vec<usize>,
    ) -> Result<Self, RunError> {
        // Everything that is held comes out of one budget: models first, then the ends as they are loaded.
        let budget = Budget::new(options.memory);
        let mut ends: BTreeMap<String, Arc<Cached>> = BTreeMap::new();
        let mut held = |id: &str| {
            let weights =
                || Cached::new(Arc::clone(plan.checkpoints[id].architecture.weights()), Arc::clone(&budget));
            Arc::clone(ends.entry(id.to_owned()).or_insert_with(weights))
        };
        let families = families(plan, &variants, options.share, &mut held)?;
        let at_once: Vec<usize> = families.iter().map(|f| f.fitting(placement, &budget)).collect();
        let models = families.iter().zip(at_once).map(|(family, at_once)| {
            if let Origin::Ensemble { ends, .. } = &family.source {
                let end = |(architecture, weights): &(Arc<dyn Architecture>, Arc<Cached>)| {
                    Ok(architecture.build(&**weights, placement)?)
                };
                let both: Result<_, RunError> = ends.par_iter().map(end).collect();
                return Ok(Models::Ensemble(both?));
            }
            if at_once < family.members.len() {
                return Ok(Models::AtOnce(at_once));
            }
            let models = family.members.par_iter().map(|m| family.model(m, placement));
            Ok(Models::Resident(models.collect::<Result<_, RunError>>()?))
        });
        let models = models.collect::<Result<Vec<_>, RunError>>()?;
        Ok(Self { variants, families, models })
    }
}

/// Groups the wanted variants of a plan into families; nothing is loaded yet. Each variant is in
/// one family; the ends of a curve are evaluated with it.
fn families(
    plan: &Plan,
    wanted: &[usize],
    share: bool,
    held: &mut impl FnMut(&str) -> Arc<Cached>,
) -> Result<Vec<Family>, RunError> {
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
            let ends = (held(&curve.from), held(&curve.to));
            all.push(pair(plan, curve, ends, members, share)?);
        }
    }
    for variant in left {
        let VariantInputs::Checkpoint(id) = &plan.variants[variant].inputs else { continue };
        let architecture = Arc::clone(&plan.checkpoints[id].architecture);
        let source = Origin::Single { architecture, weights: held(id) };
        all.push(Family { source, members: vec![Member { variant, alpha: 0.0 }], shared: 0 });
    }
    Ok(all)
}

fn pair(
    plan: &Plan,
    curve: &Curve,
    (start, end): (Arc<Cached>, Arc<Cached>),
    members: Vec<Member>,
    share: bool,
) -> Result<Family, RunError> {
    let rules = curve.points.iter().find_map(|point| {
        let variant = plan.variants.iter().find(|v| v.id == point.variant)?;
        match &variant.inputs {
            VariantInputs::Merged { include, exclude, head, groups, .. } => {
                Some((include, exclude, *head, groups))
            }
            VariantInputs::Checkpoint(_) => None,
        }
    });
    let (filter, head) = match rules {
        Some((include, exclude, head, groups)) => {
            let compile = |list: &[String]| list.iter().filter_map(|p| glob::Pattern::new(p).ok()).collect();
            let groups = Groups(groups.iter().map(|g| (compile(&g.tensors), g.weight)).collect());
            (TensorFilter { include: compile(include), exclude: compile(exclude), groups }, head)
        }
        None => (TensorFilter::default(), HeadRule::Interpolate),
    };
    let from = Arc::clone(&plan.checkpoints[&curve.from].architecture);
    let to = Arc::clone(&plan.checkpoints[&curve.to].architecture);
    let path = PATHS.get(&curve.merge).expect("the suite was validated");
    if path.of_outputs() {
        // Where both hold the same tensors, leading stages may be the same.
        let ends = Ends::new(Arc::clone(&start), Arc::clone(&end), &filter, |name| from.is_head(name));
        let same =
            |stage: &usize| ends.as_ref().is_ok_and(|e| e.shares(|n| from.stage_of(n) == Some(*stage)));
        let shared = if share { (0..from.stages()).take_while(same).count() } else { 0 };
        let source = Origin::Ensemble { ends: [(from, start), (to, end)], path };
        return Ok(Family { source, members, shared });
    }
    let more = from.neutral(&*to)?;
    let start = match more.is_empty() {
        true => start,
        // What it holds is held already.
        false => Cached::new(Arc::new(With { weights: start, more }), Budget::new(0)),
    };
    let mut ends = Ends::new(start, end, &filter, |name| from.is_head(name))?;
    if path.weighs() {
        let of =
            |id: &String| plan.checkpoints[id].beside.get(&Beside::Fisher).map(|i| Arc::clone(&i.weights));
        let importance = of(&curve.from).zip(of(&curve.to)).expect("the plan was checked");
        ends = ends.weighed(importance.into())?;
    }
    let is_shared = |stage: &usize| ends.shares(|name| from.stage_of(name) == Some(*stage));
    let shared = (0..from.stages()).take_while(is_shared).count();
    let source = Origin::Pair { from, to, ends, path, head };
    Ok(Family { source, members, shared: if share { shared } else { 0 } })
}
