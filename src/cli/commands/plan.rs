//! `specbench plan`.

use std::collections::BTreeMap;
use std::path::Path;

use super::{make_plan, only};
use crate::catalog::Catalog;
use crate::cli::answers::{PlanAnswer, ProbeAnswer};
use crate::cli::args::{ModelArgs, SelectArgs, SourceArgs};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::model::Numerics;
use crate::plan::{Cell, Plan, Probe};
use crate::report::Grid;
use crate::store::{CellRecord, Manifest};
use crate::suite::{CheckpointSpec, Suite};

/// Names the checkpoints whose parts a run decides.
fn say_what_is_chosen(suite: &Suite, output: &Output) {
    let selects = |c: &&CheckpointSpec| c.combine.as_ref().is_some_and(|c| c.select.is_some());
    for spec in suite.checkpoints.iter().filter(selects) {
        let text = format!("`{}` is chosen when the suite is run; planned as if all were averaged", spec.id);
        output.warning(&text);
    }
}

pub fn plan(
    suite: &Path,
    select: &SelectArgs,
    asked: (&ModelArgs, &SourceArgs),
    output: &Output,
) -> Result<Exit, CliError> {
    let soups = |suite: &mut Suite, _: &Catalog, _: &Numerics, _: &Path| {
        say_what_is_chosen(suite, output);
        Ok(())
    };
    let (plan, out) = make_plan(asked, output, suite, select, None, soups)?;
    let pattern = only(select)?;
    let old = if select.fresh { None } else { Manifest::read(&out).ok() };
    let done = |cell: &Cell| {
        let record = old.as_ref().and_then(|m| m.cell(plan.ids(cell).0, plan.ids(cell).1));
        record.is_some_and(|r| r.fingerprint == cell.fingerprint)
    };
    let todo = |cell: &Cell| {
        let chosen = pattern.as_ref().is_none_or(|p| p.matches(&plan.cell_name(cell)));
        chosen && !done(cell)
    };
    let stale = stale(&plan, old.as_ref(), todo);
    let cells_to_do = plan.cells.iter().filter(|c| todo(c)).count();
    let predictions: usize =
        plan.cells.iter().filter(|c| todo(c)).map(|c| plan.probes[c.probe].positions.len()).sum();
    let decoded: usize = plan.passes(todo).iter().map(|p| p.positions.len()).sum();
    if output.json {
        output.json(&PlanAnswer {
            suite: plan.suite.name.clone(),
            out,
            variants: plan.variants.iter().map(|v| v.id.clone()).collect(),
            probes: plan.probes.iter().map(probe_answer).collect(),
            heads: heads(&plan),
            stale,
            notes: plan.fallbacks(),
            cells: plan.cells.len(),
            cells_to_do,
            images_to_decode: decoded,
            predictions_to_make: predictions,
        });
        return Ok(Exit::Ok);
    }
    output.result(&probes(&plan).terminal(output.width));
    for (why, names) in &stale {
        let first = names.first().map_or("", String::as_str);
        let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
        output.result(&format!("to be evaluated again: {first}{more}: {why}"));
    }
    for curve in &plan.curves {
        let alphas: Vec<String> = curve.points.iter().map(|p| p.alpha.to_string()).collect();
        output.result(&format!(
            "curve {} to {} ({}): alpha {}",
            curve.from,
            curve.to,
            curve.merge,
            alphas.join(", ")
        ));
    }
    for (head, count) in heads_by_kind(&plan) {
        output.result(&format!("{head} head: {count} results"));
    }
    let finished = plan.cells.iter().filter(|c| done(c)).count();
    output.result(&summary(&plan, finished, cells_to_do, (decoded, predictions)));
    output.result(&format!("results: {}", out.display()));
    Ok(Exit::Ok)
}

fn probe_answer(p: &Probe) -> ProbeAnswer {
    ProbeAnswer {
        id: p.spec.id.clone(),
        examples: p.positions.len(),
        classes: p.task.outputs().len(),
        data: p.data_digest.as_str().to_owned(),
        licence: p.licence.clone(),
    }
}

/// How much there is and how much of it is to be done.
fn summary(plan: &Plan, finished: usize, to_do: usize, (read, predictions): (usize, usize)) -> String {
    let texts = plan.probes.iter().all(|p| p.spec.task.is_some());
    let what = if texts { "documents to read" } else { "images to decode" };
    format!(
        "{} variants, {} probes, {} results, {finished} finished, {to_do} to evaluate: {read} {what}, {predictions} predictions",
        plan.variants.len(),
        plan.probes.len(),
        plan.cells.len(),
    )
}

/// The cells that have a result which does not count any more, by what changed since.
fn stale(plan: &Plan, old: Option<&Manifest>, todo: impl Fn(&Cell) -> bool) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for cell in plan.cells.iter().filter(|c| todo(c)) {
        let (variant, probe) = plan.ids(cell);
        let same = |r: &&CellRecord| r.variant == variant && r.probe == probe;
        let Some(record) = old.and_then(|m| m.cells.iter().chain(&m.stale).find(same)) else { continue };
        let why = match &record.inputs {
            Some(before) => format!("{} differ", cell.inputs.changed(before).join(", ")),
            None => "the result is of an earlier version of this program".to_owned(),
        };
        all.entry(why).or_default().push(plan.cell_name(cell));
    }
    all
}

/// The head of every cell by `variant/probe`.
fn heads(plan: &Plan) -> BTreeMap<String, String> {
    plan.cells.iter().filter_map(|c| Some((plan.cell_name(c), plan.head(c)?.to_string()))).collect()
}

fn heads_by_kind(plan: &Plan) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for head in plan.cells.iter().filter_map(|c| plan.head(c)) {
        *all.entry(head.to_string()).or_insert(0) += 1;
    }
    all
}

fn probes(plan: &Plan) -> Grid {
    let headers = ["probe", "data set", "split", "role", "group", "metric", "examples", "classes", "licence"];
    let rows = plan
        .probes
        .iter()
        .map(|p| {
            vec![
                p.spec.id.clone(),
                p.spec.dataset.clone(),
                p.spec.split.clone(),
                p.spec.role.name().to_owned(),
                p.spec.group.clone(),
                p.spec.metric.clone(),
                p.positions.len().to_string(),
                p.task.outputs().len().to_string(),
                p.licence.clone(),
            ]
        })
        .collect();
    Grid {
        title: format!("Suite {}", plan.suite.name),
        headers: headers.map(str::to_owned).to_vec(),
        rows,
        notes: vec![],
    }
}
