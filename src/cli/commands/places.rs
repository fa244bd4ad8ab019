//! Where files lie that the command line names: the user's, or those that the program brings along.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::HumanBytes;

use crate::base::embedded::{self, Kind, REGISTRY_FILE};
use crate::base::file_digests::FileDigests;
use crate::base::hub::{Hub, HubOptions};
use crate::catalog::Catalog;
use crate::cli::args::{HubArgs, RegistryArgs, SourceArgs};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::model::from_hub;

/// Where digests of files that have not changed are kept.
const DIGESTS: &str = ".cache/digests.json";

/// The folder with everything that the program brings along.
pub fn built_in() -> Result<PathBuf, CliError> {
    // Without a home, as in some containers, the working folder has the cache.
    let cache = dirs::cache_dir().unwrap_or_else(|| PathBuf::from(".cache")).join("specbench");
    embedded::unpacked(&cache).map_err(|e| {
        let text = format!("cannot unpack what the program brings along: {e}; set XDG_CACHE_HOME to a folder that can be written");
        CliError::new(Exit::Internal, text)
    })
}

/// A suite or recipe: a file, or the name of a built-in one.
pub fn file_of(kind: Kind, name: &Path, output: &Output) -> Result<PathBuf, CliError> {
    if name.exists() {
        return Ok(name.to_owned());
    }
    match embedded::meant(&built_in()?, kind, name) {
        Some(path) => {
            output.note(&format!("`{}` is no file here; the built-in one is used", name.display()));
            Ok(path)
        }
        None => {
            let (known, word) = (embedded::names(kind).join(", "), kind.word());
            let text = format!(
                "there is no file `{}`, and no built-in {word} of that name; built in are {known}",
                name.display()
            );
            Err(CliError::new(Exit::Usage, text))
        }
    }
}

/// The registry for a suite or recipe file: the user's (`--registry`, or beside that file, or in the working folder) over the
/// built-in one.
pub fn catalog(sources: &SourceArgs, beside: Option<&Path>, output: &Output) -> Result<Catalog, CliError> {
    Ok(registry(&sources.registry, beside, output)?.with_hub(hub(&sources.hub, output)))
}

/// The same where nothing is fetched.
pub fn registry(args: &RegistryArgs, beside: Option<&Path>, output: &Output) -> Result<Catalog, CliError> {
    let folder = built_in()?;
    let below = Catalog::open(&folder.join(REGISTRY_FILE))?;
    let home = beside.and_then(Path::parent).unwrap_or(Path::new(""));
    let found = [home.join(REGISTRY_FILE), PathBuf::from(REGISTRY_FILE)].into_iter().find(|p| p.is_file());
    let all = match args.registry.as_ref().or(found.as_ref()) {
        Some(own) => {
            output.detail(&format!("registry `{}` over the built-in one", own.display()));
            Catalog::open(own)?.over(below)
        }
        None => below,
    };
    Ok(all.beside(home).with_digests(digests(output)))
}

/// The hub as the flags say.
pub fn hub(args: &HubArgs, output: &Output) -> Hub {
    let notes = output.clone();
    Hub::new(HubOptions {
        endpoint: args.hub_endpoint.clone().filter(|e| !e.is_empty()),
        cache: args.hub_cache.clone().filter(|c| !c.as_os_str().is_empty()),
        token: args.hub_token.clone().filter(|t| !t.is_empty()),
        offline: args.offline,
        bars: output.terminal && !output.quiet,
        listen: Some(Arc::new(move |text: &str| notes.note(text))),
    })
}

/// A checkpoint on the command line: a folder or file, or one of the hub, fetched.
pub fn checkpoint(args: &HubArgs, path: &Path, output: &Output) -> Result<PathBuf, CliError> {
    match path.to_str().filter(|text| text.starts_with("hf:")) {
        None => Ok(path.to_owned()),
        Some(reference) => from_hub(&hub(args, output), reference)
            .map_err(|e| CliError::new(Exit::Unmeasured, format!("`{reference}`: {e}"))),
    }
}

/// Digests that are kept between runs; large files are announced.
fn digests(output: &Output) -> FileDigests {
    let notes = output.clone();
    FileDigests::kept_in(Path::new(DIGESTS)).telling(move |path, bytes| {
        notes.note(&format!("reading {} of `{}` for its digest", HumanBytes(bytes), path.display()));
    })
}
