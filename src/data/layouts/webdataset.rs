//! WebDataset tar shards as CLIP_benchmark stores them: `nshards.txt`, `0.tar`, `1.tar`, …; a sample is
//! an image (`webp`, `png`, `jpg` or `jpeg`) and a `cls` file with its class as text.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
use crate::base::fs::{FileError, open, read_text};
use crate::base::registry::Named;
use crate::data::{DataError, Dataset, Example, Layout, LayoutOptions, RawImage, format_error};

const IMAGES: [&str; 4] = ["webp", "png", "jpg", "jpeg"];

/// The layout.
pub(super) struct WebDataset;

impl Named for WebDataset {
    fn name(&self) -> &'static str {
        "webdataset"
    }
    fn summary(&self) -> &'static str {
        "a split folder of tar shards with nshards.txt, images and cls files, as CLIP_benchmark's wds sets"
    }
    fn reference(&self) -> &'static str {
        "LAION-AI/CLIP_benchmark, webdataset"
    }
}

impl Layout for WebDataset {
    fn open(&self, files: &[PathBuf], _: &LayoutOptions) -> Result<Box<dyn Dataset>, DataError> {
        let [folder] = files else {
            let path = files.first().cloned().unwrap_or_default();
            return Err(format_error(&path, "this layout needs one split folder"));
        };
        let list = folder.join("nshards.txt");
        let count: usize =
            read_text(&list)?.trim().parse().map_err(|_| format_error(&list, "is not a number"))?;
        let mut data = TarData { shards: Vec::new(), places: Vec::new(), examples: Vec::new() };
        for shard in 0..count {
            data.index(&folder.join(format!("{shard}.tar")))?;
        }
        Ok(Box::new(data))
    }

    /// Digest of names, classes and sizes, from the tar headers.
    fn digest(&self, _: &[PathBuf], data: &dyn Dataset) -> Result<Digest, DataError> {
        let all: Vec<(&str, u32)> = data.examples().iter().map(|e| (e.id.as_str(), e.label)).collect();
        Ok(Digest::of_value(&all))
    }
}

/// Where an image lies.
struct Place {
    shard: usize,
    offset: u64,
    length: usize,
}

struct TarData {
    shards: Vec<PathBuf>,
    places: Vec<Place>,
    examples: Vec<Example>,
}

impl TarData {
    /// Adds a shard: reads headers and classes, remembers where images lie.
    fn index(&mut self, path: &Path) -> Result<(), DataError> {
        let fail = |e| FileError::new("read", path, e);
        let shard = self.shards.len();
        let mut archive = tar::Archive::new(open(path)?);
        let mut pending: Option<(String, Option<Place>, Option<u32>)> = None;
        for entry in archive.entries_with_seek().map_err(fail)? {
            let mut entry = entry.map_err(fail)?;
            let name = entry.path().map_err(fail)?.to_string_lossy().into_owned();
            let Some((key, ending)) = name.split_once('.') else { continue };
            if pending.as_ref().is_some_and(|p| p.0 != key) {
                self.add(path, pending.take())?;
            }
            let sample = pending.get_or_insert_with(|| (key.to_owned(), None, None));
            if IMAGES.contains(&ending) {
                let length = entry.size() as usize;
                sample.1 = Some(Place { shard, offset: entry.raw_file_position(), length });
            } else if ending == "cls" {
                let mut text = String::new();
                entry.read_to_string(&mut text).map_err(fail)?;
                let label = text.trim().parse();
                sample.2 =
                    Some(label.map_err(|_| format_error(path, format!("class of `{key}` is `{text}`")))?);
            }
        }
        self.add(path, pending)?;
        self.shards.push(path.to_owned());
        Ok(())
    }

    fn add(
        &mut self,
        path: &Path,
        sample: Option<(String, Option<Place>, Option<u32>)>,
    ) -> Result<(), DataError> {
        match sample {
            None => Ok(()),
            Some((key, Some(place), Some(label))) => {
                self.examples.push(Example { id: key, label });
                self.places.push(place);
                Ok(())
            }
            Some((key, None, _)) => Err(format_error(path, format!("sample `{key}` has no image"))),
            Some((key, _, None)) => Err(format_error(path, format!("sample `{key}` has no `cls`"))),
        }
    }
}

impl Dataset for TarData {
    fn examples(&self) -> &[Example] {
        &self.examples
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<RawImage>, DataError> {
        let mut current = None;
        let mut images = Vec::with_capacity(range.len());
        for place in &self.places[range] {
            let path = &self.shards[place.shard];
            let fail = |e| FileError::new("read", path, e);
            if current.as_ref().is_none_or(|(shard, _)| *shard != place.shard) {
                current = Some((place.shard, open(path)?));
            }
            if let Some((_, file)) = &mut current {
                let mut bytes = vec![0; place.length];
                file.seek(SeekFrom::Start(place.offset)).map_err(fail)?;
                file.read_exact(&mut bytes).map_err(fail)?;
                images.push(RawImage::Encoded(bytes));
            }
        }
        Ok(images)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(path: &Path, files: &[(&str, &[u8])]) {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        std::fs::write(path, builder.into_inner().unwrap()).unwrap();
    }

    #[test]
    fn samples_cross_shards_in_order() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("nshards.txt"), "2\n").unwrap();
        shard(
            &dir.path().join("0.tar"),
            &[("s0.cls", b"3"), ("s0.webp", b"first"), ("s1.jpg", b"second"), ("s1.cls", b"4\n")],
        );
        shard(&dir.path().join("1.tar"), &[("s2.png", b"third"), ("s2.cls", b"0")]);
        let data = WebDataset.open(&[dir.path().to_owned()], &LayoutOptions::default()).unwrap();
        let labels: Vec<u32> = data.examples().iter().map(|e| e.label).collect();
        assert_eq!(labels, [3, 4, 0]);
        let images = data.read(1..3).unwrap();
        assert!(matches!(&images[0], RawImage::Encoded(b) if b == b"second"));
        assert!(matches!(&images[1], RawImage::Encoded(b) if b == b"third"));
    }

    #[test]
    fn incomplete_samples_are_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("nshards.txt"), "1").unwrap();
        shard(&dir.path().join("0.tar"), &[("s0.png", b"x")]);
        let error = WebDataset.open(&[dir.path().to_owned()], &LayoutOptions::default()).err().unwrap();
        assert!(error.to_string().contains("sample `s0` has no `cls`"), "{error}");
    }
}
