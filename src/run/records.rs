//! The manifest at the start of a run, and the files of a finished pass.

use std::collections::{BTreeMap, BTreeSet};

use super::held::alone;
use super::outcome::{PassOutcome, segment_size};
use super::{RunError, RunOptions};
use crate::base::digest::Digest;
use crate::base::fs::read_text;
use crate::image::DECODER;
use crate::plan::{Pass, Plan, pass_name};
use crate::stats::Interval;
use crate::store::{
    CellRecord, CheckpointRecord, FORMAT, Manifest, Part, PartRow, Predictions, ProbeRecord, RaceRecord,
    SkippedExample, StoreError, SuiteRecord, Timing,
};
use crate::suite::Suite;
use crate::task::{Judged, TOP};

/// The manifest of this plan, with the cells of an earlier run that are still valid.
pub fn start_manifest(plan: &Plan, options: &RunOptions) -> Result<Manifest, RunError> {
    let suite = &plan.suite;
    let checkpoints = suite.checkpoints.iter().map(|c| {
        let info = &plan.checkpoints[&c.id];
        CheckpointRecord {
            id: c.id.clone(),
            role: c.role,
            method: c.method.clone(),
            seed: c.seed,
            source: c.source.clone(),
            digest: info.digest.clone(),
            tokenizer: info.tokenizer.clone(),
            preprocess: info.architecture.reader().record(),
        }
    });
    let probes = plan.probes.iter().map(|p| ProbeRecord {
        spec: p.spec.clone(),
        data: p.data_digest.clone(),
        licence: p.licence.clone(),
        examples: p.positions.len(),
        incomplete: p.incomplete.clone(),
        class_names: p.task.outputs().to_vec(),
        templates_used: p.task.candidates().map(|c| c.templates.clone()).unwrap_or_default(),
    });
    let mut manifest = Manifest {
        format: FORMAT.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: options.command.clone(),
        suite: suite_record(suite),
        numerics: plan.numerics.clone(),
        decoder: DECODER.to_owned(),
        checkpoints: checkpoints.collect(),
        probes: probes.collect(),
        variants: plan.variants.clone(),
        curves: plan.curves.clone(),
        references: plan.references.clone(),
        planned: plan.cells.len(),
        race: plan.until.map(|u| RaceRecord { rule: u.to_string(), passes: BTreeMap::new() }),
        cells: Vec::new(),
        stale: Vec::new(),
        skipped: Vec::new(),
        timing: Timing::default(),
    };
    if !Manifest::path(&options.out).is_file() {
        return Ok(manifest);
    }
    let old = Manifest::read(&options.out)?;
    take_over(plan, options, &mut manifest, &old);
    if let (Some(race), Some(earlier)) =
        (&mut manifest.race, old.race.filter(|r| Some(&r.rule) == plan.until.map(|u| u.to_string()).as_ref()))
    {
        race.passes = earlier.passes;
    }
    Ok(manifest)
}

fn suite_record(suite: &Suite) -> SuiteRecord {
    SuiteRecord {
        name: suite.name.clone(),
        description: suite.description.clone(),
        digest: suite.digest(),
        text: suite.text.clone(),
        speciality: suite.speciality,
        generality: suite.generality,
        stats: suite.stats,
        gate: suite.gate.clone(),
    }
}

/// Takes finished cells of another manifest over: those of this plan, unless all is to be done again, and as stale ones
/// those that some other plan may want. A file that was changed or lost since is evaluated again.
fn take_over(plan: &Plan, options: &RunOptions, manifest: &mut Manifest, old: &Manifest) {
    let wanted: BTreeMap<(&str, &str), &Digest> =
        plan.cells.iter().map(|c| (plan.ids(c), &c.fingerprint)).collect();
    let known: BTreeSet<(String, String)> =
        manifest.cells.iter().chain(&manifest.stale).map(|c| (c.variant.clone(), c.probe.clone())).collect();
    for record in old.cells.iter().chain(&old.stale) {
        if known.contains(&(record.variant.clone(), record.probe.clone())) {
            continue;
        }
        let path = Predictions::path(&options.out, &record.variant, &record.probe);
        if !Digest::of_file(&path).is_ok_and(|d| d == record.file) {
            continue;
        }
        let fits =
            wanted.get(&(record.variant.as_str(), record.probe.as_str())) == Some(&&record.fingerprint);
        if fits && !options.fresh {
            manifest.cells.push(record.clone());
            let key = format!("{}/{}", record.variant, record.probe);
            if let Some(&seconds) = old.timing.cells.get(&key) {
                manifest.timing.cells.insert(key, seconds);
            }
        } else {
            manifest.stale.push(record.clone());
        }
    }
    let read: Vec<String> = plan.probes.iter().map(|p| pass_name(&p.spec)).collect();
    manifest.skipped.extend(old.skipped.iter().filter(|s| read.contains(&s.data)).cloned());
    manifest.skipped.sort();
    manifest.skipped.dedup();
    sort_cells(plan, manifest);
}

/// Cells in the order of the plan.
fn sort_cells(plan: &Plan, manifest: &mut Manifest) {
    let order: BTreeMap<String, usize> =
        plan.cells.iter().enumerate().map(|(i, c)| (plan.cell_name(c), i)).collect();
    manifest.cells.sort_by_key(|c| order.get(&format!("{}/{}", c.variant, c.probe)).copied());
}

/// Takes over what other runs on this folder have finished meanwhile.
fn join_others(plan: &Plan, options: &RunOptions, manifest: &mut Manifest) {
    // A manifest that cannot be read is replaced; its cells are evaluated again.
    if let Ok(others) = Manifest::read(&options.out)
        && !options.fresh
    {
        take_over(plan, options, manifest, &others);
    }
}

/// Writes the manifest, with what other runs on this folder have finished meanwhile.
pub fn publish(plan: &Plan, options: &RunOptions, manifest: &mut Manifest) -> Result<(), RunError> {
    alone(&options.out, || {
        join_others(plan, options, manifest);
        Ok(manifest.write(&options.out)?)
    })
}

/// Whether every cell of a pass is finished, here or by another run.
pub fn is_finished(plan: &Plan, options: &RunOptions, pass: &Pass, manifest: &mut Manifest) -> bool {
    join_others(plan, options, manifest);
    pass.cells.iter().all(|&c| {
        let (variant, probe) = plan.ids(&plan.cells[c]);
        manifest.cell(variant, probe).is_some()
    })
}

/// Joins a complete pass, publishes it and removes its parts, while nobody else does. Another run may have done so
/// meanwhile; then its result counts. Returns how many examples were left out.
pub fn conclude(
    plan: &Plan,
    options: &RunOptions,
    pass: &Pass,
    outcome: &PassOutcome,
    manifest: &mut Manifest,
    seconds: f64,
) -> Result<usize, RunError> {
    alone(&options.out, || {
        if is_finished(plan, options, pass, manifest) {
            return Ok(0);
        }
        let skipped = finish_pass(plan, options, pass, outcome, manifest)?;
        for &cell in &pass.cells {
            let share = seconds / pass.cells.len() as f64;
            manifest.timing.cells.insert(plan.cell_name(&plan.cells[cell]), share);
        }
        manifest.write(&options.out)?;
        remove_parts(options, pass);
        Ok(skipped)
    })
}

/// Joins the parts of a complete pass into one file per cell; returns how many were left out.
fn finish_pass(
    plan: &Plan,
    options: &RunOptions,
    pass: &Pass,
    outcome: &PassOutcome,
    manifest: &mut Manifest,
) -> Result<usize, RunError> {
    let part = |i| Part::path(&options.out, pass.key.short(), i);
    // All of them, or the rounds that a race needed.
    let segments: Vec<usize> =
        (0..pass.positions.len().div_ceil(segment_size(plan))).filter(|&i| part(i).is_file()).collect();
    // Neighbouring cells are read together, as many as memory allows, so that parts are not read once a cell.
    let at_once = (ROWS_AT_ONCE / pass.positions.len().max(1)).max(1);
    for (chunk, indices) in pass.cells.chunks(at_once).enumerate() {
        let first = (chunk * at_once) as u32;
        let mut by_cell: Vec<Vec<PartRow>> = vec![Vec::new(); indices.len()];
        for &segment in &segments {
            for row in Part::read_cells(&part(segment), first..first + indices.len() as u32)? {
                by_cell[(row.cell - first) as usize].push(row);
            }
        }
        for (place, (rows, &index)) in by_cell.into_iter().zip(indices).enumerate() {
            let sequence = outcome.race.as_ref().map(|(_, intervals)| intervals[first as usize + place]);
            let record = write_cell(plan, options, index, rows, sequence)?;
            let same = |c: &CellRecord| c.variant == record.variant && c.probe == record.probe;
            manifest.cells.retain(|c| !same(c));
            manifest.stale.retain(|c| !same(c));
            manifest.cells.push(record);
        }
    }
    sort_cells(plan, manifest);

    let mut skipped = Vec::new();
    for &segment in &segments {
        let path = part(segment).with_extension("skipped.json");
        if path.is_file() {
            let text = read_text(&path).map_err(StoreError::from)?;
            let list: Vec<SkippedExample> = serde_json::from_str(&text)
                .map_err(|e| StoreError::Manifest { path, reason: e.to_string() })?;
            skipped.extend(list);
        }
    }
    if let (Some(race), Some((seen, _))) = (&mut manifest.race, &outcome.race) {
        race.passes.insert(pass.name.clone(), (*seen, pass.positions.len()));
    }
    let count = skipped.len();
    manifest.skipped.extend(skipped);
    manifest.skipped.sort();
    manifest.skipped.dedup();
    Ok(count)
}

/// Rows of predictions that are held at once when parts are joined.
const ROWS_AT_ONCE: usize = 4 << 20;

/// Writes the predictions of one cell.
fn write_cell(
    plan: &Plan,
    options: &RunOptions,
    index: usize,
    mut rows: Vec<PartRow>,
    sequence: Option<Interval>,
) -> Result<CellRecord, RunError> {
    let cell = &plan.cells[index];
    let (variant, probe) = (&plan.variants[cell.variant].id, &plan.probes[cell.probe]);
    if rows.is_empty() {
        return Err(RunError::NothingLeft(probe.spec.id.clone()));
    }
    let examples = probe.data.examples();
    let kept = probe.task.kept();
    let mut all = Predictions {
        k: probe.task.outputs().len().min(TOP),
        numbers: kept.numbers.iter().map(|n| ((*n).to_owned(), Vec::new())).collect(),
        lists: kept.lists.iter().map(|n| ((*n).to_owned(), Vec::new())).collect(),
        texts: kept.text.then(Vec::new),
        ..Predictions::default()
    };
    rows.sort_by_key(|r| r.position);
    for row in rows {
        let example = &examples[row.position as usize];
        all.example_id.push(example.id.clone());
        let Judged { choice, numbers, lists, text } = row.judged;
        all.label.push(probe.target(row.position as usize));
        all.prediction.push(choice.prediction);
        all.score.push(choice.score);
        all.loss.push(choice.loss);
        all.top_classes.extend_from_slice(&choice.top_classes[..all.k]);
        all.top_logits.extend_from_slice(&choice.top_logits[..all.k]);
        all.numbers.iter_mut().zip(numbers).for_each(|(column, value)| column.1.push(value));
        all.lists.iter_mut().zip(lists).for_each(|(column, values)| column.1.push(values));
        if let (Some(texts), Some(text)) = (&mut all.texts, text) {
            texts.push(text);
        }
    }
    let path = Predictions::path(&options.out, variant, &probe.spec.id);
    all.write(&path)?;
    Ok(CellRecord {
        variant: variant.clone(),
        probe: probe.spec.id.clone(),
        fingerprint: cell.fingerprint.clone(),
        inputs: Some(cell.inputs.clone()),
        file: Digest::of_file(&path).map_err(StoreError::from)?,
        examples: all.label.len(),
        head: plan.head(cell),
        sequence,
        stated: std::collections::BTreeMap::new(),
    })
}

/// Removes the parts of a finished pass. A shard that comes late may write there at this moment; what it leaves goes
/// with the whole folder when all is finished.
fn remove_parts(options: &RunOptions, pass: &Pass) {
    let first = Part::path(&options.out, pass.key.short(), 0);
    let _ = std::fs::remove_dir_all(first.parent().unwrap_or(&options.out));
}
