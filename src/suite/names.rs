//! Names in suite files: of checkpoints and of registered things.

use std::collections::BTreeMap;

use super::spec::CheckpointSpec;
use crate::base::config::{Located, Section, Span};
use crate::base::registry::advice;

/// Whether a name can be part of a path on any system.
pub fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.chars().all(allowed) && !name.starts_with('.')
}

/// Notes a name that no checkpoint has.
pub fn known_checkpoint(section: &Section<'_>, name: &Located<String>, all: &[CheckpointSpec]) {
    if !all.iter().any(|c| c.id == name.value) {
        let help = advice(&name.value, all.iter().map(|c| c.id.as_str()));
        section.note(name.span.clone(), format!("no checkpoint is called `{}`", name.value), Some(help));
    }
}

/// Reads an id that must be a plain name and unique among `seen`.
pub fn read_id(section: &Section<'_>, seen: &mut BTreeMap<String, Span>, kind: &str) -> Option<String> {
    let id = section.required_text("id")?;
    // `{seed}` is filled in later.
    if !is_plain(&id.value.replace("{seed}", "0")) {
        let help = "use letters, digits, `-`, `_` and `.`".to_owned();
        section.note(id.span.clone(), format!("`{}` cannot name a {kind}", id.value), Some(help));
    }
    if seen.insert(id.value.clone(), id.span.clone()).is_some() {
        section.note(id.span, format!("a second {kind} is called `{}`", id.value), None);
    }
    Some(id.value)
}

/// A list of seeds, if there is one; what is none is noted, and an empty list.
pub fn read_seed_list(section: &Section<'_>) -> Option<Located<Vec<u64>>> {
    let list = section.numbers_or_text("seeds")?;
    let whole = |v: &f64| (*v >= 0.0 && v.fract() == 0.0).then_some(*v as u64);
    let seeds = list.value.ok().and_then(|l| l.iter().map(whole).collect::<Option<Vec<_>>>());
    let seeds = seeds.filter(|s| !s.is_empty()).unwrap_or_else(|| {
        section.note(list.span.clone(), "`seeds` must be a list of whole numbers", None);
        Vec::new()
    });
    Some(Located { value: seeds, span: list.span })
}

/// A text with the seed for `{seed}`.
pub fn fill_seed(text: &str, seed: Option<u64>) -> String {
    seed.map_or_else(|| text.to_owned(), |seed| text.replace("{seed}", &seed.to_string()))
}
