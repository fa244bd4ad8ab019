//! Image bytes to RGB, as Pillow's `Image.open(...).convert("RGB")` does it.
//!
//! JPEG goes through libjpeg-turbo's integer IDCT and fancy upsampling (in the `mozjpeg` build),
//! which is what Pillow uses: the pixels are equal. Everything else goes through the `image`
//! crate. Alpha is dropped, not blended, and the EXIF orientation is not applied, both as in
//! torchvision's `ImageFolder`.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::DynamicImage;
use mozjpeg::{ColorSpace, Decompress};

use super::Rgb;

/// Names the decoder in manifests and fingerprints.
pub const DECODER: &str = "mozjpeg-4 islow+fancy (libjpeg-turbo); image 0.25";

/// Why bytes could not be turned into an image.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JPEG and not a format that the `image` crate reads, or damaged.
    #[error("not a readable image: {0}")]
    Image(#[from] image::ImageError),
    /// A JPEG that libjpeg refuses.
    #[error("damaged JPEG: {0}")]
    Jpeg(String),
    /// No bytes at all.
    #[error("the image is empty (0 bytes)")]
    Empty,
}

/// Decodes an image of any supported format to RGB.
pub fn decode(bytes: &[u8]) -> Result<Rgb, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if bytes.starts_with(&[0xFF, 0xD8]) {
        return decode_jpeg(bytes);
    }
    let reader = image::ImageReader::new(std::io::Cursor::new(bytes))
        .with_guessed_format()
        .map_err(image::ImageError::IoError)?;
    Ok(to_rgb(reader.decode()?))
}

fn to_rgb(image: DynamicImage) -> Rgb {
    // Pillow opens 16-bit grey as mode I;16 and clips at 255 when converting to RGB.
    let image = match image {
        DynamicImage::ImageLuma16(grey) => {
            DynamicImage::ImageLuma8(image::GrayImage::from_fn(grey.width(), grey.height(), |x, y| {
                image::Luma([grey.get_pixel(x, y).0[0].min(255) as u8])
            }))
        }
        other => other,
    };
    let rgb = image.into_rgb8();
    Rgb { width: rgb.width() as usize, height: rgb.height() as usize, data: rgb.into_raw() }
}

thread_local! {
    /// Memory of an image that is not needed any more: fresh pages for every photograph cost a tenth of its decoding.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Gives an image's memory to the next JPEG that this thread decodes.
pub fn recycle(image: Rgb) {
    SPARE.set(image.data);
}

/// libjpeg reports errors by unwinding (without the panic hook); they are caught here.
fn decode_jpeg(bytes: &[u8]) -> Result<Rgb, DecodeError> {
    let fail = |e: std::io::Error| DecodeError::Jpeg(e.to_string());
    let attempt = catch_unwind(AssertUnwindSafe(|| -> Result<Rgb, DecodeError> {
        let header = Decompress::new_mem(bytes).map_err(fail)?;
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
        let data = if cmyk { cmyk_to_rgb(&data) } else { data };
        if data.len() != width * height * 3 {
            return Err(DecodeError::Jpeg(format!("{} of {height} rows", data.len() / (width * 3))));
        }
        Ok(Rgb { width, height, data })
    }));
    attempt.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(DecodeError::Jpeg(text.unwrap_or_else(|| "libjpeg stopped".to_owned())))
    })
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

    #[test]
    fn png_round_trip_is_exact() {
        let image = Rgb { width: 3, height: 2, data: (0..18).map(|v| v * 14).collect() };
        assert_eq!(decode(&image.to_png()).unwrap(), image);
    }

    #[test]
    fn damaged_bytes_are_errors_not_panics() {
        assert!(matches!(decode(b""), Err(DecodeError::Empty)));
        assert!(matches!(decode(b"hello"), Err(DecodeError::Image(_))));
        assert!(matches!(decode(&[0xFF, 0xD8, 0xFF, 0xE0, 0, 1]), Err(DecodeError::Jpeg(_))));
        let png = Rgb::filled(8, 8, [1, 2, 3]).to_png();
        assert!(matches!(decode(&png[..png.len() / 2]), Err(DecodeError::Image(_))));
    }

    #[test]
    fn alpha_is_dropped_not_blended() {
        let mut bytes = Vec::new();
        let rgba = image::RgbaImage::from_pixel(2, 2, image::Rgba([200, 100, 50, 0]));
        rgba.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png).unwrap();
        assert_eq!(decode(&bytes).unwrap(), Rgb::filled(2, 2, [200, 100, 50]));
    }
}
