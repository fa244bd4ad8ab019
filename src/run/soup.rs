//! Greedy soups (Wortsman et al. 2022, arXiv:2203.05482, recipe 1): which checkpoints are averaged is decided on a selection
//! probe, before the run. Sorted by their score there, each is added if the score of the mean improves strictly, as the
//! released code does.

use serde::{Deserialize, Serialize};

use super::{RunError, RunEvent, RunOptions, run};
use crate::base::fs::write_atomic;
use crate::catalog::Catalog;
use crate::metric::METRICS;
use crate::model::Numerics;
use crate::plan::{Plan, PlanError};
use crate::stats::Estimator;
use crate::store::{Manifest, Predictions, StoreError};
use crate::suite::{CheckpointSpec, CombineSpec, Suite};

/// Why a soup cannot be chosen.
#[derive(Debug, thiserror::Error)]
pub enum SoupError {
    /// Its checkpoints and the selection probe do not make a plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// They cannot be evaluated.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What was averaged, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoupChoice {
    /// The checkpoint that it is.
    pub id: String,
    /// The selection probe.
    pub probe: String,
    /// What is averaged, in the order in which it was taken.
    pub chosen: Vec<String>,
    /// Every mean that was looked at, with its score on the probe: the checkpoints alone first.
    pub looked_at: Vec<(Vec<String>, f64)>,
}

/// Decides what the greedy soups of a suite are made of, one after the other, and puts it into the suite. Evaluates in
/// folders of its own below the results.
pub fn choose_soups(
    suite: &mut Suite,
    catalog: &Catalog,
    (limit, numerics): (Option<usize>, &Numerics),
    options: &RunOptions,
    listen: &mut dyn FnMut(RunEvent),
) -> Result<Vec<SoupChoice>, SoupError> {
    let mut all = Vec::new();
    for place in 0..suite.checkpoints.len() {
        let spec = suite.checkpoints[place].clone();
        let Some((how, probe)) = spec.combine.as_ref().and_then(|c| Some((c, c.select.clone()?))) else {
            continue;
        };
        let folder = options.out.join("soups").join(&spec.id);
        let inner = RunOptions { out: folder.clone(), shard: (0, 1), only: None, ..options.clone() };
        let mut kitchen =
            Kitchen { suite: small(suite, &how.of, &probe), catalog, limit, numerics, options: &inner };
        let choice = kitchen.choose(&spec.id, &how.of, &probe, listen)?;
        let mut text = serde_json::to_string_pretty(&choice).expect("plain data always has a JSON form");
        text.push('\n');
        write_atomic(&folder.join("choice.json"), text.as_bytes())
            .map_err(|e| RunError::from(StoreError::from(e)))?;
        let made = &mut suite.checkpoints[place];
        made.source = format!("{} of {}, chosen on {probe}", how.merge, choice.chosen.join(", "));
        if let Some(combine) = &mut made.combine {
            combine.of.clone_from(&choice.chosen);
        }
        all.push(choice);
    }
    Ok(all)
}

/// The suite with one probe, and of the checkpoints what these need.
fn small(suite: &Suite, of: &[String], probe: &str) -> Suite {
    let mut wanted: Vec<String> = of.to_vec();
    for spec in suite.checkpoints.iter().rev() {
        if wanted.contains(&spec.id) {
            wanted.extend(spec.base.iter().chain(spec.combine.iter().flat_map(|c| &c.of)).cloned());
        }
    }
    let mut small = suite.clone();
    small.checkpoints.retain(|c| wanted.contains(&c.id));
    for checkpoint in &mut small.checkpoints {
        checkpoint.probes.clear();
    }
    small.probes.retain(|p| p.id == probe);
    small.sweeps.clear();
    small.references = None;
    small
}

/// Where a soup is tried.
struct Kitchen<'a> {
    suite: Suite,
    catalog: &'a Catalog,
    limit: Option<usize>,
    numerics: &'a Numerics,
    options: &'a RunOptions,
}

impl Kitchen<'_> {
    fn choose(
        &mut self,
        id: &str,
        of: &[String],
        probe: &str,
        listen: &mut dyn FnMut(RunEvent),
    ) -> Result<SoupChoice, SoupError> {
        let mut scored: Vec<(String, f64)> =
            of.iter().cloned().zip(self.scores(of, probe, listen)?).collect();
        let mut looked_at: Vec<(Vec<String>, f64)> =
            scored.iter().map(|(id, score)| (vec![id.clone()], *score)).collect();
        // Of equals the first one listed comes first.
        scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut rest = scored.into_iter();
        let Some((first, mut best)) = rest.next() else {
            return Ok(SoupChoice {
                id: id.to_owned(),
                probe: probe.to_owned(),
                chosen: Vec::new(),
                looked_at,
            });
        };
        let mut chosen = vec![first];
        for (number, (next, _)) in rest.enumerate() {
            let tried = [&chosen[..], std::slice::from_ref(&next)].concat();
            let trial = format!("{id}-trial-{}", number + 1);
            self.suite.checkpoints.push(mean(&trial, &tried, &self.suite));
            let score = self.scores(&[trial], probe, listen)?[0];
            looked_at.push((tried.clone(), score));
            if score > best {
                (chosen, best) = (tried, score);
            }
        }
        Ok(SoupChoice { id: id.to_owned(), probe: probe.to_owned(), chosen, looked_at })
    }

    /// Scores of some checkpoints on the probe.
    fn scores(
        &self,
        ids: &[String],
        probe: &str,
        listen: &mut dyn FnMut(RunEvent),
    ) -> Result<Vec<f64>, SoupError> {
        let plan = Plan::new(self.suite.clone(), self.catalog, self.limit, self.numerics.clone(), None)?;
        run(&plan, self.options, listen)?;
        let out = &self.options.out;
        let manifest = Manifest::read(out).map_err(RunError::from)?;
        let measured = &plan.probes[0];
        let classes = measured.task.outputs().len();
        let score = |id: &String| -> Result<f64, RunError> {
            let nothing = || RunError::NothingLeft(probe.to_owned());
            let record = manifest.cell(id, probe).ok_or_else(nothing)?;
            let columns = Predictions::read_record(out, record, classes)?.columns(classes);
            let form =
                METRICS.get(&measured.spec.metric).and_then(|m| m.form(&columns)).ok_or_else(nothing)?;
            Ok(Estimator::new(form).value())
        };
        Ok(ids.iter().map(score).collect::<Result<_, _>>()?)
    }
}

/// A checkpoint that is the mean of others.
fn mean(id: &str, of: &[String], suite: &Suite) -> CheckpointSpec {
    let combine = CombineSpec {
        merge: "uniform-soup".to_owned(),
        of: of.to_vec(),
        select: None,
        settings: crate::merge::CombineSettings::default(),
    };
    CheckpointSpec {
        id: id.to_owned(),
        source: format!("uniform-soup of {}", of.join(", ")),
        combine: Some(combine),
        base: None,
        head_of: None,
        classes: None,
        seed: None,
        ..suite.checkpoint(&of[0]).clone()
    }
}
