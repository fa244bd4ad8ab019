//! IDX files as MNIST and Fashion-MNIST ship them: an image file and a label file, perhaps gzipped.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::fs::{FileError, LARGEST_WHOLE, open};
use crate::base::registry::Named;
use crate::data::{
    DataError, Dataset, Example, Layout, LayoutOptions, RawImage, Record, Unchanged, format_error,
};
use crate::image::Rgb;

/// The layout.
pub(super) struct Idx;

impl Named for Idx {
    fn name(&self) -> &'static str {
        "idx"
    }
    fn summary(&self) -> &'static str {
        "an IDX image file and an IDX label file (MNIST, Fashion-MNIST), plain or gzipped"
    }
    fn reference(&self) -> &'static str {
        "http://yann.lecun.com/exdb/mnist (file format)"
    }
}

impl Layout for Idx {
    fn open(&self, files: &[PathBuf], _: &LayoutOptions) -> Result<Box<dyn Dataset>, DataError> {
        let [images, labels] = files else {
            let path = files.first().cloned().unwrap_or_default();
            return Err(format_error(&path, "this layout needs an image file and a label file"));
        };
        let (sizes, pixels) = read_idx(images)?;
        let (_, values) = read_idx(labels)?;
        let [count, height, width] = sizes[..] else {
            return Err(format_error(images, format!("{} axes instead of 3", sizes.len())));
        };
        if height == 0 || width == 0 {
            return Err(format_error(images, format!("images of {height} x {width} pixels")));
        }
        if values.len() != count {
            return Err(format_error(labels, format!("{} labels for {count} images", values.len())));
        }
        let examples = values
            .iter()
            .enumerate()
            .map(|(i, &label)| Example { id: format!("{i:05}"), label: u32::from(label) })
            .collect();
        let held = vec![Unchanged::new(images)?, Unchanged::new(labels)?];
        Ok(Box::new(IdxData { width, height, pixels, examples, held }))
    }
}

struct IdxData {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    examples: Vec<Example>,
    held: Vec<Unchanged>,
}

impl Dataset for IdxData {
    fn digest(&self, digests: &FileDigests) -> Result<Digest, DataError> {
        Unchanged::digest(&self.held, digests)
    }

    fn examples(&self) -> &[Example] {
        &self.examples
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<Record>, DataError> {
        let size = self.width * self.height;
        let image = |i: usize| {
            let grey = &self.pixels[i * size..(i + 1) * size];
            let data = grey.iter().flat_map(|&v| [v; 3]).collect();
            Record::from(RawImage::Pixels(Rgb { width: self.width, height: self.height, data }))
        };
        Ok(range.map(image).collect())
    }
}

/// Extents and bytes of an IDX file of unsigned bytes.
fn read_idx(path: &Path) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let mut bytes = Vec::new();
    let fail = |e| FileError::new("read", path, e);
    let file = open(path)?;
    // A few compressed bytes can stand for gigabytes: no more than a gigabyte is unpacked.
    let zipped = path.extension().is_some_and(|e| e == "gz");
    let mut content: Box<dyn Read> = if zipped { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    content.by_ref().take(LARGEST_WHOLE + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > LARGEST_WHOLE {
        return Err(format_error(path, "holds more than 1 GiB"));
    }
    let &[0, 0, 8, axes, ..] = &bytes[..] else {
        return Err(format_error(path, "not an IDX file of unsigned bytes"));
    };
    let header = 4 + 4 * usize::from(axes);
    let sizes: Vec<usize> = bytes
        .get(4..header)
        .ok_or_else(|| format_error(path, "cut short in its header"))?
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| u32::from_be_bytes(*b) as usize)
        .collect();
    let expected = sizes.iter().try_fold(1usize, |n, &s| n.checked_mul(s)).unwrap_or(usize::MAX);
    let body = bytes.split_off(header);
    if body.len() != expected {
        let reason = format!("{} bytes of data, its header says {expected}", body.len());
        return Err(format_error(path, reason));
    }
    Ok((sizes, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idx(sizes: &[u32], body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
        bytes.extend(body);
        bytes
    }

    #[test]
    fn reads_images_and_labels() {
        let dir = tempfile::tempdir().unwrap();
        let (images, labels) = (dir.path().join("i"), dir.path().join("l"));
        std::fs::write(&images, idx(&[2, 1, 2], &[1, 2, 3, 4])).unwrap();
        std::fs::write(&labels, idx(&[2], &[7, 9])).unwrap();
        let data = Idx.open(&[images.clone(), labels.clone()], &LayoutOptions::default()).unwrap();
        assert_eq!(data.examples()[1], Example { id: "00001".to_owned(), label: 9 });
        let image = data.images(1..2).unwrap().remove(0).decode(100).unwrap();
        assert_eq!(image.data, [3, 3, 3, 4, 4, 4]);

        std::fs::write(&images, idx(&[2, 1, 2], &[1, 2, 3])).unwrap();
        let error = Idx.open(&[images, labels], &LayoutOptions::default()).err().unwrap().to_string();
        assert!(error.contains("its header says 4"), "{error}");
    }
}
