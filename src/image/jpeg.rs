//! JPEG through libjpeg-turbo, as Pillow reads it: the pixels are equal, and what Pillow refuses is refused.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, Read};

use mozjpeg::{ColorSpace, Decompress};

use super::Rgb;
use super::error::{DecodeError, check_pixels};
use crate::base::guard::guarded;

/// Scans that are decoded at most; libjpeg-turbo advises 500 (each costs a pass over the whole image).
const MOST_SCANS: usize = 500;

thread_local! {
    /// Memory of an image that is not needed any more: fresh pages for every photograph cost a tenth of its decoding.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Gives an image's memory to the next JPEG that this thread decodes.
pub fn recycle(image: Rgb) {
    SPARE.set(image.data);
}

/// The bytes of a file, remembering whether libjpeg asked for more than there are.
struct Source<'a> {
    left: &'a [u8],
    ran_out: &'a Cell<bool>,
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = self.left.read(out)?;
        if n == 0 && !out.is_empty() {
            self.ran_out.set(true);
        }
        Ok(n)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.left.is_empty() {
            self.ran_out.set(true);
        }
        Ok(self.left)
    }

    fn consume(&mut self, n: usize) {
        self.left = &self.left[n..];
    }
}

/// Decodes a JPEG. libjpeg reports errors by unwinding, which is caught here.
pub(super) fn decode_jpeg(bytes: &[u8], most_pixels: u64) -> Result<Rgb, DecodeError> {
    // Within entropy-coded data 0xFF is followed by 0 or a restart marker, so this counts scans.
    let scans = bytes.windows(2).filter(|w| *w == [0xFF, 0xDA]).count();
    if scans > MOST_SCANS {
        return Err(DecodeError::Jpeg(format!("{scans} scans, more than any real image has")));
    }
    let ran_out = Cell::new(false);
    guarded(|| read(bytes, most_pixels, &ran_out)).unwrap_or_else(|text| Err(DecodeError::Jpeg(text)))
}

fn read(bytes: &[u8], most_pixels: u64, ran_out: &Cell<bool>) -> Result<Rgb, DecodeError> {
    let fail = |e: std::io::Error| DecodeError::Jpeg(e.to_string());
    let header = Decompress::new_reader(Source { left: bytes, ran_out }).map_err(fail)?;
    check_pixels(header.width(), header.height(), most_pixels)?;
    let cmyk = matches!(header.color_space(), ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK);
    let target = if cmyk { ColorSpace::JCS_CMYK } else { ColorSpace::JCS_RGB };
    let mut image = header.to_colorspace(target).map_err(fail)?;
    let (width, height) = (image.width(), image.height());
    let channels = if cmyk { 4 } else { 3 };
    let mut data = SPARE.take();
    data.resize(width * height * channels, 0);
    let rows = image.read_scanlines_into(&mut data).map_err(fail)?;
    let read = rows.len();
    data.truncate(read);
    image.finish().map_err(fail)?;
    // libjpeg fills what is missing with grey; Pillow refuses it, even where only the end marker is missing.
    if ran_out.get() {
        return Err(DecodeError::Jpeg("the file is truncated".to_owned()));
    }
    let data = if cmyk { cmyk_to_rgb(&data) } else { data };
    if data.len() != width * height * 3 {
        return Err(DecodeError::Jpeg(format!("{} of {height} rows", data.len() / (width * 3))));
    }
    Ok(Rgb { width, height, data })
}

/// Adobe's inverted CMYK to RGB as Pillow converts it (`cmyk2rgb`, with its rounded division).
fn cmyk_to_rgb(data: &[u8]) -> Vec<u8> {
    let multiply = |a: u8, b: u8| {
        let t = u32::from(a) * u32::from(b) + 128;
        (((t >> 8) + t) >> 8) as u8
    };
    let pixels = data.as_chunks::<4>().0;
    // Pillow inverts on load (c' = 255 - c), then computes (255-k') - mul(c', 255-k').
    pixels
        .iter()
        .flat_map(|&[c, m, y, k]| [c, m, y].map(|v| k.saturating_sub(multiply(255 - v, k))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Pillow 13 says "image file is truncated" for each of these cuts.
    #[test]
    fn what_pillow_calls_truncated_is_refused() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images");
        for name in ["420.jpg", "444-progressive.jpg", "grey.jpg"] {
            let bytes = std::fs::read(folder.join(name)).unwrap();
            let most = u64::MAX;
            assert!(decode_jpeg(&bytes, most).is_ok());
            assert!(decode_jpeg(&[&bytes[..], b"junk"].concat(), most).is_ok());
            for cut in [1, 2, 3, 10, bytes.len() / 2] {
                let error = decode_jpeg(&bytes[..bytes.len() - cut], most).unwrap_err().to_string();
                assert!(error.contains("truncated"), "{name} less {cut}: {error}");
            }
        }
    }

    #[test]
    fn sizes_and_scans_are_bounded_before_memory_is_taken() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images");
        let mut bytes = std::fs::read(folder.join("420.jpg")).unwrap();
        let frame = bytes.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
        bytes[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
        let error = decode_jpeg(&bytes, crate::image::MOST_PIXELS).unwrap_err().to_string();
        assert!(error.contains("65500 x 65500"), "{error}");
        let scans = [0xFF, 0xD8].into_iter().chain([0xFF, 0xDA].repeat(501)).collect::<Vec<u8>>();
        assert!(decode_jpeg(&scans, u64::MAX).unwrap_err().to_string().contains("501 scans"));
    }
}
