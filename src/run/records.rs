//! The manifest at the start of a run, and the files of a finished pass.

use std::collections::BTreeMap;

use super::engine::{Outcome, segment_size};
use super::{RunError, RunOptions};
use crate::base::digest::Digest;
use crate::base::fs::{FileError, read_text};
use crate::image::DECODER;
use crate::plan::{Pass, Plan};
use crate::store::{
    CellRecord, CheckpointRecord, FORMAT, Manifest, Part, Predictions, ProbeRecord, RaceRecord,
    SkippedExample, StoreError, SuiteRecord, TOP, Timing,
};

/// The manifest of this plan, with the cells of an earlier run that are still valid.
pub fn start_manifest(plan: &Plan, options: &RunOptions) -> Result<Manifest, RunError> {
    let suite = &plan.suite;
    let checkpoints = suite.checkpoints.iter().map(|c| {
        let info = &plan.checkpoints[&c.id];
        CheckpointRecord {
            id: c.id.clone(),
            role: c.role,
            method: c.method.clone(),
            source: c.source.clone(),
            digest: info.digest.clone(),
            tokenizer: info.tokenizer.clone(),
            preprocess: info.preprocessor().clone(),
        }
    });
    let probes = plan.probes.iter().map(|p| ProbeRecord {
        spec: p.spec.clone(),
        data: p.data_digest.clone(),
        licence: p.licence.clone(),
        examples: p.positions.len(),
        incomplete: p.incomplete.clone(),
        class_names: p.classes.outputs.clone(),
        templates_used: p.templates.clone(),
    });
    let mut manifest = Manifest {
        format: FORMAT.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: options.command.clone(),
        suite: SuiteRecord {
            name: suite.name.clone(),
            description: suite.description.clone(),
            digest: suite.digest(),
            text: suite.text.clone(),
            speciality: suite.speciality,
            generality: suite.generality,
            stats: suite.stats,
            gate: suite.gate.clone(),
        },
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
        skipped: Vec::new(),
        timing: Timing::default(),
    };
    if options.fresh || !Manifest::path(&options.out).is_file() {
        return Ok(manifest);
    }
    let old = Manifest::read(&options.out)?;
    for cell in &plan.cells {
        let (variant, probe) = plan.ids(cell);
        let kept = old.cell(variant, probe).filter(|r| r.fingerprint == cell.fingerprint);
        let Some(record) = kept else { continue };
        let path = Predictions::path(&options.out, variant, probe);
        // A file that was changed or lost since is evaluated again.
        if Digest::of_file(&path).is_ok_and(|d| d == record.file) {
            manifest.cells.push(record.clone());
            let key = plan.cell_name(cell);
            if let Some(&seconds) = old.timing.cells.get(&key) {
                manifest.timing.cells.insert(key, seconds);
            }
        }
    }
    if let (Some(race), Some(earlier)) =
        (&mut manifest.race, old.race.filter(|r| Some(&r.rule) == plan.until.map(|u| u.to_string()).as_ref()))
    {
        race.passes = earlier.passes;
    }
    let read: Vec<String> = plan.probes.iter().map(split_name).collect();
    manifest.skipped = old.skipped.into_iter().filter(|s| read.contains(&s.data)).collect();
    Ok(manifest)
}

fn split_name(probe: &crate::plan::Probe) -> String {
    format!("{}/{}", probe.spec.dataset, probe.spec.split)
}

/// Joins the parts of a complete pass into one file per cell; returns how many were left out.
pub fn finish_pass(
    plan: &Plan,
    options: &RunOptions,
    pass: &Pass,
    outcome: &Outcome,
    manifest: &mut Manifest,
) -> Result<usize, RunError> {
    let part = |i| Part::path(&options.out, pass.key.short(), i);
    // All of them, or the rounds that a race needed.
    let segments: Vec<usize> =
        (0..pass.positions.len().div_ceil(segment_size(plan))).filter(|&i| part(i).is_file()).collect();
    for (number, &index) in pass.cells.iter().enumerate() {
        let cell = &plan.cells[index];
        let (variant, probe) = (&plan.variants[cell.variant].id, &plan.probes[cell.probe]);
        let examples = probe.data.examples();
        let mut all = Predictions { k: probe.classes.outputs.len().min(TOP), ..Predictions::default() };
        let mut rows = Vec::new();
        for &segment in &segments {
            rows.extend(Part::read(&part(segment), number as u32)?);
        }
        rows.sort_by_key(|r| r.position);
        for row in rows {
            let example = &examples[row.position as usize];
            all.example_id.push(example.id.clone());
            all.label.push(probe.classes.output(example.label).unwrap_or_default());
            all.prediction.push(row.prediction);
            all.score.push(row.score);
            all.loss.push(row.loss);
            all.top_classes.extend_from_slice(&row.top_classes[..all.k]);
            all.top_logits.extend_from_slice(&row.top_logits[..all.k]);
        }
        let path = Predictions::path(&options.out, variant, &probe.spec.id);
        all.write(&path)?;
        manifest.cells.retain(|c| c.variant != *variant || c.probe != probe.spec.id);
        manifest.cells.push(CellRecord {
            variant: variant.clone(),
            probe: probe.spec.id.clone(),
            fingerprint: cell.fingerprint.clone(),
            file: Digest::of_file(&path).map_err(StoreError::from)?,
            examples: all.label.len(),
            head: Some(plan.head(cell)),
            sequence: outcome.race.as_ref().map(|(_, intervals)| intervals[number]),
        });
    }
    let order: BTreeMap<String, usize> =
        plan.cells.iter().enumerate().map(|(i, c)| (plan.cell_name(c), i)).collect();
    manifest.cells.sort_by_key(|c| order.get(&format!("{}/{}", c.variant, c.probe)).copied());

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

/// Removes the parts of a finished pass.
pub fn remove_parts(options: &RunOptions, pass: &Pass) -> Result<(), RunError> {
    let first = Part::path(&options.out, pass.key.short(), 0);
    let folder = first.parent().unwrap_or(&options.out);
    std::fs::remove_dir_all(folder).map_err(|e| StoreError::from(FileError::new("remove", folder, e)))?;
    // Gone with the last pass; while others remain it is not empty and stays.
    let _ = folder.parent().map(std::fs::remove_dir);
    Ok(())
}
