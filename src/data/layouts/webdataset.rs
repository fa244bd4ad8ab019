//! WebDataset tar shards as CLIP_benchmark stores them: `nshards.txt`, `0.tar`, `1.tar`, …; a sample is
//! an image (`webp`, `png`, `jpg` or `jpeg`) and a `cls` file with its class as text.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::fs::{FileError, LARGEST_WHOLE, open, read_text};
use crate::base::registry::Named;
use crate::data::{
    DataError, Dataset, Example, Layout, LayoutOptions, RawImage, Record, Unchanged, check_ids, format_error,
};

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
        let mut data = TarData { held: Vec::new(), places: Vec::new(), examples: Vec::new() };
        for shard in 0..count {
            data.index(&folder.join(format!("{shard}.tar")))?;
        }
        data.tell_apart();
        check_ids(folder, &data.examples)?;
        Ok(Box::new(data))
    }
}

/// Where an image lies.
struct Place {
    shard: usize,
    offset: u64,
    length: u64,
}

struct TarData {
    held: Vec<Unchanged>,
    places: Vec<Place>,
    examples: Vec<Example>,
}

/// Key and ending of a member as webdataset's `base_plus_ext` takes them: at the first dot of the base name, the ending
/// in lower case. `None` for names without one and for hidden files (AppleDouble's `._x`).
fn key_and_ending(name: &str) -> Option<(&str, String)> {
    let base = name.rfind('/').map_or(0, |i| i + 1);
    let dot = base + name[base..].find('.').filter(|&i| i > 0)?;
    Some((&name[..dot], name[dot + 1..].to_lowercase()))
}

impl TarData {
    /// Adds a shard: reads headers and classes, remembers where images lie.
    fn index(&mut self, path: &Path) -> Result<(), DataError> {
        let fail = |e| FileError::new("read", path, e);
        let shard = self.held.len();
        let held = Unchanged::new(path)?;
        let file = open(path)?;
        if file.metadata().map_err(fail)?.len() == 0 {
            return Err(format_error(path, "is empty (0 bytes); fetch it again"));
        }
        let mut archive = tar::Archive::new(file);
        let mut pending: Option<(String, Option<Place>, Option<u32>)> = None;
        for entry in archive.entries_with_seek().map_err(fail)? {
            let mut entry = entry.map_err(fail)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = entry.path().map_err(fail)?.to_string_lossy().into_owned();
            let Some((key, ending)) = key_and_ending(&name) else { continue };
            if pending.as_ref().is_some_and(|p| p.0 != key) {
                self.add(path, pending.take())?;
            }
            let sample = pending.get_or_insert_with(|| (key.to_owned(), None, None));
            let twice = |what: &str| format_error(path, format!("sample `{key}` has two {what}"));
            if IMAGES.contains(&ending.as_str()) {
                let place = Place { shard, offset: entry.raw_file_position(), length: entry.size() };
                if sample.1.replace(place).is_some() {
                    return Err(twice("images"));
                }
            } else if ending == "cls" {
                let mut text = String::new();
                entry.by_ref().take(64).read_to_string(&mut text).map_err(fail)?;
                let label = text.trim().parse();
                let label = label.map_err(|_| format_error(path, format!("class of `{key}` is `{text}`")))?;
                if sample.2.replace(label).is_some() {
                    return Err(twice("classes"));
                }
            }
        }
        self.add(path, pending)?;
        self.held.push(held);
        Ok(())
    }

    /// Keys that are there again in another shard are told apart by the shard's number, all of them.
    fn tell_apart(&mut self) {
        let unique: std::collections::BTreeSet<&str> = self.examples.iter().map(|e| e.id.as_str()).collect();
        if unique.len() == self.examples.len() {
            return;
        }
        for (example, place) in self.examples.iter_mut().zip(&self.places) {
            example.id = format!("{}.tar/{}", place.shard, example.id);
        }
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

    fn digest(&self, digests: &FileDigests) -> Result<Digest, DataError> {
        Unchanged::digest(&self.held, digests)
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<Record>, DataError> {
        let mut current = None;
        let mut images = Vec::with_capacity(range.len());
        for place in &self.places[range] {
            let held = &self.held[place.shard];
            let fail = |e| FileError::new("read", &held.path, e);
            if current.as_ref().is_none_or(|(shard, _)| *shard != place.shard) {
                held.check()?;
                current = Some((place.shard, open(&held.path)?));
            }
            if let Some((_, file)) = &mut current {
                if place.length > LARGEST_WHOLE {
                    images.push(RawImage::Unreadable("it is larger than 1 GiB".to_owned()));
                    continue;
                }
                let mut bytes = vec![0; place.length as usize];
                file.seek(SeekFrom::Start(place.offset)).map_err(fail)?;
                file.read_exact(&mut bytes).map_err(fail)?;
                images.push(RawImage::Encoded(bytes));
            }
        }
        Ok(images.into_iter().map(Record::from).collect())
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
        let images = data.images(1..3).unwrap();
        assert!(matches!(&images[0], RawImage::Encoded(b) if b == b"second"));
        assert!(matches!(&images[1], RawImage::Encoded(b) if b == b"third"));
    }

    // webdataset 1.0.2, `base_plus_ext` and `group_by_keys`.
    #[test]
    fn keys_end_at_the_first_dot_of_the_base_name() {
        let found = |name| key_and_ending(name).map(|(k, e)| (k.to_owned(), e));
        let some = |key: &str, ending: &str| Some((key.to_owned(), ending.to_owned()));
        assert_eq!(found("./s0.png"), some("./s0", "png"));
        assert_eq!(found("v1.0/x.seg.PNG"), some("v1.0/x", "seg.png"));
        assert_eq!(found("s1.JPEG"), some("s1", "jpeg"));
        assert_eq!((found("._x.png"), found("d/.hidden"), found("plain")), (None, None, None));
    }

    #[test]
    fn shards_are_whole_and_their_keys_unique() {
        let open = |shards: &[&[(&str, &[u8])]]| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("nshards.txt"), shards.len().to_string()).unwrap();
            for (i, files) in shards.iter().enumerate() {
                shard(&dir.path().join(format!("{i}.tar")), files);
            }
            let data = WebDataset.open(&[dir.path().to_owned()], &LayoutOptions::default());
            data.map(|d| d.examples().to_vec()).map_err(|e| e.to_string())
        };
        let one: &[(&str, &[u8])] = &[("a.png", b"x"), ("a.cls", b"1"), ("._a.png", b"junk")];
        let ids: Vec<String> = open(&[one, one]).unwrap().into_iter().map(|e| e.id).collect();
        assert_eq!(ids, ["0.tar/a", "1.tar/a"]);
        let twice = open(&[&[("a.png", b"x"), ("a.jpg", b"y"), ("a.cls", b"1")]]).unwrap_err();
        assert!(twice.contains("two images"), "{twice}");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("nshards.txt"), "1").unwrap();
        std::fs::write(dir.path().join("0.tar"), "").unwrap();
        let error = WebDataset.open(&[dir.path().to_owned()], &LayoutOptions::default()).err().unwrap();
        assert!(error.to_string().contains("0 bytes"), "{error}");
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
