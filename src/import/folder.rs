//! Found cells as a results folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::names::{self, plain};
use super::{Found, ImportError, Scores};
use crate::base::digest::Digest;
use crate::model::Numerics;
use crate::plan::{Curve, CurvePoint, Variant, VariantInputs};
use crate::report::{self, ReportData, Sheet};
use crate::stats::Aggregate;
use crate::store::{
    CellRecord, CheckpointRecord, FORMAT, Manifest, Predictions, ProbeRecord, SuiteRecord, Timing,
};
use crate::suite::{CheckpointRole, GateSpec, IntervalMethod, ProbeRole, ProbeSpec, StatsSpec};

/// What the files do not say.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The results folder.
    pub out: PathBuf,
    /// Name of the format, for the record.
    pub format: &'static str,
    /// The pretrained model.
    pub pretrained: Option<String>,
    /// Globs of probes that measure the speciality.
    pub speciality: Vec<String>,
    /// Globs of probes that choose alpha.
    pub selection: Vec<String>,
    /// Numbers of examples, by probe.
    pub examples: BTreeMap<String, usize>,
    /// The command line.
    pub command: Vec<String>,
}

/// What was imported.
pub struct Imported {
    /// The report.
    pub data: ReportData,
    /// Cells with examples, and all.
    pub cells: (usize, usize),
}

/// Writes a results folder and its report.
pub fn import(found: Vec<Found>, wanted: &Wanted) -> Result<Imported, ImportError> {
    let (mut variants, mut probes): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut cells = Scores::new();
    for cell in found {
        for (list, name) in [(&mut variants, &cell.variant), (&mut probes, &cell.probe)] {
            if !list.contains(name) {
                list.push(name.clone());
            }
        }
        let key = (cell.variant.clone(), cell.probe.clone());
        if cells.insert(key, cell.clone()).is_some() {
            let (variant, probe) = (cell.variant, cell.probe);
            return Err(ImportError::Unfit(format!(
                "`{variant}` has two scores on `{probe}`; import them apart"
            )));
        }
    }
    let pretrained = pretrained(&variants, wanted)?;
    let curves = curves(&variants, &pretrained);
    let records = probes.iter().map(|p| probe(p, &cells, wanted)).collect::<Result<Vec<_>, _>>()?;
    for (globs, what) in [(&wanted.speciality, "--speciality"), (&wanted.selection, "--selection")] {
        for glob in globs {
            if !probes.iter().any(|p| matches(glob, p)) {
                return Err(ImportError::Unfit(format!(
                    "`{what} {glob}` is none of the probes: {}",
                    probes.join(", ")
                )));
            }
        }
    }
    let mut written = Vec::new();
    for ((variant, probe), cell) in &cells {
        written.push(write(cell, variant, probe, wanted)?);
    }
    let with_rows = written.iter().filter(|c| c.stated.is_empty()).count();
    let manifest = manifest(wanted, &variants, &pretrained, curves, records, written);
    manifest.write(&wanted.out)?;
    let all = manifest.cells.len();
    Ok(Imported { data: report::build(&wanted.out, Sheet::SCREEN)?, cells: (with_rows, all) })
}

fn matches(glob: &str, name: &str) -> bool {
    glob::Pattern::new(glob).is_ok_and(|g| g.matches(name))
}

fn pretrained(variants: &[String], wanted: &Wanted) -> Result<String, ImportError> {
    let list = || variants.iter().take(12).map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ");
    if let Some(name) = &wanted.pretrained {
        let near = variants.iter().find(|v| *v == name || **v == plain(name));
        return near.cloned().ok_or_else(|| {
            ImportError::Unfit(format!("`--pretrained {name}` is none of the models: {}", list()))
        });
    }
    let usual = ["pretrained", "zero-shot", "zeroshot", "base"];
    let named: Vec<&String> =
        variants.iter().filter(|v| usual.contains(&v.to_lowercase().as_str())).collect();
    let start: Vec<&String> =
        variants.iter().filter(|v| names::alpha(v).is_some_and(|(_, a)| a == 0.0)).collect();
    match (&named[..], &start[..]) {
        ([one], _) | ([], [one]) => Ok((*one).clone()),
        _ => Err(ImportError::Unfit(format!(
            "which model is the pretrained one? Say it with `--pretrained NAME`: {}",
            list()
        ))),
    }
}

/// Curves of the variants that name an alpha; the ends are the pretrained model and the variant without one.
fn curves(variants: &[String], pretrained: &str) -> Vec<Curve> {
    let mut points: BTreeMap<String, Vec<CurvePoint>> = BTreeMap::new();
    for variant in variants {
        if let Some((curve, alpha)) = names::alpha(variant) {
            points.entry(curve).or_default().push(CurvePoint { alpha, variant: variant.clone() });
        }
    }
    let curve = |(id, mut points): (String, Vec<CurvePoint>)| {
        for (alpha, end) in [(0.0, pretrained), (1.0, id.as_str())] {
            let there = points.iter().any(|p| p.alpha == alpha);
            if !there && variants.iter().any(|v| v == end) {
                points.push(CurvePoint { alpha, variant: end.to_owned() });
            }
        }
        points.sort_by(|a, b| a.alpha.total_cmp(&b.alpha));
        let last = points.last()?.variant.clone();
        let from = points.first()?.variant.clone();
        let whole = points.len() > 1;
        whole.then(|| Curve {
            id: id.clone(),
            merge: "wise-ft".to_owned(),
            from,
            to: last,
            method: id,
            points,
        })
    };
    points.into_iter().filter_map(curve).collect()
}

/// A probe, whose cells must be of the same questions.
fn probe(name: &str, cells: &Scores, wanted: &Wanted) -> Result<ProbeRecord, ImportError> {
    let own: Vec<&Found> = cells.values().filter(|c| c.probe == name).collect();
    let mut questions: Option<(&str, &str)> = None;
    let mut outputs = vec!["right".to_owned(), "wrong".to_owned()];
    let mut metric = own.first().and_then(|c| c.scores.first()).map_or("acc", |s| s.0);
    for cell in &own {
        // Of several metrics the one that all cells have.
        if !cell.scores.iter().any(|s| s.0 == metric) {
            metric = cell.scores.first().map_or(metric, |s| s.0);
        }
        let Some(rows) = &cell.rows else { continue };
        match questions {
            Some((other, of)) if of != rows.questions => {
                let variant = &cell.variant;
                return Err(ImportError::Unfit(format!(
                    "`{variant}` and `{other}` were asked other questions on `{name}`; import them apart"
                )));
            }
            _ => questions = Some((&cell.variant, &rows.questions)),
        }
        if rows.outputs.len() > outputs.len() {
            outputs.clone_from(&rows.outputs);
        }
    }
    let examples = own.iter().filter_map(|c| c.scores.first()?.1.n).max();
    let covered = |globs: &[String]| globs.iter().any(|g| matches(g, name));
    let role = if covered(&wanted.selection) {
        ProbeRole::Selection
    } else if covered(&wanted.speciality) {
        ProbeRole::Speciality
    } else {
        ProbeRole::Generality
    };
    Ok(ProbeRecord {
        spec: ProbeSpec {
            id: name.to_owned(),
            dataset: name.to_owned(),
            split: "test".to_owned(),
            role,
            group: role.name().to_owned(),
            metric: metric.to_owned(),
            classes: crate::data::ClassSubset::All,
            limit: None,
            templates: None,
            cluster: None,
            corruption: None,
            task: None,
        },
        data: Digest::of_value(&(name, questions.map(|q| q.1))),
        licence: "not stated".to_owned(),
        examples: wanted.examples.get(name).copied().or(examples).unwrap_or(0),
        incomplete: None,
        class_names: outputs,
        templates_used: Vec::new(),
    })
}

fn write(cell: &Found, variant: &str, probe: &str, wanted: &Wanted) -> Result<CellRecord, ImportError> {
    let mut record = CellRecord {
        variant: variant.to_owned(),
        probe: probe.to_owned(),
        fingerprint: Digest::of_value(&(variant, probe, &cell.scores)),
        inputs: None,
        file: Digest::of_bytes(b""),
        examples: cell.scores.first().and_then(|s| s.1.n).unwrap_or(0),
        head: None,
        sequence: None,
        stated: BTreeMap::new(),
    };
    if let Some(rows) = &cell.rows {
        let path = Predictions::path(&wanted.out, variant, probe);
        rows.predictions.write(&path)?;
        record.file = Digest::of_file(&path)?;
        record.examples = rows.predictions.example_id.len();
        return Ok(record);
    }
    for (metric, stated) in &cell.scores {
        let mut stated = stated.clone();
        if let Some(n) = wanted.examples.get(probe) {
            let variance = (stated.value * (1.0 - stated.value)).max(0.0);
            stated.n = Some(*n);
            stated.stderr = stated.stderr.or(Some((variance / *n as f64).sqrt()));
            record.examples = *n;
        }
        record.stated.insert((*metric).to_owned(), stated);
    }
    Ok(record)
}

fn manifest(
    wanted: &Wanted,
    variants: &[String],
    pretrained: &str,
    curves: Vec<Curve>,
    probes: Vec<ProbeRecord>,
    cells: Vec<CellRecord>,
) -> Manifest {
    let checkpoint = |id: &String| CheckpointRecord {
        seed: None,
        id: id.clone(),
        role: if id == pretrained { CheckpointRole::Pretrained } else { CheckpointRole::Finetuned },
        method: (id != pretrained).then(|| id.clone()),
        source: format!("imported from {}", wanted.format),
        digest: Digest::of_value(&("imported", id)),
        tokenizer: Digest::of_bytes(b""),
        preprocess: serde_json::Value::Null,
    };
    let inside = |v: &&String| {
        let point = curves.iter().flat_map(|c| &c.points).find(|p| p.variant == **v);
        point.is_some_and(|p| p.alpha > 0.0 && p.alpha < 1.0)
    };
    let name = wanted.out.file_name().and_then(|n| n.to_str()).map_or("imported".to_owned(), plain);
    let text = format!("imported from {}", wanted.format);
    Manifest {
        format: FORMAT.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: wanted.command.clone(),
        suite: SuiteRecord {
            name,
            description: format!("Results of {}.", wanted.format),
            digest: Digest::of_bytes(text.as_bytes()),
            text,
            speciality: Aggregate::Mean,
            generality: Aggregate::Mean,
            stats: StatsSpec {
                confidence: 0.95,
                resamples: 2000,
                seed: 0,
                interval: IntervalMethod::default(),
            },
            gate: GateSpec::default(),
        },
        numerics: Numerics { dtype: "not stated".to_owned(), device: "not stated".to_owned() },
        decoder: "not stated".to_owned(),
        checkpoints: variants.iter().filter(|v| !inside(v)).map(checkpoint).collect(),
        variants: variants
            .iter()
            .map(|v| Variant { id: v.clone(), inputs: VariantInputs::Checkpoint(v.clone()) })
            .collect(),
        planned: variants.len() * probes.len(),
        probes,
        curves,
        references: Vec::new(),
        race: None,
        cells,
        stale: Vec::new(),
        skipped: Vec::new(),
        timing: Timing::default(),
    }
}
