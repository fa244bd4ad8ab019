//! Reads `datasets.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::entry::{Archive, DatasetEntry, Folders, Source, Split, Templates};
use super::expected::Expected;
use crate::base::config::{ConfigError, Document, Section};
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::fs::{FileError, located, read_lines};
use crate::base::hub::{Hub, HubRepository};
use crate::base::registry::advice;
use crate::data::{ColumnNames, DataError, Dataset, FolderRule, LayoutOptions};

/// Why the registry cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file is missing.
    #[error(transparent)]
    File(#[from] FileError),
    /// `datasets.toml` has mistakes.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The data set is not registered.
    #[error("unknown data set `{name}`; {advice}")]
    UnknownDataset {
        /// As asked for.
        name: String,
        /// The nearest name or all names.
        advice: String,
    },
    /// The data set has no such split.
    #[error("data set `{dataset}` has no split `{split}`; {advice}")]
    UnknownSplit {
        /// The data set.
        dataset: String,
        /// As asked for.
        split: String,
        /// The nearest name or all names.
        advice: String,
    },
    /// A data set cannot be opened.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file is not the one that was registered.
    #[error("`{}` has digest {found}, the registry says {expected}; fetch or build it again", path.display())]
    WrongDigest {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: String,
        /// The registered digest.
        expected: Expected,
    },
    /// A template has no place for the class name.
    #[error("template `{template}` of data set `{dataset}` has no `{{}}` for the class name")]
    Template {
        /// The data set.
        dataset: String,
        /// The template.
        template: String,
    },
    /// It holds documents, not classes.
    #[error("data set `{0}` has no templates; a probe on documents needs a `task`")]
    NoTemplates(String),
    /// Nobody names the classes.
    #[error("data set `{0}` has no `classes` in the registry, and its files do not name them")]
    NoNames(String),
    /// A name or template holds what cannot be shown.
    #[error("`{}`: the line `{line}` holds a control character", path.display())]
    Control {
        /// The file.
        path: PathBuf,
        /// The line, escaped.
        line: String,
    },
    /// A file that should hold names or templates is empty.
    #[error("`{}` is empty", .0.display())]
    Empty(PathBuf),
}

/// The registry: a user's over the built-in one.
pub struct Catalog {
    /// Folders in which what a suite names is looked for, after its own: those of the registries, a user's first.
    roots: Vec<PathBuf>,
    /// The folder of the suite or recipe.
    home: PathBuf,
    hub: Hub,
    digests: FileDigests,
    entries: BTreeMap<String, DatasetEntry>,
    /// Names of a user's own registry, where there is one.
    own: Vec<String>,
}

impl Catalog {
    /// Reads a registry; its relative paths count from the folder it lies in, or else from the working folder.
    pub fn open(path: &Path) -> Result<Self, CatalogError> {
        let root = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut entries = read_entries(path)?;
        entries.values_mut().for_each(|e| e.locate(&root));
        let (hub, digests) = (Hub::default(), FileDigests::default());
        let own = entries.keys().cloned().collect();
        Ok(Self { roots: vec![root], home: PathBuf::new(), hub, digests, entries, own })
    }

    /// This registry over another: what both name is this one's.
    #[must_use]
    pub fn over(mut self, below: Self) -> Self {
        for (name, entry) in below.entries {
            self.entries.entry(name).or_insert(entry);
        }
        self.roots.extend(below.roots);
        self
    }

    /// The same for a suite or recipe in a folder: paths that it names are looked for there first.
    #[must_use]
    pub fn beside(mut self, home: &Path) -> Self {
        home.clone_into(&mut self.home);
        self
    }

    /// All data sets by name.
    pub fn entries(&self) -> impl Iterator<Item = &DatasetEntry> {
        self.entries.values()
    }

    /// The named data sets; if none is named, all of the registry that lies on top.
    pub fn chosen<'a>(&'a self, names: &[String]) -> std::vec::IntoIter<&'a DatasetEntry> {
        let wanted = if names.is_empty() { &self.own[..] } else { names };
        let all: Vec<&DatasetEntry> = self.entries.values().filter(|e| wanted.contains(&e.name)).collect();
        all.into_iter()
    }

    /// Finds a data set.
    pub fn dataset(&self, name: &str) -> Result<&DatasetEntry, CatalogError> {
        self.entries.get(name).ok_or_else(|| CatalogError::UnknownDataset {
            name: name.to_owned(),
            advice: advice(name, self.entries.keys().map(String::as_str)),
        })
    }

    /// Finds a split.
    pub fn split<'a>(&self, entry: &'a DatasetEntry, split: &str) -> Result<&'a Split, CatalogError> {
        entry.splits.get(split).ok_or_else(|| CatalogError::UnknownSplit {
            dataset: entry.name.clone(),
            split: split.to_owned(),
            advice: advice(split, entry.splits.keys().map(String::as_str)),
        })
    }

    /// A path that a suite names: beside the suite, in the working folder, or beside a registry. One that is nowhere stays as it
    /// is written.
    #[must_use]
    pub fn find(&self, path: &Path) -> PathBuf {
        let here = located(&self.home, path);
        if here.exists() {
            return here;
        }
        let mut below = self.roots.iter().map(|root| root.join(path));
        below.find(|p| p.exists()).unwrap_or(here)
    }

    /// Where a path that is not in the working folder was looked for first, if the suite lies elsewhere.
    #[must_use]
    pub fn beside_suite(&self, path: &Path) -> Option<PathBuf> {
        let elsewhere = !self.home.as_os_str().is_empty() && path.is_relative();
        elsewhere.then(|| self.home.join(path))
    }

    /// Folders in which tasks lie that are known by name.
    pub(super) fn homes(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.home).chain(&self.roots)
    }

    /// The files of a split as paths, whether or not they are there.
    #[must_use]
    pub fn files(&self, split: &Split) -> Vec<PathBuf> {
        match &split.source {
            Source::Files(files) => files.iter().map(|f| self.file(f)).collect(),
            Source::Installed { search, files } => {
                let has_all = |folder: &&PathBuf| files.iter().all(|f| folder.join(f).is_file());
                let folder = search.iter().find(has_all).or_else(|| search.first());
                let folder = folder.cloned().unwrap_or_default();
                files.iter().map(|f| folder.join(f)).collect()
            }
        }
    }

    fn file(&self, text: &str) -> PathBuf {
        match HubRepository::parse(text) {
            Ok((repository, path)) => self.hub.path(&repository, &path),
            Err(_) => PathBuf::from(text),
        }
    }

    /// What of a split lies on the hub: repository and path, which may be a folder.
    #[must_use]
    pub fn on_hub(&self, split: &Split) -> Vec<(HubRepository, String)> {
        match &split.source {
            Source::Files(files) => files.iter().filter_map(|f| HubRepository::parse(f).ok()).collect(),
            Source::Installed { .. } => Vec::new(),
        }
    }

    /// The hub that references are resolved with.
    #[must_use]
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The same registry with another way to the hub.
    #[must_use]
    pub fn with_hub(mut self, hub: Hub) -> Self {
        self.hub = hub;
        self
    }

    /// The same registry with digests that are kept between runs.
    #[must_use]
    pub fn with_digests(mut self, digests: FileDigests) -> Self {
        self.digests = digests;
        self
    }

    /// Digests of files.
    #[must_use]
    pub const fn digests(&self) -> &FileDigests {
        &self.digests
    }

    /// What the data set's layout needs to know besides the files.
    pub fn layout_options(&self, entry: &DatasetEntry, split: &str) -> Result<LayoutOptions, CatalogError> {
        let folders = match &entry.folders {
            Folders::Sorted => FolderRule::Sorted,
            Folders::Numeric => FolderRule::Numeric,
            Folders::Listed { path, others } => {
                FolderRule::Listed { names: self.lines(path)?, others: *others }
            }
        };
        let classes = entry.classes.as_ref().map(|c| self.lines(c)).transpose()?.unwrap_or_default();
        Ok(LayoutOptions { folders, split: split.to_owned(), classes, columns: entry.columns.clone() })
    }

    /// The class names in label order: the registry's, or those that the opened data bring along.
    pub fn class_names(&self, entry: &DatasetEntry, data: &dyn Dataset) -> Result<Vec<String>, CatalogError> {
        match &entry.classes {
            Some(path) => self.lines(path),
            None => data.class_names().ok_or_else(|| CatalogError::NoNames(entry.name.clone())),
        }
    }

    /// The templates of the zero-shot head.
    pub fn templates(&self, entry: &DatasetEntry) -> Result<Vec<String>, CatalogError> {
        let all = match &entry.templates {
            Some(Templates::File(path)) => self.lines(path)?,
            Some(Templates::One(text)) => vec![text.clone()],
            None => return Err(CatalogError::NoTemplates(entry.name.clone())),
        };
        Self::check_templates(&entry.name, all)
    }

    /// Templates that all have a place for the class name: without one, all classes would be the same text.
    pub fn check_templates(dataset: &str, all: Vec<String>) -> Result<Vec<String>, CatalogError> {
        match all.iter().find(|t| !t.contains("{}") && !t.contains("{c}")) {
            Some(template) => {
                Err(CatalogError::Template { dataset: dataset.to_owned(), template: template.clone() })
            }
            None => Ok(all),
        }
    }

    /// The lines of a names or templates file.
    pub fn lines(&self, path: &Path) -> Result<Vec<String>, CatalogError> {
        let lines = read_lines(path)?;
        if let Some(line) = lines.iter().find(|l| l.chars().any(char::is_control)) {
            return Err(CatalogError::Control {
                path: path.to_owned(),
                line: line.escape_debug().to_string(),
            });
        }
        if lines.is_empty() { Err(CatalogError::Empty(path.to_owned())) } else { Ok(lines) }
    }
}

/// The data sets of a registry file, as it writes them.
fn read_entries(path: &Path) -> Result<BTreeMap<String, DatasetEntry>, CatalogError> {
    Ok(read_document(&Document::open(path)?)?)
}

/// The data sets of a registry that is open.
pub(crate) fn read_document(document: &Document) -> Result<BTreeMap<String, DatasetEntry>, ConfigError> {
    let table = document.parse()?;
    let root = document.root(table.get_ref());
    let mut entries = BTreeMap::new();
    for (name, section) in root.named_sections() {
        if let Some(entry) = read_entry(&name.value, &section) {
            entries.insert(name.value, entry);
        }
        section.finish();
    }
    document.finish()?;
    Ok(entries)
}

/// A licence or an origin that the registry leaves out.
pub(super) const NOT_STATED: &str = "not stated";

/// The layout of documents, which have no classes.
pub(super) const DOCUMENTS: &str = "records";

fn read_entry(name: &str, section: &Section<'_>) -> Option<DatasetEntry> {
    let summary = section.text("summary");
    let layout = section.required_text("layout");
    let (licence, origin) = (section.text("licence"), section.text("origin"));
    let obtain = section.text("obtain");
    let classes = section.text("classes").map(|c| c.value.into());
    let documents = layout.as_ref().is_some_and(|l| l.value == DOCUMENTS);
    let templates = read_templates(section, documents);
    let search = section.texts("search");
    let others = section.flag("other_folders_left_out").is_some_and(|f| f.value);
    let folders = match section.text("folders").map(|f| f.value).as_deref() {
        None | Some("sorted") => Folders::Sorted,
        Some("numeric") => Folders::Numeric,
        Some(path) => Folders::Listed { path: path.into(), others },
    };
    let border = section.count("border").map_or(0, |b| b.value as usize);
    let restrict = section.text("restrict").map(|r| r.value.into());
    let groups = section.text("groups").map(|g| g.value.into());
    let mut columns = ColumnNames::default();
    if let Some(names) = section.section("columns") {
        let text = |key: &'static str| names.text(key).map(|t| t.value);
        columns = ColumnNames { image: text("image"), label: text("label"), id: text("id") };
        names.finish();
    }
    let archives = section.sections("archive").iter().filter_map(read_archive).collect();
    let mut splits = BTreeMap::new();
    if let Some(all) = section.required_section("split") {
        for (split, part) in all.named_sections() {
            if let Some(found) = read_split(&split.value, &part, search.as_deref()) {
                splits.insert(split.value, found);
            }
            part.finish();
        }
    }
    if let Some(layout) = &layout
        && crate::data::LAYOUTS.get(&layout.value).is_none()
    {
        let (message, help) = crate::data::LAYOUTS.unknown(&layout.value);
        section.note(layout.span.clone(), message, Some(help));
    }
    Some(DatasetEntry {
        name: name.to_owned(),
        summary: summary.map_or_else(|| name.to_owned(), |s| s.value),
        layout: layout?.value,
        licence: licence.map_or_else(|| NOT_STATED.to_owned(), |l| l.value),
        origin: origin.map_or_else(|| NOT_STATED.to_owned(), |o| o.value),
        obtain: obtain.map(|o| o.value).unwrap_or_default(),
        classes,
        templates,
        folders,
        border,
        restrict,
        groups,
        columns,
        splits,
        archives,
    })
}

fn read_templates(section: &Section<'_>, documents: bool) -> Option<Templates> {
    match (section.text("templates"), section.text("template")) {
        (Some(file), None) => Some(Templates::File(file.value.into())),
        (None, Some(text)) => Some(Templates::One(text.value)),
        (None, None) if documents => None,
        _ => {
            let message = "a data set needs either `templates` (a file) or `template` (a text)";
            section.note(section.span.clone(), message, None);
            None
        }
    }
}

fn read_split(
    name: &str,
    section: &Section<'_>,
    search: Option<&[crate::base::config::Located<String>]>,
) -> Option<Split> {
    let examples = section.count("examples").map(|c| c.value);
    let sha256 = section.texts("sha256").unwrap_or_default();
    let files = section.texts("files");
    if files.is_none() {
        section.note(section.span.clone(), format!("split `{name}` lacks `files`"), None);
    }
    let files = files?;
    for file in files.iter().filter(|f| f.value.starts_with("hf:")) {
        if let Err(error) = HubRepository::parse(&file.value) {
            section.note(file.span.clone(), error.to_string(), None);
        }
    }
    let files: Vec<String> = files.into_iter().map(|f| f.value).collect();
    if !sha256.is_empty() && sha256.len() != files.len() {
        let message = format!("{} digests for {} files", sha256.len(), files.len());
        section.note(section.span.clone(), message, None);
    }
    let source = match search {
        Some(folders) => {
            Source::Installed { search: folders.iter().map(|f| PathBuf::from(&f.value)).collect(), files }
        }
        None => Source::Files(files),
    };
    let mut expected = Vec::new();
    for digest in &sha256 {
        match Expected::parse(&digest.value) {
            Ok(value) => expected.push(value),
            Err(message) => section.note(digest.span.clone(), message, None),
        }
    }
    Some(Split { name: name.to_owned(), source, examples, expected })
}

fn read_archive(section: &Section<'_>) -> Option<Archive> {
    let (file, url) = (section.required_text("file"), section.required_text("url"));
    let (bytes, sha256) = (section.count("bytes"), section.required_text("sha256"));
    if bytes.is_none() {
        section.note(section.span.clone(), "an archive needs its size in `bytes`", None);
    }
    let sha256 = sha256.and_then(|d| {
        let parsed = Digest::try_from(d.value);
        parsed.map_err(|message| section.note(d.span, message, None)).ok()
    });
    section.finish();
    Some(Archive { file: file?.value, url: url?.value, bytes: bytes?.value, sha256: sha256? })
}
