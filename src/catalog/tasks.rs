//! Task files, and the data that they name themselves.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::read::{DOCUMENTS, NOT_STATED};
use super::{Catalog, CatalogError, DatasetEntry, Source, Split};
use crate::data::ColumnNames;
use crate::task::language::Definition;

/// Where tasks lie beside a registry, and beside a suite.
const TASKS: [&str; 2] = ["suites/tasks", "tasks"];

impl Catalog {
    /// The file of a task: a path that ends in `.yaml`, or a name among the tasks beside the suite and the registries.
    #[must_use]
    pub fn task_file(&self, name: &str) -> PathBuf {
        if name.ends_with(".yaml") || name.ends_with(".yml") {
            return self.find(Path::new(name));
        }
        let file = format!("{name}.yaml");
        let mut all = self.task_folders().map(|folder| folder.join(&file));
        all.find(|p| p.is_file()).unwrap_or_else(|| Path::new(TASKS[0]).join(&file))
    }

    fn task_folders(&self) -> impl Iterator<Item = PathBuf> {
        self.homes().flat_map(|home| TASKS.map(|tasks| home.join(tasks)))
    }

    /// The tasks that are known by name, in words.
    #[must_use]
    pub fn known_tasks(&self) -> String {
        let stem = |path: PathBuf| {
            let is_task = path.extension().is_some_and(|e| e == "yaml");
            path.file_stem().filter(|_| is_task).and_then(|s| s.to_str()).map(str::to_owned)
        };
        let entries = self.task_folders().filter_map(|f| std::fs::read_dir(f).ok()).flatten();
        let mut names: Vec<String> = entries.filter_map(Result::ok).filter_map(|e| stem(e.path())).collect();
        names.retain(|n| !n.starts_with('_'));
        names.sort();
        names.dedup();
        format!("known tasks: {}; or give the path of a file", names.join(", "))
    }

    /// The data of a probe: registered, or named by the task's own file.
    pub fn data_of(
        &self,
        dataset: &str,
        definition: Option<&Definition>,
    ) -> Result<Cow<'_, DatasetEntry>, CatalogError> {
        match definition.filter(|d| !d.files.is_empty()) {
            None => self.dataset(dataset).map(Cow::Borrowed),
            Some(definition) => Ok(Cow::Owned(entry(definition))),
        }
    }
}

/// A data set as a task file names it.
fn entry(definition: &Definition) -> DatasetEntry {
    let split = |(name, files): (&String, &Vec<PathBuf>)| {
        // From the working folder, whatever the registry's is.
        let absolute =
            |f: &PathBuf| std::path::absolute(f).unwrap_or_else(|_| f.clone()).display().to_string();
        let source = Source::Files(files.iter().map(absolute).collect());
        (name.clone(), Split { name: name.clone(), source, examples: None, expected: Vec::new() })
    };
    DatasetEntry {
        name: definition.name.clone(),
        summary: format!("the files of task `{}`", definition.name),
        layout: DOCUMENTS.to_owned(),
        licence: NOT_STATED.to_owned(),
        origin: "named by the task file".to_owned(),
        obtain: "the task file names it (`dataset_kwargs.data_files`)".to_owned(),
        classes: None,
        templates: None,
        folders: super::Folders::default(),
        border: 0,
        restrict: None,
        groups: None,
        columns: ColumnNames::default(),
        splits: definition.files.iter().map(split).collect::<BTreeMap<_, _>>(),
        archives: Vec::new(),
    }
}
