//! Icon packages as the npm registry ships them: an unpacked folder or a `.tgz` of it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::EmojiError;
use crate::base::fs::{self, FileError};

/// One icon package.
pub struct IconSet {
    icons: BTreeMap<String, RawIcon>,
    aliases: BTreeMap<String, RawAlias>,
    size: (f64, f64),
    /// Category name to the icons in it.
    pub categories: BTreeMap<String, Vec<String>>,
    /// Title, author, licence and version for the notice.
    pub info: PackageInfo,
}

/// Attribution of a package.
#[derive(Clone, Debug)]
pub struct PackageInfo {
    /// "Noto Emoji".
    pub title: String,
    /// Author and its address.
    pub author: String,
    /// SPDX identifier of the licence.
    pub licence: String,
    /// npm package and version.
    pub package: String,
}

#[derive(Deserialize)]
struct RawIcon {
    body: String,
    width: Option<f64>,
    height: Option<f64>,
}

#[derive(Deserialize)]
struct RawAlias {
    parent: String,
}

#[derive(Deserialize)]
struct RawSet {
    icons: BTreeMap<String, RawIcon>,
    #[serde(default)]
    aliases: BTreeMap<String, RawAlias>,
    #[serde(default = "sixteen")]
    width: f64,
    #[serde(default = "sixteen")]
    height: f64,
}

const fn sixteen() -> f64 {
    16.0
}

#[derive(Deserialize, Default)]
struct RawMetadata {
    #[serde(default)]
    categories: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct RawInfo {
    name: String,
    author: RawAuthor,
    license: RawLicence,
}

#[derive(Deserialize)]
struct RawAuthor {
    name: String,
    #[serde(default)]
    url: String,
}

#[derive(Deserialize)]
struct RawLicence {
    spdx: String,
}

#[derive(Deserialize)]
struct RawPackage {
    name: String,
    version: String,
}

impl IconSet {
    /// Loads the package of `style` from below `source`, which holds folders or tarballs.
    pub fn load(source: &Path, style: &str) -> Result<Self, EmojiError> {
        let files = PackageFiles::find(source, style)?;
        let set: RawSet = files.json("icons.json")?;
        let info: RawInfo = files.json("info.json")?;
        let package: RawPackage = files.json("package.json")?;
        let metadata: RawMetadata = files.json("metadata.json").unwrap_or_default();
        Ok(Self {
            icons: set.icons,
            aliases: set.aliases,
            size: (set.width, set.height),
            categories: metadata.categories,
            info: PackageInfo {
                title: info.name,
                author: format!("{} ({})", info.author.name, info.author.url),
                licence: info.license.spdx,
                package: format!("{} {}", package.name, package.version),
            },
        })
    }

    fn find(&self, name: &str) -> Option<&RawIcon> {
        let parent = self.aliases.get(name).map_or(name, |a| a.parent.as_str());
        self.icons.get(name).or_else(|| self.icons.get(parent))
    }

    /// Whether the package draws this concept.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// A complete SVG document of one icon; `currentColor` becomes opaque white, so that the
    /// alpha channel alone carries a monochrome drawing.
    pub fn svg(&self, name: &str) -> Option<String> {
        let icon = self.find(name)?;
        let (width, height) = (icon.width.unwrap_or(self.size.0), icon.height.unwrap_or(self.size.1));
        Some(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
             width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">{}</svg>",
            icon.body.replace("currentColor", "#ffffff")
        ))
    }
}

enum PackageFiles {
    Folder(PathBuf),
    Tarball(PathBuf, BTreeMap<String, Vec<u8>>),
}

impl PackageFiles {
    fn find(source: &Path, style: &str) -> Result<Self, EmojiError> {
        let folders = [
            source.join(style),
            source.join(style).join("package"),
            source.join("@iconify-json").join(style),
            source.join("node_modules/@iconify-json").join(style),
        ];
        if let Some(folder) = folders.into_iter().find(|f| f.join("icons.json").is_file()) {
            return Ok(Self::Folder(folder));
        }
        // `npm pack` names the file iconify-json-<style>-<version>.tgz.
        let prefix = format!("iconify-json-{style}-");
        let entries = std::fs::read_dir(source).map_err(|e| FileError::new("list", source, e))?;
        let mut found: Vec<PathBuf> = entries
            .filter_map(|e| Some(e.ok()?.path()))
            .filter(|p| {
                let name = p.file_name().map(|n| n.to_string_lossy().into_owned());
                name.is_some_and(|n| {
                    n.strip_prefix(&prefix).is_some_and(|rest| {
                        rest.starts_with(|c: char| c.is_ascii_digit()) && rest.ends_with(".tgz")
                    })
                })
            })
            .collect();
        found.sort();
        match found.pop() {
            Some(tarball) => Self::unpack(tarball),
            None => Err(EmojiError::Package { style: style.to_owned(), source_dir: source.into() }),
        }
    }

    fn unpack(path: PathBuf) -> Result<Self, EmojiError> {
        let fail = |e| FileError::new("unpack", &path, e);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(fs::open(&path)?));
        let mut files = BTreeMap::new();
        for entry in archive.entries().map_err(fail)? {
            let mut entry = entry.map_err(fail)?;
            let name = entry.path().map_err(fail)?.file_name().map(|n| n.to_string_lossy().into_owned());
            if let Some(name) = name.filter(|n| n.ends_with(".json")) {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(fail)?;
                files.insert(name, bytes);
            }
        }
        Ok(Self::Tarball(path, files))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, EmojiError> {
        let (path, bytes) = match self {
            Self::Folder(folder) => (folder.join(name), fs::read(&folder.join(name))?),
            Self::Tarball(path, files) => {
                let path = path.join(name);
                let missing = || FileError::new("find", &path, std::io::ErrorKind::NotFound.into());
                (path.clone(), files.get(name).cloned().ok_or_else(missing)?)
            }
        };
        serde_json::from_slice(&bytes).map_err(|source| EmojiError::Json { path, source })
    }
}
