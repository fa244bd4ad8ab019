//! Passes, segments, batches.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::clusters::write_clusters;
use super::crops::CropCache;
use super::family::{Family, Loaded};
use super::head::{Head, heads};
use super::held::{Held, Turn};
use super::loader::{LoadedSegment, Reader, SEGMENT, stream};
use super::placement::Placement;
use super::race::{ROUND, Race};
use super::records::{conclude, is_finished, publish, start_manifest};
use super::score::score_row;
use super::{RunError, RunEvent, RunOptions, RunSummary};
use crate::base::fs::{FileError, write_atomic};
use crate::image::{Preprocessor, Rgb};
use crate::model::clip::VisionTower;
use crate::model::{ModelError, normalise_rows};
use crate::plan::{Cell, Pass, Plan, Probe};
use crate::stats::Interval;
use crate::store::{Manifest, Part, PartRow, PartState, SkippedExample, StoreError};
use crate::suite::CorruptPolicy;

/// Evaluates every cell that has no result with the same fingerprint yet, and writes predictions
/// and manifest.
pub fn run(
    plan: &Plan,
    options: &RunOptions,
    listen: &mut dyn FnMut(RunEvent),
) -> Result<RunSummary, RunError> {
    let held = Held::open(&options.out)?;
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
        let outcome = PassRun::new(plan, options, pass, &placement, models)?.evaluate(listen)?;
        summary.decoded += outcome.decoded;
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

/// How a pass ended.
pub(super) struct Outcome {
    /// Whether all that is needed is there.
    pub(super) complete: bool,
    /// Images decoded now.
    pub(super) decoded: usize,
    /// Of a race: examples seen, and each cell's interval.
    pub(super) race: Option<(usize, Vec<Interval>)>,
}

/// Examples per segment: of a race, a round.
pub(super) const fn segment_size(plan: &Plan) -> usize {
    if plan.until.is_some() { ROUND } else { SEGMENT }
}

/// One pass at work.
struct PassRun<'a> {
    plan: &'a Plan,
    options: &'a RunOptions,
    pass: &'a Pass,
    preprocessor: &'a Preprocessor,
    placement: &'a Placement,
    models: &'a Loaded,
    /// By family, probe of the pass, member.
    heads: Vec<Vec<(usize, Vec<Head>)>>,
    /// Number of a cell within the pass, by (variant, probe).
    cells: BTreeMap<(usize, usize), u32>,
}

/// A batch of decoded examples.
struct Batch {
    positions: Vec<usize>,
    pixels: Tensor,
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
    ) -> Result<Self, RunError> {
        let number = |(i, &c): (usize, &usize)| ((plan.cells[c].variant, plan.cells[c].probe), i as u32);
        let cells: BTreeMap<(usize, usize), u32> = pass.cells.iter().enumerate().map(number).collect();
        let probes: BTreeSet<usize> = cells.keys().map(|k| k.1).collect();
        let one = |f: &Family, p: usize| Ok((p, heads(f, &plan.probes[p], placement)?));
        let heads = models
            .families
            .iter()
            .map(|f| probes.iter().map(|&p| one(f, p)).collect())
            .collect::<Result<Vec<_>, RunError>>()?;
        let preprocessor = plan.checkpoints[&pass.reader].preprocessor();
        Ok(Self { plan, options, pass, preprocessor, placement, models, heads, cells })
    }

    /// Evaluates this shard's segments; of a race, as many rounds as it needs.
    fn evaluate(&self, listen: &mut dyn FnMut(RunEvent)) -> Result<Outcome, RunError> {
        let size = segment_size(self.plan);
        let all: Vec<(usize, &[usize])> = self.pass.positions.chunks(size).enumerate().collect();
        let path = |i: usize| Part::path(&self.options.out, self.pass.key.short(), i);
        let (shard, of) = self.options.shard;
        let mut race = Race::new(self.plan, self.pass);
        let mut finished = vec![false; all.len()];
        for (i, finished) in finished.iter_mut().enumerate() {
            let own = i % of == shard;
            match Part::state(&path(i)) {
                // From nothing: what an earlier run left of this shard's work does not count.
                _ if self.options.fresh && own => Part::remove(&path(i)),
                PartState::Finished => *finished = true,
                PartState::Damaged => {
                    listen(RunEvent::Damaged { name: self.pass.name.clone(), segment: i });
                    if own {
                        Part::remove(&path(i));
                    }
                }
                PartState::Missing => {}
            }
        }
        let mut todo: Vec<(usize, &[usize])> =
            all.iter().copied().filter(|(i, _)| i % of == shard && !finished[*i]).collect();
        let resumed: Vec<&(usize, &[usize])> = all.iter().filter(|(i, _)| finished[*i]).collect();
        listen(RunEvent::Pass {
            name: self.pass.name.clone(),
            variants: self.models.families.iter().map(|f| f.members.len()).sum(),
            shared: self
                .models
                .families
                .iter()
                .map(|f| format!("{} of {}", f.shared, VisionTower::stages(f.config())))
                .collect::<Vec<_>>()
                .join(", "),
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
        let probe = &self.plan.probes[self.plan.cells[self.pass.cells[0]].probe];
        let kept = self.kept_crops(probe).unwrap_or_else(|e| {
            listen(RunEvent::NotKept { name: self.pass.name.clone(), reason: e.to_string() });
            None
        });
        let reader = Reader {
            name: &self.pass.name,
            data: &*probe.data,
            border: probe.border,
            preprocessor: self.preprocessor,
            corruption: probe.spec.corruption.as_ref(),
            most_pixels: self.plan.suite.most_pixels,
            kept: kept.as_ref(),
        };
        let mut decoded = 0;
        stream(&reader, &todo, |segment| {
            self.options.check_stop()?;
            decoded += segment.decoded;
            let index = segment.index;
            self.segment(segment, listen)?;
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
        Ok(Outcome { complete, decoded, race: race.map(|r| (r.seen, r.intervals())) })
    }

    fn kept_crops(&self, probe: &Probe) -> Result<Option<CropCache>, FileError> {
        let Some(options) = &self.options.crops else { return Ok(None) };
        let examples = probe.data.examples().len();
        CropCache::open(options, &probe.data_digest, probe.border, self.preprocessor, examples)
    }

    /// Predictions that some examples amount to.
    fn predictions(&self, positions: &[usize]) -> usize {
        let uses = |probe: usize| {
            let used = &self.plan.probes[probe].positions;
            positions.iter().filter(|p| used.binary_search(p).is_ok()).count()
        };
        self.cells.keys().map(|&(_, probe)| uses(probe)).sum()
    }

    fn segment(&self, segment: LoadedSegment, listen: &mut dyn FnMut(RunEvent)) -> Result<(), RunError> {
        let index = segment.index;
        let (batches, skipped) = self.batches(segment)?;
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
        Ok(())
    }

    fn skip_path(&self, segment: usize) -> std::path::PathBuf {
        Part::path(&self.options.out, self.pass.key.short(), segment).with_extension("skipped.json")
    }

    /// Batches of the examples that could be decoded. Batches are cut before anything is left out,
    /// so that an unreadable image does not move its neighbours to other batches.
    fn batches(&self, segment: LoadedSegment) -> Result<(Vec<Batch>, Vec<SkippedExample>), RunError> {
        let examples = self.plan.probes[self.plan.cells[self.pass.cells[0]].probe].data.examples();
        let mut skipped = Vec::new();
        let mut parts: Vec<(Vec<usize>, Vec<Rgb>)> = Vec::new();
        for (i, (position, crop)) in segment.positions.into_iter().zip(segment.crops).enumerate() {
            if i % self.options.batch == 0 {
                parts.push((Vec::new(), Vec::new()));
            }
            match (crop, parts.last_mut()) {
                (Ok(crop), Some(part)) => {
                    part.0.push(position);
                    part.1.push(crop);
                }
                (Err(reason), _) => {
                    let (data, example) = (self.pass.name.clone(), examples[position].id.clone());
                    if self.plan.suite.corrupt == CorruptPolicy::Fail {
                        return Err(RunError::Image { data, example, reason });
                    }
                    skipped.push(SkippedExample { data, example, reason });
                }
                (Ok(_), None) => {}
            }
        }
        let batches = parts
            .into_par_iter()
            .filter(|part| !part.0.is_empty())
            .map(|(positions, crops)| {
                let (height, width) = (crops[0].height, crops[0].width);
                let mut values = Vec::with_capacity(crops.len() * 3 * height * width);
                crops.iter().for_each(|crop| self.preprocessor.normalise_into(crop, &mut values));
                let pixels = Tensor::from_vec(values, (crops.len(), 3, height, width), &Device::Cpu);
                let pixels = pixels.and_then(|p| self.placement.input(&p));
                let pixels = pixels.map_err(ModelError::compute("input batch"))?;
                Ok(Batch { positions, pixels })
            })
            .collect::<Result<Vec<_>, RunError>>()?;
        Ok((batches, skipped))
    }

    fn family(
        &self,
        number: usize,
        batches: &[Batch],
        listen: &mut dyn FnMut(RunEvent),
    ) -> Result<Vec<PartRow>, RunError> {
        let family = &self.models.families[number];
        let wrap = |e| RunError::from(ModelError::compute("image tower")(e));
        let shared_states: Vec<Tensor> = if family.shared == 0 {
            batches.iter().map(|b| b.pixels.clone()).collect()
        } else {
            let first = match &self.models.resident[number] {
                Some(towers) => &towers[0],
                None => &family.tower(&family.members[0], self.placement)?,
            };
            let run = |b: &Batch| first.run(&b.pixels, 0..family.shared).map_err(wrap);
            batches.par_iter().map(run).collect::<Result<_, _>>()?
        };
        let mut rows = Vec::new();
        let at_once = match &self.models.resident[number] {
            Some(_) => family.members.len(),
            // As many as fit, so that there are enough tasks for all threads where batches are few.
            None => (self.options.memory / family.bytes_per_member(self.placement).max(1)).max(1),
        };
        for first in (0..family.members.len()).step_by(at_once) {
            self.options.check_stop()?;
            let members = first..(first + at_once).min(family.members.len());
            let formed: Vec<VisionTower>;
            let towers: &[VisionTower] = match &self.models.resident[number] {
                Some(towers) => towers,
                None => {
                    let now = &family.members[members.clone()];
                    formed = now.iter().map(|m| family.tower(m, self.placement)).collect::<Result<_, _>>()?;
                    &formed
                }
            };
            let tasks: Vec<(usize, usize)> =
                members.flat_map(|m| (0..batches.len()).map(move |b| (m, b))).collect();
            let found = tasks
                .par_iter()
                .map(|&(m, b)| {
                    self.options.check_stop()?;
                    let tower = &towers[m - first];
                    let stages = family.shared..VisionTower::stages(family.config());
                    let features = tower.run(&shared_states[b], stages).map_err(wrap)?;
                    self.rows(number, m, &batches[b].positions, &features)
                })
                .collect::<Result<Vec<_>, RunError>>()?;
            let found: Vec<PartRow> = found.into_iter().flatten().collect();
            listen(RunEvent::Progress { predictions: found.len() });
            rows.extend(found);
        }
        Ok(rows)
    }

    /// The rows of one member on one batch, for every probe of the pass.
    fn rows(
        &self,
        family: usize,
        member: usize,
        positions: &[usize],
        features: &Tensor,
    ) -> Result<Vec<PartRow>, RunError> {
        let wrap = |e| RunError::from(ModelError::compute("logits")(e));
        let features = features.to_dtype(DType::F32).and_then(|f| normalise_rows(&f)).map_err(wrap)?;
        let variant = self.models.families[family].members[member].variant;
        let mut rows = Vec::new();
        for (p, heads) in &self.heads[family] {
            let Some(&cell) = self.cells.get(&(variant, *p)) else { continue };
            let probe = &self.plan.probes[*p];
            let chosen: Vec<usize> = (0..positions.len())
                .filter(|&i| probe.positions.binary_search(&positions[i]).is_ok())
                .collect();
            if chosen.is_empty() {
                continue;
            }
            let logits = heads[member].logits(&features).and_then(|l| l.to_vec2::<f32>()).map_err(wrap)?;
            for i in chosen {
                let example = &probe.data.examples()[positions[i]];
                let label = probe.classes.output(example.label).unwrap_or_default();
                let reduced = probe.classes.reduce(&logits[i]);
                let logits = reduced.as_deref().unwrap_or(&logits[i]);
                let row = score_row(cell, positions[i] as u32, label, logits);
                rows.push(row.ok_or_else(|| RunError::NotFinite {
                    variant: self.plan.variants[variant].id.clone(),
                    probe: probe.spec.id.clone(),
                    example: example.id.clone(),
                })?);
            }
        }
        Ok(rows)
    }
}
