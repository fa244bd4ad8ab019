//! Passes, segments, batches.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::clusters::write_clusters;
use super::crops::CropCache;
use super::family::{Family, Loaded, Models};
use super::head::heads;
use super::held::{HeldFolder, Turn};
use super::loader::{Feed, LoadedSegment, stream};
use super::outcome::{PassOutcome, segment_size};
use super::race::Race;
use super::records::{conclude, is_finished, publish, start_manifest};
use super::{RunError, RunEvent, RunOptions, RunSummary};
use crate::base::fs::{FileError, write_atomic};
use crate::merge::{PathMethod, blend};
use crate::model::{Busy, Head, Input, Model, ModelError, Placement, State, Tokens};
use crate::plan::{Cell, Pass, Plan};
use crate::store::{Manifest, Part, PartRow, PartState, SkippedExample, StoreError};
use crate::suite::CorruptPolicy;
use crate::task::Answer;

/// Evaluates every cell that has no result with the same fingerprint yet, and writes predictions
/// and manifest.
pub fn run(
    plan: &Plan,
    options: &RunOptions,
    listen: &mut dyn FnMut(RunEvent),
) -> Result<RunSummary, RunError> {
    let held = HeldFolder::open(&options.out)?;
    let mut manifest = start_manifest(plan, options)?;
    let is_done = |manifest: &Manifest, cell: &Cell| {
        let (variant, probe) = plan.ids(cell);
        manifest.cell(variant, probe).is_some()
    };
    let reused = plan.cells.iter().filter(|c| is_done(&manifest, c)).count();
    let passes = plan.passes(|cell| {
        let chosen = options.only.as_ref().is_none_or(|p| p.matches(&plan.cell_name(cell)));
        chosen && !is_done(&manifest, cell)
    });
    let predictions =
        passes.iter().flat_map(|p| &p.cells).map(|&c| plan.probes[plan.cells[c].probe].positions.len()).sum();
    listen(RunEvent::Planned { cells: plan.cells.len(), reused, predictions });
    write_clusters(plan, options)?;
    publish(plan, options, &mut manifest)?;

    let mut summary = RunSummary { reused, ..RunSummary::default() };
    let placement = Placement::new(&plan.numerics)?;
    let mut loaded: Option<Loaded> = None;
    for pass in &passes {
        let started = Instant::now();
        let waiting = || listen(RunEvent::Waiting { name: pass.name.clone() });
        let turn = Turn::take(&options.out, pass.key.short(), options.shard, waiting)?;
        if is_finished(plan, options, pass, &mut manifest) {
            summary.reused += pass.cells.len();
            continue;
        }
        // Most passes evaluate the same variants: their weights are loaded and merged once.
        let variants = PassRun::variants(plan, pass);
        let models = match loaded.take().filter(|l| l.variants == variants) {
            Some(models) => loaded.insert(models),
            None => loaded.insert(Loaded::new(plan, options, &placement, variants)?),
        };
        let outcome = PassRun::new(plan, options, pass, &placement, models, listen)?.evaluate(listen)?;
        summary.decoded += outcome.decoded;
        summary.tokens += outcome.tokens;
        let halved = placement.halved.swap(0, Ordering::Relaxed);
        if halved > 0 {
            listen(RunEvent::Halved { name: pass.name.clone(), times: halved });
        }
        if !outcome.complete && !is_finished(plan, options, pass, &mut manifest) {
            summary.missing += pass.cells.len();
            continue;
        }
        let seconds = started.elapsed().as_secs_f64();
        summary.skipped += conclude(plan, options, pass, &outcome, &mut manifest, seconds)?;
        summary.finished += pass.cells.len();
        drop(turn);
    }
    let all = plan.cells.iter().all(|c| is_done(&manifest, c));
    if all {
        held.finish();
    }
    Ok(summary)
}

/// Whether every segment that is still to be joined is there, whoever made it.
///
/// # Errors
/// If the manifest cannot be read.
pub fn joinable(plan: &Plan, options: &RunOptions) -> Result<bool, RunError> {
    let manifest = start_manifest(plan, options)?;
    let passes = plan.passes(|cell| {
        let (variant, probe) = plan.ids(cell);
        manifest.cell(variant, probe).is_none()
    });
    let size = segment_size(plan);
    let whole = |pass: &Pass| {
        let path = |i| Part::path(&options.out, pass.key.short(), i);
        (0..pass.positions.len().div_ceil(size)).all(|i| Part::state(&path(i)) == PartState::Finished)
    };
    Ok(passes.iter().all(whole))
}

/// Scores of both ends combined.
fn averaged(path: &dyn PathMethod, alpha: f64, from: &[f32], to: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; from.len()];
    blend(alpha, path.factors(alpha, from, to), from, to, &mut out);
    out
}

/// One pass at work.
struct PassRun<'a> {
    plan: &'a Plan,
    options: &'a RunOptions,
    pass: &'a Pass,
    placement: &'a Placement,
    models: &'a Loaded,
    /// By family, probe of the pass, member.
    heads: Vec<Vec<(usize, Vec<Option<Head>>)>>,
    /// Number of a cell within the pass, by (variant, probe).
    cells: BTreeMap<(usize, usize), u32>,
    /// When a segment in work saw first that a stop was asked for.
    asked: OnceLock<Instant>,
}

/// How long a segment goes on after a stop was asked for, so that what is nearly done is kept: a third of the minute that a
/// queue gives between its warning and the end.
const FLUSH: Duration = Duration::from_secs(20);

/// A batch of read examples.
struct Batch {
    positions: Vec<usize>,
    state: State,
}

impl<'a> PassRun<'a> {
    /// Indices of the variants of a pass, ascending.
    fn variants(plan: &Plan, pass: &Pass) -> Vec<usize> {
        let all: BTreeSet<usize> = pass.cells.iter().map(|&c| plan.cells[c].variant).collect();
        all.into_iter().collect()
    }

    fn new(
        plan: &'a Plan,
        options: &'a RunOptions,
        pass: &'a Pass,
        placement: &'a Placement,
        models: &'a Loaded,
        listen: &mut dyn FnMut(RunEvent),
    ) -> Result<Self, RunError> {
        let number = |(i, &c): (usize, &usize)| ((plan.cells[c].variant, plan.cells[c].probe), i as u32);
        let cells: BTreeMap<(usize, usize), u32> = pass.cells.iter().enumerate().map(number).collect();
        let probes: BTreeSet<usize> = cells.keys().map(|k| k.1).collect();
        let prompts = |p: usize| {
            let asked = plan.probes[p].task.candidates();
            asked.map_or(0, |c| c.names.len() * c.templates.len())
        };
        let members: usize = models.families.iter().map(|f| f.members.len()).sum();
        listen(RunEvent::Heads {
            name: pass.name.clone(),
            heads: members * probes.len(),
            prompts: members * probes.iter().map(|&p| prompts(p)).sum::<usize>(),
        });
        let mut hear = |prompts| listen(RunEvent::Prompts { prompts });
        let mut one = |f: &Family, p: usize| Ok((p, heads(f, &plan.probes[p], placement, &mut hear)?));
        let heads = models
            .families
            .iter()
            .map(|f| probes.iter().map(|&p| one(f, p)).collect())
            .collect::<Result<Vec<_>, RunError>>()?;
        Ok(Self { plan, options, pass, placement, models, heads, cells, asked: OnceLock::new() })
    }

    /// Evaluates this shard's segments; of a race, as many rounds as it needs.
    fn evaluate(&self, listen: &mut dyn FnMut(RunEvent)) -> Result<PassOutcome, RunError> {
        let size = segment_size(self.plan);
        let all: Vec<(usize, &[usize])> = self.pass.positions.chunks(size).enumerate().collect();
        let path = |i: usize| Part::path(&self.options.out, self.pass.key.short(), i);
        let (shard, of) = self.options.shard;
        let mut race = Race::new(self.plan, self.pass);
        let finished = self.finished(all.len(), listen);
        let mut todo: Vec<(usize, &[usize])> =
            all.iter().copied().filter(|(i, _)| i % of == shard && !finished[*i]).collect();
        let resumed: Vec<&(usize, &[usize])> = all.iter().filter(|(i, _)| finished[*i]).collect();
        listen(RunEvent::Pass {
            name: self.pass.name.clone(),
            variants: self.models.families.iter().map(|f| f.members.len()).sum(),
            shared: self.models.families.iter().map(|f| (f.shared, f.architecture().stages())).collect(),
            resumed: resumed.len(),
        });
        for (index, positions) in resumed {
            listen(RunEvent::Progress { predictions: self.predictions(positions) });
            if let Some(race) = &mut race {
                race.take(&path(*index), positions)?;
            }
        }
        if race.as_ref().is_some_and(Race::enough) {
            todo.clear();
        }
        let kept = self.kept_crops().unwrap_or_else(|e| {
            listen(RunEvent::NotKept { name: self.pass.name.clone(), reason: e.to_string() });
            None
        });
        let most_pixels = self.plan.suite.most_pixels;
        let feed = Feed { pass: self.pass, most_pixels, kept: kept.as_ref() };
        let mut decoded = 0;
        let mut tokens = Tokens::default();
        stream(&feed, &todo, |segment| {
            self.options.check_stop()?;
            decoded += segment.decoded;
            let index = segment.index;
            tokens += self.segment(segment, listen)?;
            let Some(race) = &mut race else { return Ok(ControlFlow::Continue(())) };
            race.take(&path(index), all[index].1)?;
            Ok(if race.enough() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        if kept.is_some_and(|k| k.is_full()) {
            let reason = "crops cannot be written; is the disk full?".to_owned();
            listen(RunEvent::NotKept { name: self.pass.name.clone(), reason });
        }
        let whole = |i: usize| Part::state(&path(i)) == PartState::Finished;
        let complete = race.as_ref().is_some_and(Race::enough) || all.iter().all(|(i, _)| whole(*i));
        Ok(PassOutcome { complete, decoded, tokens, race: race.map(|r| (r.seen, r.intervals())) })
    }

    /// Which segments are there and count; what is damaged or not wanted goes.
    fn finished(&self, segments: usize, listen: &mut dyn FnMut(RunEvent)) -> Vec<bool> {
        let (shard, of) = self.options.shard;
        let one = |i: usize| {
            let path = Part::path(&self.options.out, self.pass.key.short(), i);
            let own = i % of == shard;
            match Part::state(&path) {
                // From nothing: what an earlier run left of this shard's work does not count.
                _ if self.options.fresh && own => Part::remove(&path),
                PartState::Finished => return true,
                PartState::Damaged => {
                    listen(RunEvent::Damaged { name: self.pass.name.clone(), segment: i });
                    if own {
                        Part::remove(&path);
                    }
                }
                PartState::Missing => {}
            }
            false
        };
        (0..segments).map(one).collect()
    }

    fn kept_crops(&self) -> Result<Option<CropCache>, FileError> {
        let (Some(options), Some(kept)) = (&self.options.crops, self.pass.reader.reader().kept()) else {
            return Ok(None);
        };
        let examples = self.pass.data.examples().len();
        CropCache::open(options, &self.pass.data_digest, self.pass.border, kept, examples)
    }

    /// Predictions that some examples amount to.
    fn predictions(&self, positions: &[usize]) -> usize {
        let uses = |probe: usize| {
            let used = &self.plan.probes[probe].positions;
            positions.iter().filter(|p| used.binary_search(p).is_ok()).count()
        };
        self.cells.keys().map(|&(_, probe)| uses(probe)).sum()
    }

    /// Ends a segment in work, if a stop was asked for and it takes too long to be finished first.
    fn check_stop(&self) -> Result<(), RunError> {
        match self.options.check_stop() {
            Err(_) if self.asked.get_or_init(Instant::now).elapsed() < FLUSH => Ok(()),
            checked => checked,
        }
    }

    /// The tokens that it was made of.
    fn segment(&self, segment: LoadedSegment, listen: &mut dyn FnMut(RunEvent)) -> Result<Tokens, RunError> {
        let index = segment.index;
        let (batches, skipped) = self.batches(segment)?;
        let mut tokens = Tokens::default();
        batches.iter().for_each(|b| tokens += b.state.tokens());
        for example in &skipped {
            let SkippedExample { data, example, reason } = example.clone();
            listen(RunEvent::Skipped { data, example, reason });
        }
        let mut rows = Vec::new();
        for number in 0..self.models.families.len() {
            rows.extend(self.family(number, &batches, listen)?);
        }
        // The list of skipped examples first: the part marks the segment as finished.
        if !skipped.is_empty() {
            let text = serde_json::to_string(&skipped).expect("plain data always has a JSON form");
            write_atomic(&self.skip_path(index), text.as_bytes()).map_err(StoreError::from)?;
        }
        Part::write(&Part::path(&self.options.out, self.pass.key.short(), index), rows)?;
        Ok(tokens)
    }

    fn skip_path(&self, segment: usize) -> std::path::PathBuf {
        Part::path(&self.options.out, self.pass.key.short(), segment).with_extension("skipped.json")
    }

    /// Batches of the examples that could be read, grouped as their model likes it.
    fn batches(&self, segment: LoadedSegment) -> Result<(Vec<Batch>, Vec<SkippedExample>), RunError> {
        let examples = self.pass.data.examples();
        let mut skipped = Vec::new();
        let mut read: Vec<(usize, Input)> = Vec::new();
        for (position, input) in segment.positions.into_iter().zip(segment.inputs) {
            match input {
                Ok(input) => read.push((position, input)),
                Err(reason) => {
                    let (data, example) = (self.pass.name.clone(), examples[position].id.clone());
                    if self.plan.suite.corrupt == CorruptPolicy::Fail {
                        return Err(RunError::Example { data, example, reason });
                    }
                    skipped.push(SkippedExample { data, example, reason });
                }
            }
        }
        let inputs: Vec<&Input> = read.iter().map(|r| &r.1).collect();
        let groups = self.pass.reader.groups(&inputs, self.options.batch);
        let mut left: Vec<Option<(usize, Input)>> = read.into_iter().map(Some).collect();
        let parts: Vec<(Vec<usize>, Vec<Input>)> = groups
            .into_iter()
            .map(|group| group.into_iter().filter_map(|i| left[i].take()).unzip())
            .collect();
        let batches = parts
            .into_par_iter()
            .map(|(positions, inputs)| {
                let state = self.pass.reader.batch(&inputs, self.placement, self.options.share)?;
                Ok(Batch { positions, state })
            })
            .collect::<Result<Vec<_>, RunError>>()?;
        Ok((batches, skipped))
    }

    /// The states after the stages that all members of a family share.
    fn shared_states(&self, number: usize, batches: &[Batch]) -> Result<Vec<State>, RunError> {
        let family = &self.models.families[number];
        if family.shared == 0 {
            return Ok(batches.iter().map(|b| b.state.clone()).collect());
        }
        let first: &dyn Model = match &self.models.models[number] {
            Models::Resident(models) => &*models[0],
            Models::AtOnce(_) => &*family.model(&family.members[0], self.placement)?,
            Models::Ensemble(ends) => &*ends[0],
        };
        let lead = |b: &Batch| {
            let _busy = Busy::new();
            Ok(first.lead(&b.state, 0..family.shared)?)
        };
        batches.par_iter().map(lead).collect()
    }

    fn family(
        &self,
        number: usize,
        batches: &[Batch],
        listen: &mut dyn FnMut(RunEvent),
    ) -> Result<Vec<PartRow>, RunError> {
        let family = &self.models.families[number];
        let states = self.shared_states(number, batches)?;
        let at_once = match &self.models.models[number] {
            Models::Resident(_) => family.members.len(),
            Models::AtOnce(n) => *n,
            Models::Ensemble(ends) => return self.ensemble(number, ends, batches, &states, listen),
        };
        let mut rows = Vec::new();
        for first in (0..family.members.len()).step_by(at_once) {
            self.check_stop()?;
            let members = first..(first + at_once).min(family.members.len());
            let formed: Vec<Box<dyn Model>>;
            let models: &[Box<dyn Model>] = match &self.models.models[number] {
                Models::Resident(models) | Models::Ensemble(models) => models,
                Models::AtOnce(_) => {
                    let now = family.members[members.clone()].par_iter();
                    formed = now.map(|m| family.model(m, self.placement)).collect::<Result<_, _>>()?;
                    &formed
                }
            };
            let tasks: Vec<(usize, usize)> =
                members.flat_map(|m| (0..batches.len()).map(move |b| (m, b))).collect();
            let found = tasks
                .par_iter()
                .map(|&(m, b)| {
                    self.check_stop()?;
                    let _busy = Busy::new();
                    self.rows((number, m), &*models[m - first], &batches[b].positions, &states[b])
                })
                .collect::<Result<Vec<_>, RunError>>()?;
            let found: Vec<PartRow> = found.into_iter().flatten().collect();
            listen(RunEvent::Progress { predictions: found.len() });
            rows.extend(found);
        }
        Ok(rows)
    }

    /// The rows of all members of an ensemble: both ends answer once for all of them.
    fn ensemble(
        &self,
        number: usize,
        ends: &[Box<dyn Model>],
        batches: &[Batch],
        states: &[State],
        listen: &mut dyn FnMut(RunEvent),
    ) -> Result<Vec<PartRow>, RunError> {
        let family = &self.models.families[number];
        let Some(path) = family.of_outputs() else { return Ok(Vec::new()) };
        let answered = |b: usize, end: usize| -> Result<_, RunError> {
            self.check_stop()?;
            let heads: Vec<Option<&Head>> = self.heads[number].iter().map(|h| h.1[end].as_ref()).collect();
            Ok(ends[end].finish(&states[b], family.shared, &heads)?)
        };
        let of_batch = |b: usize| -> Result<Vec<PartRow>, RunError> {
            let _busy = Busy::new();
            let (from, to) = (answered(b, 0)?, answered(b, 1)?);
            let positions = &batches[b].positions;
            let mut rows = Vec::new();
            for member in &family.members {
                for ((p, _), (from, to)) in self.heads[number].iter().zip(from.iter().zip(&to)) {
                    let Some(&cell) = self.cells.get(&(member.variant, *p)) else { continue };
                    for i in self.used(*p, positions) {
                        let answer = from[i].blend(&to[i], |a, b| averaged(path, member.alpha, a, b));
                        let answer =
                            answer.ok_or_else(|| ModelError::Unlike("answers without scores".to_owned()))?;
                        rows.push(self.row(cell, *p, member.variant, positions[i], &answer)?);
                    }
                }
            }
            Ok(rows)
        };
        let found = (0..batches.len()).into_par_iter().map(of_batch).collect::<Result<Vec<_>, RunError>>()?;
        let rows: Vec<PartRow> = found.into_iter().flatten().collect();
        listen(RunEvent::Progress { predictions: rows.len() });
        Ok(rows)
    }

    /// Which of some examples a probe has.
    fn used(&self, probe: usize, positions: &[usize]) -> Vec<usize> {
        let all = &self.plan.probes[probe].positions;
        (0..positions.len()).filter(|&i| all.binary_search(&positions[i]).is_ok()).collect()
    }

    /// The rows of one member on one batch, for every probe of the pass that has some of its examples.
    fn rows(
        &self,
        (family, member): (usize, usize),
        model: &dyn Model,
        positions: &[usize],
        state: &State,
    ) -> Result<Vec<PartRow>, RunError> {
        let evaluated = &self.models.families[family];
        let variant = evaluated.members[member].variant;
        let mut asked: Vec<(u32, usize, Option<&Head>, Vec<usize>)> = Vec::new();
        for (p, heads) in &self.heads[family] {
            let Some(&cell) = self.cells.get(&(variant, *p)) else { continue };
            let chosen = self.used(*p, positions);
            if !chosen.is_empty() {
                asked.push((cell, *p, heads[member].as_ref(), chosen));
            }
        }
        let heads: Vec<Option<&Head>> = asked.iter().map(|a| a.2).collect();
        let answers = model.finish(state, evaluated.shared, &heads)?;
        let mut rows = Vec::new();
        for ((cell, p, _, chosen), answers) in asked.into_iter().zip(answers) {
            for i in chosen {
                rows.push(self.row(cell, p, variant, positions[i], &answers[i])?);
            }
        }
        Ok(rows)
    }

    fn row(
        &self,
        cell: u32,
        probe: usize,
        variant: usize,
        position: usize,
        answer: &Answer,
    ) -> Result<PartRow, RunError> {
        let probe = &self.plan.probes[probe];
        let judged = probe.task.judge(position, probe.target(position), answer);
        let judged = judged.ok_or_else(|| RunError::NotFinite {
            variant: self.plan.variants[variant].id.clone(),
            probe: probe.spec.id.clone(),
            example: probe.data.examples()[position].id.clone(),
        })?;
        Ok(PartRow { cell, position: position as u32, judged })
    }
}
