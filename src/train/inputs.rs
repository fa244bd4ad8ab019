//! What a recipe reads: its data sets, opened, and digests of everything that its result depends on.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::problem::Use;
use super::{Recipe, RecipeData, TrainError};
use crate::base::digest::Digest;
use crate::base::fs::FileError;
use crate::catalog::{Catalog, DatasetEntry, OpenSplit};
use crate::task::language::Definition;

/// One data set of a recipe, opened.
pub(super) struct OpenData<'a> {
    /// What the registry, or the task, says of it.
    pub entry: Cow<'a, DatasetEntry>,
    /// Its examples.
    pub open: OpenSplit,
    /// The task file that says what is learned, of texts.
    pub definition: Option<Definition>,
}

/// Opens one data set of a recipe.
pub(super) fn open_data<'a>(
    recipe: &Recipe,
    part: &RecipeData,
    catalog: &'a Catalog,
) -> Result<OpenData<'a>, TrainError> {
    let open = |file: &String| Definition::open(&catalog.task_file(file));
    let definition = part.task.as_ref().map(open).transpose().map_err(|e| recipe.mistake(e.to_string()))?;
    let entry = catalog.data_of(&part.dataset, definition.as_ref())?;
    let split = catalog.split(&entry, &part.split)?;
    if let Some(missing) = catalog.missing(split) {
        let (path, name, how) = (missing.display(), &entry.name, &entry.obtain);
        return Err(recipe.mistake(format!("`{path}` of data set `{name}` is missing; {how}")));
    }
    let open = catalog.open_split(&entry, split)?;
    Ok(OpenData { entry, open, definition })
}

/// Digests of the checkpoints and data that a recipe reads, by the key that names them.
pub(super) fn digests(recipe: &Recipe, catalog: &Catalog) -> Result<BTreeMap<String, String>, TrainError> {
    let mut all = BTreeMap::new();
    let mut add = |key: String, digest: Digest| all.insert(key, digest.as_str().to_owned());
    for (key, path) in [
        ("from", &recipe.from),
        ("finetuned", &recipe.finetuned),
        ("model", &recipe.model),
        ("tokenizer", &recipe.tokenizer),
    ] {
        if let Some(path) = path {
            add(key.to_owned(), of_path(path, catalog)?);
        }
    }
    for (i, (part, purpose)) in recipe.all_data().enumerate() {
        let data = open_data(recipe, part, catalog)?;
        // Texts have neither.
        let names = catalog.class_names(&data.entry, &*data.open.data).ok();
        let templates = catalog.templates(&data.entry).ok();
        let task = data.definition.map(|d| d.digest);
        let key = if purpose == Use::Held { "validation".to_owned() } else { format!("data {}", i + 1) };
        add(key, Digest::of_value(&(&data.open.digest, names, templates, task)));
    }
    Ok(all)
}

/// Of a file, or of the files of a folder; what a training wrote about itself is no part of a checkpoint.
fn of_path(path: &Path, catalog: &Catalog) -> Result<Digest, FileError> {
    if !path.is_dir() {
        return catalog.digests().of_file(path);
    }
    let entries = std::fs::read_dir(path).map_err(|e| FileError::new("read", path, e))?;
    let about = [super::written::RECIPE, super::written::LOG, super::Training::FILE];
    let is_own = |p: &PathBuf| p.file_name().is_some_and(|n| about.iter().any(|a| n == *a));
    let mut files: Vec<PathBuf> =
        entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_file() && !is_own(p)).collect();
    files.sort();
    let named = |p: &PathBuf| {
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned());
        Ok((name, catalog.digests().of_file(p)?))
    };
    let all: Vec<_> = files.iter().map(named).collect::<Result<_, FileError>>()?;
    Ok(Digest::of_value(&all))
}
