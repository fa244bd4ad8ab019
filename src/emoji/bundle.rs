//! Makes the emoji-styles data set from the icon packages.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::error::EmojiError;
use super::icons::{IconSet, PackageInfo};
use super::raster::Master;
use super::views::render;
use super::{STYLES, Style};
use crate::base::digest::Digest;
use crate::base::fs::{self, FileError};
use crate::base::rng::CounterRng;
use crate::base::table::Table;

/// Categories whose concepts are objects with names (no faces, symbols, flags or people).
const CATEGORIES: [&str; 5] =
    ["Activities", "Animals & Nature", "Food & Drink", "Objects", "Travel & Places"];

/// What to build and where.
pub struct BuildOptions {
    /// Folder with the icon packages, as folders or tarballs.
    pub source: PathBuf,
    /// Folder of the committed bundle (test and validation views).
    pub out: PathBuf,
    /// Folder of the training views, if they are wanted.
    pub train_out: Option<PathBuf>,
    /// Training views per concept and style.
    pub train_views: u64,
    /// Number of concepts; the first half in alphabetical order is base, the rest novel.
    pub concepts: usize,
    /// Side of an image in pixels.
    pub side: usize,
    /// Seed of all views.
    pub seed: u64,
}

impl Default for BuildOptions {
    /// The settings of the committed bundle.
    fn default() -> Self {
        Self {
            source: PathBuf::from("."),
            out: PathBuf::from("."),
            train_out: None,
            train_views: 24,
            concepts: 400,
            side: 32,
            seed: 0,
        }
    }
}

/// One file that was written.
pub struct BuiltFile {
    /// Where.
    pub path: PathBuf,
    /// Rows.
    pub examples: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// Digest of the file.
    pub digest: Digest,
}

/// What was built.
pub struct BuildSummary {
    /// The class names in label order.
    pub concepts: Vec<String>,
    /// Every Parquet file written.
    pub files: Vec<BuiltFile>,
}

/// Builds the bundle; `progress` hears of each finished file.
pub fn build(
    options: &BuildOptions,
    mut progress: impl FnMut(&BuiltFile),
) -> Result<BuildSummary, EmojiError> {
    let sets: Vec<IconSet> =
        STYLES.iter().map(|style| IconSet::load(&options.source, style.name)).collect::<Result<_, _>>()?;
    let keys = choose_concepts(&sets, options.concepts);
    let names: Vec<String> = keys.iter().map(|k| k.replace('-', " ")).collect();
    let base = names.len().div_ceil(2);

    let mut files = Vec::new();
    for (style, set) in STYLES.iter().zip(&sets) {
        let masters = rasterise(style, set, &keys)?;
        let test_classes = if style.novel { names.len() } else { base };
        let mut jobs = vec![
            ("test", &options.out, style.test_views, test_classes),
            ("val", &options.out, style.val_views, base),
        ];
        if let Some(folder) = &options.train_out {
            jobs.push(("train", folder, options.train_views, names.len()));
        }
        for (split, folder, views, classes) in jobs.into_iter().filter(|j| j.2 > 0) {
            let path = folder.join(format!("{}-{split}.parquet", style.name));
            let draw = ViewSet { style, split, views, side: options.side, seed: options.seed };
            let file = draw.write(&masters[..classes], &keys, &path)?;
            progress(&file);
            files.push(file);
        }
    }
    fs::write_atomic(&options.out.join("classes.txt"), (names.join("\n") + "\n").as_bytes())?;
    let infos: Vec<PackageInfo> = sets.into_iter().map(|s| s.info).collect();
    fs::write_atomic(&options.out.join("NOTICE"), notice(&infos, options.seed).as_bytes())?;
    Ok(BuildSummary { concepts: names, files })
}

/// Concepts that every style draws, thinned to `count` by the digest of their names (so that the
/// choice is arbitrary but fixed), in alphabetical order.
fn choose_concepts(sets: &[IconSet], count: usize) -> Vec<String> {
    // The packages file the same names under different headings; the first that has all of ours
    // decides.
    let has_all = |s: &&IconSet| CATEGORIES.iter().all(|c| s.categories.contains_key(*c));
    let mut names: Vec<String> = sets.iter().find(has_all).map_or_else(Vec::new, |set| {
        CATEGORIES.iter().flat_map(|c| set.categories[*c].iter().cloned()).collect()
    });
    names.sort();
    names.dedup();
    names.retain(|name| {
        let clock = name.ends_with("-oclock") || name.ends_with("-thirty");
        !clock && sets.iter().all(|set| set.contains(name))
    });
    names.sort_by_cached_key(|name| Digest::of_bytes(name.as_bytes()));
    names.truncate(count);
    names.sort();
    names
}

fn rasterise(style: &Style, set: &IconSet, keys: &[String]) -> Result<Vec<Master>, EmojiError> {
    keys.par_iter()
        .map(|name| {
            let svg = set.svg(name).unwrap_or_default();
            Master::from_svg(&svg).map_err(|reason| EmojiError::Raster {
                style: style.name.to_owned(),
                name: name.clone(),
                reason,
            })
        })
        .collect()
}

/// The views of one split of one style.
struct ViewSet<'a> {
    style: &'a Style,
    split: &'a str,
    views: u64,
    side: usize,
    seed: u64,
}

impl ViewSet<'_> {
    /// Rows are ordered by view, then by concept, so that any prefix is nearly balanced.
    fn write(&self, masters: &[Master], keys: &[String], path: &Path) -> Result<BuiltFile, EmojiError> {
        let rng = CounterRng::new(self.seed, &format!("{}/{}", self.split, self.style.name));
        let cells: Vec<(u64, usize)> =
            (0..self.views).flat_map(|v| (0..masters.len()).map(move |c| (v, c))).collect();
        let images: Vec<Vec<u8>> = cells
            .par_iter()
            .map(|&(view, concept)| {
                // Keyed by name, so that adding a concept changes no other image.
                let key = CounterRng::new(0, &keys[concept]).next_u64();
                let stream = rng.stream(key).stream(view);
                render(&masters[concept], self.style.monochrome, self.side, stream).to_png()
            })
            .collect();
        let ids = cells.iter().map(|(v, c)| format!("{}/{}/{v}", self.style.name, keys[*c])).collect();
        let mut table = Table::new(cells.len());
        table.push_strings("id", ids)?;
        table.push_u32("label", cells.iter().map(|(_, c)| *c as u32).collect())?;
        table.push_bytes("image", &images)?;
        table.write(path)?;
        let bytes = std::fs::metadata(path).map_err(|e| FileError::new("read", path, e))?.len();
        Ok(BuiltFile { path: path.to_owned(), examples: cells.len(), bytes, digest: Digest::of_file(path)? })
    }
}

fn notice(infos: &[PackageInfo], seed: u64) -> String {
    let mut text = format!(
        "Emoji styles: rasterised views of emoji drawings, made by `specbench data build emoji`\n\
         (seed {seed}; the views are rotated, scaled, shifted, partly occluded, blurred and noisy).\n\n\
         The drawings are the work of their authors:\n\n"
    );
    for info in infos {
        let _ = writeln!(
            text,
            "- {}, by {}, licence {}, from npm package {}",
            info.title, info.author, info.licence, info.package
        );
    }
    text.push_str(
        "\nApache-2.0: https://www.apache.org/licenses/LICENSE-2.0\n\
         MIT: https://opensource.org/license/mit\n\
         CC-BY-4.0: https://creativecommons.org/licenses/by/4.0/\n",
    );
    text
}
