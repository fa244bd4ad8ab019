//! Reads `[[sweep]]`.

use super::alphas::{check_grid, parse_grid};
use super::names::{fill_seed, is_plain, known_checkpoint, read_seed_list};
use super::spec::{CheckpointRole, CheckpointSpec, GroupSpec, HeadRule, SweepSpec};
use crate::base::config::{Located, Section};
use crate::merge::{PATHS, PathMethod};

/// All sweeps; two that make one curve are a mistake.
pub fn read(root: &Section<'_>, checkpoints: &[CheckpointSpec]) -> Vec<SweepSpec> {
    let mut curves: Vec<String> = Vec::new();
    let mut all = Vec::new();
    for section in &root.sections("sweep") {
        let Some(written) = sweep(section, checkpoints) else { continue };
        for sweep in written {
            for id in sweep.to.iter().map(|to| sweep.curve(to)) {
                if curves.contains(&id) {
                    let message = format!("a second sweep makes the curve `{id}`");
                    section.note(section.span.clone(), message, Some("give one of them a `name`".to_owned()));
                }
                curves.push(id);
            }
            all.push(sweep);
        }
    }
    all
}

/// A sweep; with `seeds`, one for each, `{seed}` filled in.
fn sweep(section: &Section<'_>, checkpoints: &[CheckpointSpec]) -> Option<Vec<SweepSpec>> {
    let name = section.text("name");
    if let Some(name) = name.as_ref().filter(|n| !is_plain(&fill_seed(&n.value, Some(0)))) {
        let help = "use letters, digits, `-`, `_` and `.`".to_owned();
        section.note(name.span.clone(), format!("`{}` cannot name a curve", name.value), Some(help));
    }
    let merge = section.required_text("merge");
    if let Some(merge) = &merge {
        section.known(merge, &PATHS);
    }
    let from = section.required_text("from");
    let mut to = section.texts("to").unwrap_or_default();
    to = to.into_iter().flat_map(|name| matching(name, checkpoints)).collect();
    if to.is_empty() {
        section.note(section.span.clone(), "a sweep needs `to`, a list of checkpoint ids", None);
    }
    let seeds = seeds(section);
    for name in from.iter().chain(&to) {
        for &seed in &seeds {
            let name = Located { value: fill_seed(&name.value, seed), span: name.span.clone() };
            known_checkpoint(section, &name, checkpoints);
        }
    }
    for name in to.iter().filter(|name| from.as_ref().is_some_and(|f| f.value == name.value)) {
        section.note(name.span.clone(), "a sweep from a checkpoint to itself", None);
    }
    let alphas = alphas(section, merge.as_ref());
    let (include, exclude) = (section.globs("include"), section.globs("exclude"));
    let rules = [("interpolate", HeadRule::Interpolate), ("from", HeadRule::From), ("to", HeadRule::To)];
    let head = section.choice("head", &rules).map_or(HeadRule::Interpolate, |h| h.value);
    let groups = groups(section);
    check_outputs(section, merge.as_ref(), (&include, &exclude), head, &groups);
    section.finish();
    let (merge, from, alphas) = (merge?.value, from?.value, alphas?);
    let one = |&seed: &Option<u64>| SweepSpec {
        name: name.as_ref().map(|n| fill_seed(&n.value, seed)),
        merge: merge.clone(),
        from: fill_seed(&from, seed),
        to: to.iter().map(|t| fill_seed(&t.value, seed)).collect(),
        alphas: alphas.clone(),
        include: include.clone(),
        exclude: exclude.clone(),
        head,
        groups: groups.clone(),
    };
    Some(seeds.iter().map(one).collect())
}

/// The seeds that a sweep is repeated for; none alone if it is not.
fn seeds(section: &Section<'_>) -> Vec<Option<u64>> {
    let listed = read_seed_list(section).map(|l| l.value).unwrap_or_default();
    if listed.is_empty() { vec![None] } else { listed.into_iter().map(Some).collect() }
}

/// Parts that go different lengths of the way: `[[sweep.group]]`.
fn groups(section: &Section<'_>) -> Vec<GroupSpec> {
    let group = |part: &Section<'_>| {
        let tensors = part.globs("tensors");
        if tensors.is_empty() {
            part.note(part.span.clone(), "a group needs `tensors`, a list of globs", None);
        }
        let weight = part.number_in("weight", 1e-6..=1e6).map_or(1.0, |n| n.value);
        part.finish();
        GroupSpec { tensors, weight }
    };
    let sections = section.sections("group");
    if let [one] = &sections[..] {
        let message = "one group alone goes no further than others; name two or more";
        one.note(one.span.clone(), message, None);
    }
    sections.iter().map(group).collect()
}

/// What is about tensors means nothing where outputs are combined.
fn check_outputs(
    section: &Section<'_>,
    merge: Option<&Located<String>>,
    (include, exclude): (&[String], &[String]),
    head: HeadRule,
    groups: &[GroupSpec],
) {
    let Some(merge) = merge.filter(|m| PATHS.get(&m.value).is_some_and(PathMethod::of_outputs)) else {
        return;
    };
    if !include.is_empty() || !exclude.is_empty() || !groups.is_empty() || head != HeadRule::Interpolate {
        let text = format!(
            "`{}` combines outputs: `include`, `exclude`, `group` and `head` are about tensors",
            merge.value
        );
        section.note(merge.span.clone(), text, None);
    }
}

/// The fine-tuned checkpoints that a glob means; a plain name is itself.
fn matching(name: Located<String>, checkpoints: &[CheckpointSpec]) -> Vec<Located<String>> {
    let Some(glob) = glob::Pattern::new(&name.value).ok().filter(|_| name.value.contains(['*', '?'])) else {
        return vec![name];
    };
    let tuned = checkpoints.iter().filter(|c| c.role == CheckpointRole::Finetuned && glob.matches(&c.id));
    let all: Vec<_> = tuned.map(|c| Located { value: c.id.clone(), span: name.span.clone() }).collect();
    // One that means nothing stays, and is said to be unknown.
    if all.is_empty() { vec![name] } else { all }
}

/// The grid of alphas, within what the path allows.
fn alphas(section: &Section<'_>, merge: Option<&Located<String>>) -> Option<Vec<f64>> {
    let range = merge.and_then(|m| PATHS.get(&m.value)).map_or(0.0..=1.0, PathMethod::alphas);
    let Some(found) = section.numbers_or_text("alphas") else { return parse_grid("0:1:0.1").ok() };
    let grid = found.value.or_else(|text| parse_grid(&text));
    match grid.and_then(|g| check_grid(g, &range)) {
        Ok(grid) => Some(grid),
        Err(message) => {
            section.note(found.span, message, None);
            None
        }
    }
}
