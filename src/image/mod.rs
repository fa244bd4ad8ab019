//! Images as the field's reference code sees them: decoding, Pillow's resampling, preprocessing.

pub mod corruptions;
mod decode;
mod error;
#[cfg(target_arch = "x86_64")]
mod horizontal;
mod jpeg;
mod preprocess;
mod resize;
mod taps;
mod tiff;

pub use decode::{DECODER, decode, decode_within};
pub use error::{DecodeError, MOST_PIXELS};
pub use jpeg::recycle;
pub use preprocess::{CropRule, PreprocessError, Preprocessor, ResizeRule};
pub use resize::resize_region;
pub use taps::Filter;

/// An 8-bit RGB image, rows from the top, three bytes a pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height * width * 3` bytes.
    pub data: Vec<u8>,
}

impl Rgb {
    /// An image of one colour.
    #[must_use]
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self { width, height, data: colour.repeat(width * height) }
    }

    /// The part of the image that starts at (`left`, `top`); parts outside are black, as Pillow
    /// and torchvision pad them.
    #[must_use]
    pub fn crop(&self, left: isize, top: isize, width: usize, height: usize) -> Self {
        let mut out = Self::filled(width, height, [0; 3]);
        for y in 0..height {
            let Some(source_y) = top.checked_add_unsigned(y).and_then(|v| usize::try_from(v).ok()) else {
                continue;
            };
            if source_y >= self.height {
                break;
            }
            let skip = usize::try_from(-left.min(0)).unwrap_or(0);
            let start = usize::try_from(left.max(0)).unwrap_or(0);
            let n = self.width.saturating_sub(start).min(width.saturating_sub(skip));
            let from = (source_y * self.width + start) * 3;
            let to = (y * width + skip) * 3;
            out.data[to..to + n * 3].copy_from_slice(&self.data[from..from + n * 3]);
        }
        out
    }

    /// The image as PNG bytes.
    pub fn to_png(&self) -> Vec<u8> {
        use image::codecs::png::{CompressionType, FilterType, PngEncoder};
        use image::{ExtendedColorType, ImageEncoder as _};
        let mut bytes = Vec::new();
        let (width, height) = (self.width as u32, self.height as u32);
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
            .write_image(&self.data, width, height, ExtendedColorType::Rgb8)
            .expect("an in-memory buffer of the right size");
        bytes
    }
}
