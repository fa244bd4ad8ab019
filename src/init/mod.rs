//! A suite for a user's own data and checkpoints: looks at the folder and at the models, and writes files that run as they
//! stand and are meant to be edited.

mod images;
mod texts;

use std::path::{Path, PathBuf};

use crate::base::fs::{FileError, write_atomic};
use crate::data::DataError;
use crate::model::{Architecture, ModelError, open};
use crate::task::AskKind;

/// Why no suite can be written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A checkpoint cannot be opened.
    #[error("checkpoint `{}`: {source}", path.display())]
    Model {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        source: ModelError,
    },
    /// What is there is not what a suite can be made of.
    #[error("`{}` {reason}", path.display())]
    Unfit {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct InitRequest {
    /// The folder with data.
    pub data: PathBuf,
    /// The pretrained checkpoint.
    pub from: PathBuf,
    /// The fine-tuned ones.
    pub to: Vec<PathBuf>,
    /// The folder to write into.
    pub out: PathBuf,
    /// Whether files that are there are written over.
    pub force: bool,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct InitResult {
    /// The suite.
    pub suite: PathBuf,
    /// Every file.
    pub files: Vec<PathBuf>,
    /// What was found and decided, one remark each.
    pub remarks: Vec<String>,
}

/// What of a suite depends on the data.
struct Drafted {
    /// Tables of `datasets.toml`, if the data need some.
    registry: Option<String>,
    /// `[[probe]]` tables with their comments.
    probes: String,
    /// Further files: name and content.
    files: Vec<(String, String)>,
    remarks: Vec<String>,
}

/// Looks at data and checkpoints, and writes a suite.
///
/// # Errors
/// If there is nothing in the folder that a suite can be made of, a checkpoint cannot be opened, or a file is there already.
pub fn init(request: &InitRequest) -> Result<InitResult, InitError> {
    let wrap = |path: &Path| {
        let path = path.to_owned();
        move |source| InitError::Model { path, source }
    };
    let base = open(&request.from, None).map_err(wrap(&request.from))?;
    let images = base.can(AskKind::Choose).is_ok();
    let mut tuned = Vec::new();
    for path in &request.to {
        let whole = open(path, None);
        let over = whole.is_err();
        let opened = match whole {
            Ok(opened) => opened,
            // Adapters, heads and learned context belong to the pretrained model.
            Err(_) => base.over(path, None).map_err(wrap(path))?,
        };
        if opened.model_type() != base.model_type() {
            let reason =
                format!("is `{}`, the pretrained model is `{}`", opened.model_type(), base.model_type());
            return Err(InitError::Unfit { path: path.clone(), reason });
        }
        tuned.push((path, over));
    }
    let name = name_of(&request.data);
    let drafted = if images { images::draft(request, &name)? } else { texts::draft(request, &name)? };
    let mut remarks = vec![about(&*base, images)];
    remarks.extend(drafted.remarks);
    let suite_file = format!("{name}.toml");
    let suite = suite(request, &name, images, &tuned, &drafted.probes);
    let mut files = vec![(suite_file.clone(), suite)];
    files.extend(drafted.registry.map(|text| (crate::base::embedded::REGISTRY_FILE.to_owned(), text)));
    files.extend(drafted.files);
    let files: Vec<(PathBuf, String)> =
        files.into_iter().map(|(name, text)| (request.out.join(name), text)).collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists() && !request.force) {
        let reason = "is there already; `--force` writes over it, `--out DIR` writes elsewhere".to_owned();
        return Err(InitError::Unfit { path: path.clone(), reason });
    }
    for (path, text) in &files {
        write_atomic(path, text.as_bytes())?;
    }
    let suite = request.out.join(suite_file);
    Ok(InitResult { suite, files: files.into_iter().map(|f| f.0).collect(), remarks })
}

fn about(base: &dyn Architecture, images: bool) -> String {
    let what = if images { "an image-text model" } else { "a language model" };
    format!("the checkpoints are of the kind `{}`, {what}", base.model_type())
}

/// A name that can stand for the folder: its own, with dashes for what has no place in one.
fn name_of(folder: &Path) -> String {
    let full = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let stem = full.file_stem().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let plain = plain.trim_matches('-').to_owned();
    if plain.is_empty() { "own".to_owned() } else { plain }
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A path as a file in `out` names it.
fn named(path: &Path, out: &Path) -> String {
    let absolute = |p: &Path| {
        let p = if p.as_os_str().is_empty() { Path::new(".") } else { p };
        std::path::absolute(p).unwrap_or_else(|_| p.to_owned())
    };
    let (full, home) = (absolute(path), absolute(out));
    let below = full.strip_prefix(&home).map(Path::to_owned);
    quoted(&below.unwrap_or(full).display().to_string())
}

/// The suite file.
fn suite(
    request: &InitRequest,
    name: &str,
    images: bool,
    tuned: &[(&PathBuf, bool)],
    probes: &str,
) -> String {
    let track = if images { "clip" } else { "lm" };
    let mut text = format!(
        "# Written by `specbench init`. Every line may be changed; `specbench plan {name}.toml` says what it amounts to.\n\n\
         [suite]\nname = \"{name}\"\ntrack = \"{track}\"\n\n[[checkpoint]]\nid = \"pretrained\"\nrole = \"pretrained\"\n\
         source = {}\n",
        named(&request.from, &request.out)
    );
    let mut ids: Vec<String> = Vec::new();
    for (path, over) in tuned {
        let stem = name_of(path);
        let taken = ids.contains(&stem) || stem == "pretrained";
        let id = if taken { format!("{stem}-{}", ids.len() + 1) } else { stem };
        let source = named(path, &request.out);
        text += &format!(
            "\n[[checkpoint]]\nid = \"{id}\"\nrole = \"finetuned\"\nmethod = \"{id}\"\nsource = {source}\n"
        );
        if *over {
            text += "base = \"pretrained\"\n";
        }
        ids.push(id);
    }
    let ids: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    text += &format!(
        "\n# Eleven models on the way from the pretrained one to each, evaluated in one pass.\n[[sweep]]\nmerge = \"wise-ft\"\n\
         from = \"pretrained\"\nto = [{}]\nalphas = \"0:1:0.1\"\n\n{probes}",
        ids.join(", ")
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert_eq!(name_of(Path::new("/x/My Birds (2)")), "my-birds--2");
        assert_eq!(name_of(Path::new("/")), "own");
        assert_eq!(named(Path::new("/a/b/c"), Path::new("/a")), "\"b/c\"");
        assert_eq!(quoted("a\"b\\c"), "'a\"b\\c'");
    }
}
