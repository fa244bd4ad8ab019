//! Files of the Hugging Face hub: `hf:owner/name@revision`, for data sets `hf:datasets/owner/name@revision/path`.
//!
//! Downloads lie in the cache that the Python library uses too, whose layout `hf-hub` knows. What is in the cache is
//! never asked for again; offline, what is missing is named.

mod client;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hf_hub::{Cache, Repo, RepoType};

use client::{Announced, Client, ClientError, SILENCE};

use super::digest::Digest;
use super::fs::{FileError, write_atomic};

/// The hub itself.
const ENDPOINT: &str = "https://huggingface.co";

/// Why a file of the hub is not here.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The reference cannot be read.
    #[error("`{0}` is not `hf:owner/name@revision` (for data: `hf:datasets/owner/name@revision/path`)")]
    Reference(String),
    /// The network may not be used and the file is not in the cache.
    #[error("`{file}` of {repository} is not in the cache and `--offline` is set; looked for `{}`", path.display())]
    Offline {
        /// The file.
        file: String,
        /// The repository.
        repository: HubRepository,
        /// Where it would be.
        path: PathBuf,
    },
    /// The repository asks for an account that has accepted its terms.
    #[error(
        "{0} is gated or private: accept its terms on its page, then set HF_TOKEN to a token of that account"
    )]
    Gated(HubRepository),
    /// There is no such repository, revision or file.
    #[error("the hub has no {file} in {repository}; check owner, name and revision")]
    Unknown {
        /// The file, or what was asked for.
        file: String,
        /// The repository.
        repository: HubRepository,
    },
    /// The transfer failed.
    #[error("cannot get {file} of {repository}: {reason}")]
    Transfer {
        /// The file, or what was asked for.
        file: String,
        /// The repository.
        repository: HubRepository,
        /// What the library said.
        reason: String,
    },
}

/// A repository at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRepository {
    name: String,
    data: bool,
    revision: String,
}

impl fmt::Display for HubRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.data { "datasets/" } else { "" };
        write!(f, "hf:{kind}{}@{}", self.name, self.revision)
    }
}

impl HubRepository {
    /// Reads a reference; what follows the revision is the path within the repository. A slash of a revision is `%2F`.
    pub fn parse(text: &str) -> Result<(Self, String), HubError> {
        let bad = || HubError::Reference(text.to_owned());
        let rest = text.strip_prefix("hf:").ok_or_else(bad)?;
        let (data, rest) = rest.strip_prefix("datasets/").map_or((false, rest), |r| (true, r));
        let (name, tail) = rest.split_once('@').unwrap_or((rest, "main"));
        let (revision, path) = tail.split_once('/').unwrap_or((tail, ""));
        let plain = |part: &str| !part.is_empty() && !part.starts_with('.');
        let two = name.split_once('/').is_some_and(|(o, n)| plain(o) && plain(n) && !n.contains('/'));
        // Branches such as `refs/convert/parquet` have slashes of their own, written as %2F.
        let revision = revision.replace("%2F", "/");
        let leaves = |text: &str| text.split('/').any(|p| p == ".." || p.is_empty());
        if !two || leaves(&revision) || path.split('/').any(|p| p == "..") {
            return Err(bad());
        }
        let name = name.to_owned();
        Ok((Self { name, data, revision }, path.to_owned()))
    }

    /// As addresses of files spell it.
    fn path(&self) -> String {
        if self.data { format!("datasets/{}", self.name) } else { self.name.clone() }
    }

    /// As addresses of the interface spell it.
    fn api(&self) -> String {
        format!("{}/{}", if self.data { "datasets" } else { "models" }, self.name)
    }

    fn repo(&self) -> Repo {
        let kind = if self.data { RepoType::Dataset } else { RepoType::Model };
        Repo::with_revision(self.name.clone(), kind, self.revision.clone())
    }
}

/// Is told what happens.
pub type Listener = Arc<dyn Fn(&str) + Send + Sync>;

/// How the hub is reached.
#[derive(Clone, Default)]
pub struct HubOptions {
    /// Another server that speaks the hub's protocol.
    pub endpoint: Option<String>,
    /// The cache; the Python library's if not given.
    pub cache: Option<PathBuf>,
    /// An access token; the one that was saved in the cache if not given.
    pub token: Option<String>,
    /// Whether the network may not be used.
    pub offline: bool,
    /// Whether downloads draw bars.
    pub bars: bool,
    /// Told about each file that is downloaded.
    pub listen: Option<Listener>,
}

/// The hub with its cache.
#[derive(Clone)]
pub struct Hub {
    options: HubOptions,
    cache: PathBuf,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new(HubOptions::default())
    }
}

impl Hub {
    /// Opens the cache; nothing is asked of the network yet.
    #[must_use]
    pub fn new(options: HubOptions) -> Self {
        let cache = options.cache.clone().unwrap_or_else(|| Cache::from_env().path().clone());
        let cache = std::path::absolute(&cache).unwrap_or(cache);
        Self { options, cache }
    }

    /// The folder of a revision in the cache; `None` if it is not known here.
    #[must_use]
    pub fn folder(&self, repository: &HubRepository) -> Option<PathBuf> {
        let root = self.cache.join(repository.repo().folder_name());
        let commit = std::fs::read_to_string(root.join("refs").join(&repository.revision));
        let commit = commit.map_or_else(|_| repository.revision.clone(), |c| c.trim().to_owned());
        let folder = root.join("snapshots").join(commit);
        folder.is_dir().then_some(folder)
    }

    /// Where a file lies in the cache, or would lie.
    #[must_use]
    pub fn path(&self, repository: &HubRepository, file: &str) -> PathBuf {
        let root = || self.cache.join(repository.repo().folder_name());
        let folder = self.folder(repository);
        folder.unwrap_or_else(|| root().join("snapshots").join(&repository.revision)).join(file)
    }

    /// The folder that downloads lie in.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    fn client(&self, repository: &HubRepository) -> Result<Client, HubError> {
        let endpoint = self.options.endpoint.as_deref().unwrap_or(ENDPOINT);
        let saved = || Cache::new(self.cache.clone()).token();
        let token = self.options.token.clone().or_else(saved);
        Client::new(endpoint, token, SILENCE).map_err(|e| failed(repository, "the hub", &e))
    }

    /// Whether the network may not be used.
    #[must_use]
    pub const fn is_offline(&self) -> bool {
        self.options.offline
    }

    /// Names of the repository's files, from the network.
    pub fn list(&self, repository: &HubRepository) -> Result<Vec<String>, HubError> {
        if self.options.offline {
            return Err(self.missing(repository, "files"));
        }
        let names = self.client(repository)?.list(&repository.api(), &repository.revision);
        let names = names.map_err(|e| failed(repository, "files", &e))?;
        let leaves = |n: &&String| n.starts_with('/') || n.split(['/', '\\']).any(|p| p == "..");
        if let Some(name) = names.iter().find(leaves) {
            let reason = format!("the server names a file `{}` outside the repository", name.escape_debug());
            return Err(HubError::Transfer {
                file: "files".to_owned(),
                repository: repository.clone(),
                reason,
            });
        }
        Ok(names)
    }

    /// Size of a file in bytes, from the network.
    pub fn size(&self, repository: &HubRepository, file: &str) -> Result<u64, HubError> {
        if self.options.offline {
            return Err(self.missing(repository, file));
        }
        let found = self.client(repository)?.announced(&repository.path(), &repository.revision, file);
        Ok(found.map_err(|e| failed(repository, file, &e))?.size)
    }

    /// A file of the cache, downloaded first if it is not there.
    pub fn file(&self, repository: &HubRepository, file: &str) -> Result<PathBuf, HubError> {
        let path = self.path(repository, file);
        if path.is_file() {
            return Ok(path);
        }
        if self.options.offline {
            return Err(self.missing(repository, file));
        }
        if let Some(listen) = &self.options.listen {
            listen(&format!("fetching {file} of {repository}"));
        }
        let client = self.client(repository)?;
        let found = client.announced(&repository.path(), &repository.revision, file);
        let found = found.map_err(|e| failed(repository, file, &e))?;
        self.keep(repository, file, &client, &found)
    }

    /// Fetches a file into the cache: a blob named by its ETag, a link to it from the commit's snapshot, and the
    /// revision's name for the commit.
    fn keep(
        &self,
        repository: &HubRepository,
        file: &str,
        client: &Client,
        found: &Announced,
    ) -> Result<PathBuf, HubError> {
        let refuse = |reason: String| HubError::Transfer {
            file: file.to_owned(),
            repository: repository.clone(),
            reason,
        };
        // The server names the places in the cache; a name that leaves it is refused before anything is written.
        for (what, name) in [("ETag", &found.etag), ("commit", &found.commit)] {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.bytes().all(plain) {
                return Err(refuse(format!("the server's {what} `{}` is none", name.escape_debug())));
            }
        }
        let cannot = |action, path: &Path, e| refuse(FileError::new(action, path, e).to_string());
        let root = self.cache.join(repository.repo().folder_name());
        let blob = root.join("blobs").join(&found.etag);
        make_parent(&blob).map_err(|e| cannot("create", &blob, e))?;
        if !blob.is_file() {
            let path = blob.with_file_name(format!("{}.part", found.etag));
            let part = std::fs::OpenOptions::new().create(true).append(true).open(&path);
            let mut part = part.map_err(|e| cannot("create", &path, e))?;
            // Another process may be fetching it; its part is this one's then.
            part.lock().map_err(|e| cannot("lock", &path, e))?;
            if !blob.is_file() {
                let wanted = (repository.path(), repository.revision.as_str(), file);
                client
                    .fetch((&wanted.0, wanted.1, wanted.2), found, &mut part, self.options.bars)
                    .map_err(|e| failed(repository, file, &e))?;
                let is_sha256 = found.etag.len() == 64 && found.etag.bytes().all(|b| b.is_ascii_hexdigit());
                if is_sha256
                    && Digest::of_file(&path).map_err(|e| refuse(e.to_string()))?.as_str() != found.etag
                {
                    std::fs::remove_file(&path).map_err(|e| cannot("remove", &path, e))?;
                    let what = "the bytes are not those that the server announced (SHA-256)";
                    return Err(refuse(what.to_owned()));
                }
                std::fs::rename(&path, &blob).map_err(|e| cannot("rename", &path, e))?;
            }
        }
        let pointer = root.join("snapshots").join(&found.commit).join(file);
        make_parent(&pointer).map_err(|e| cannot("create", &pointer, e))?;
        if !pointer.is_file() {
            // A link to nothing may lie there.
            let _ = std::fs::remove_file(&pointer);
            let ups = "../".repeat(file.split('/').count() + 1);
            let link = PathBuf::from(format!("{ups}blobs/{}", found.etag));
            point(&pointer, &link, &blob).map_err(|e| cannot("link", &pointer, e))?;
        }
        if repository.revision != found.commit {
            let name = root.join("refs").join(&repository.revision);
            make_parent(&name).map_err(|e| cannot("create", &name, e))?;
            write_atomic(&name, found.commit.as_bytes()).map_err(|e| refuse(e.to_string()))?;
        }
        Ok(pointer)
    }

    /// The error of a file that is not in the cache while the network may not be used.
    #[must_use]
    pub fn missing(&self, repository: &HubRepository, file: &str) -> HubError {
        let path = self.path(repository, file);
        HubError::Offline { file: file.to_owned(), repository: repository.clone(), path }
    }
}

fn failed(repository: &HubRepository, file: &str, error: &ClientError) -> HubError {
    let (file, repository) = (file.to_owned(), repository.clone());
    match error {
        ClientError::Status(401 | 403) => HubError::Gated(repository),
        ClientError::Status(404) => HubError::Unknown { file, repository },
        _ => HubError::Transfer { file, repository, reason: error.to_string() },
    }
}

fn make_parent(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

#[cfg(unix)]
fn point(pointer: &Path, link: &Path, _blob: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(link, pointer)
}

#[cfg(not(unix))]
fn point(pointer: &Path, _link: &Path, blob: &Path) -> std::io::Result<()> {
    std::fs::hard_link(blob, pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let (r, path) = HubRepository::parse("hf:datasets/o/n@abc/test/0.tar").unwrap();
        assert_eq!((r.to_string().as_str(), path.as_str()), ("hf:datasets/o/n@abc", "test/0.tar"));
        assert_eq!(HubRepository::parse("hf:o/n").unwrap().0.to_string(), "hf:o/n@main");
        for bad in ["o/n", "hf:n", "hf:o/n/m", "hf:o/n@", "hf:datasets/o/n@r/../x", "hf:../n@r"] {
            assert!(HubRepository::parse(bad).is_err(), "{bad}");
        }
    }
}
