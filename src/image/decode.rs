//! Image bytes to RGB, as Pillow's `Image.open(...).convert("RGB")` does it.
//!
//! JPEG goes through libjpeg-turbo's integer IDCT and fancy upsampling (in the `mozjpeg` build),
//! which is what Pillow uses: the pixels are equal. Everything else goes through the `image`
//! crate. Alpha is dropped, not blended, and the EXIF orientation is not applied, both as in
//! torchvision's `ImageFolder`.

use std::io::Cursor;

use image::codecs::pnm::PnmDecoder;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader};

use super::Rgb;
use super::error::{DecodeError, MOST_PIXELS, check_pixels};
use super::jpeg::decode_jpeg;
use super::tiff::decode_tiff;
use crate::base::guard::guarded;

/// Names the decoder and resampler in manifests and fingerprints.
pub const DECODER: &str = "mozjpeg-4 islow+fancy (libjpeg-turbo); image 0.25; Pillow 13 resampling";

/// Decodes an image of any supported format to RGB, within Pillow's limit of pixels.
pub fn decode(bytes: &[u8]) -> Result<Rgb, DecodeError> {
    decode_within(bytes, MOST_PIXELS)
}

/// Decodes an image of at most `most_pixels` pixels.
pub fn decode_within(bytes: &[u8], most_pixels: u64) -> Result<Rgb, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if bytes.starts_with(&[0xFF, 0xD8]) {
        return decode_jpeg(bytes, most_pixels);
    }
    guarded(|| decode_other(bytes, most_pixels)).unwrap_or_else(|text| Err(DecodeError::Other(text)))
}

fn decode_other(bytes: &[u8], most_pixels: u64) -> Result<Rgb, DecodeError> {
    let format = image::guess_format(bytes)?;
    let ended;
    let bytes = match format {
        ImageFormat::Tiff => return decode_tiff(bytes, most_pixels),
        ImageFormat::Pnm => return decode_pnm(bytes, most_pixels),
        ImageFormat::Png => match without_end(bytes) {
            Some(whole) => {
                ended = whole;
                &ended[..]
            }
            None => bytes,
        },
        _ => bytes,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits(most_pixels));
    let decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    check_pixels(width as usize, height as usize, most_pixels)?;
    Ok(to_rgb(DynamicImage::from_decoder(decoder)?))
}

/// Memory that a decoder may take: the widest pixels of the largest image, and a little.
fn limits(most_pixels: u64) -> image::Limits {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(most_pixels.saturating_mul(16).saturating_add(1 << 26));
    limits
}

/// A PNG whose chunks are whole but which lacks its end chunk, with one: Pillow reads such files.
fn without_end(bytes: &[u8]) -> Option<Vec<u8>> {
    const END: [u8; 12] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82];
    let mut at = 8;
    while let Some(header) = bytes.get(at..at + 8) {
        if &header[4..] == b"IEND" {
            return None;
        }
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let next = at.checked_add(12)?.checked_add(length)?;
        if next > bytes.len() {
            break;
        }
        at = next;
    }
    // What is left of a chunk that is cut off holds no pixels if it is the end chunk itself.
    let cut_off = &bytes[at.min(bytes.len())..];
    let only_the_end = cut_off.len() < 12 && END.starts_with(cut_off);
    only_the_end.then(|| [&bytes[..at], &END].concat())
}

fn to_rgb(image: DynamicImage) -> Rgb {
    // Pillow takes the high byte of 16-bit samples, but opens 16-bit grey as mode I;16 and clips it at 255.
    let high = |v: u16| (v >> 8) as u8;
    let rgb = match image {
        DynamicImage::ImageLuma16(grey) => image::RgbImage::from_fn(grey.width(), grey.height(), |x, y| {
            image::Rgb([grey.get_pixel(x, y).0[0].min(255) as u8; 3])
        }),
        DynamicImage::ImageLumaA16(grey) => image::RgbImage::from_fn(grey.width(), grey.height(), |x, y| {
            image::Rgb([high(grey.get_pixel(x, y).0[0]); 3])
        }),
        DynamicImage::ImageRgb16(wide) => image::RgbImage::from_fn(wide.width(), wide.height(), |x, y| {
            image::Rgb(wide.get_pixel(x, y).0.map(high))
        }),
        DynamicImage::ImageRgba16(wide) => image::RgbImage::from_fn(wide.width(), wide.height(), |x, y| {
            let [r, g, b, _] = wide.get_pixel(x, y).0;
            image::Rgb([r, g, b].map(high))
        }),
        other => other.into_rgb8(),
    };
    Rgb { width: rgb.width() as usize, height: rgb.height() as usize, data: rgb.into_raw() }
}

/// PBM, PGM, PPM. Pillow stretches samples to 0..255, and grey ones of more than 8 bits to 0..65535, which are then
/// clipped at 255.
fn decode_pnm(bytes: &[u8], most_pixels: u64) -> Result<Rgb, DecodeError> {
    let mut decoder = PnmDecoder::new(Cursor::new(bytes))?;
    decoder.set_limits(limits(most_pixels))?;
    let (width, height) = decoder.dimensions();
    check_pixels(width as usize, height as usize, most_pixels)?;
    let largest = f64::from(decoder.header().maximal_sample());
    let bits = matches!(decoder.subtype(), image::codecs::pnm::PnmSubtype::Bitmap(_));
    // The crate stretches as well, but rounds halves up where Pillow rounds them to even: back to the file's number first.
    let stretch =
        |v: f64, from: f64, to: f64| ((v * largest / from).round() / largest * to).round_ties_even().min(to);
    let mut image = DynamicImage::from_decoder(decoder)?;
    match &mut image {
        DynamicImage::ImageLuma8(grey) if !bits => {
            grey.iter_mut().for_each(|v| *v = stretch(f64::from(*v), 255.0, 255.0) as u8);
        }
        DynamicImage::ImageRgb8(rgb) => {
            rgb.iter_mut().for_each(|v| *v = stretch(f64::from(*v), 255.0, 255.0) as u8);
        }
        DynamicImage::ImageRgb16(rgb) => {
            let values = rgb.iter().map(|&v| stretch(f64::from(v), 65_535.0, 255.0) as u8).collect();
            return Ok(Rgb { width: width as usize, height: height as usize, data: values });
        }
        _ => {}
    }
    Ok(to_rgb(image))
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

    // Pillow 13 opens a PNG without its end chunk, or with a part of it, and refuses one cut within its pixels.
    #[test]
    fn a_png_without_end_is_read_as_pillow_reads_it() {
        let image = Rgb { width: 9, height: 7, data: (0..189).map(|v| (v * 37 % 256) as u8).collect() };
        let png = image.to_png();
        for cut in [1, 4, 8, 12] {
            assert_eq!(decode(&png[..png.len() - cut]).unwrap(), image, "{cut}");
        }
        assert!(decode(&png[..png.len() - 30]).is_err());
    }

    // The right values are Pillow 13's `Image.open(...).convert("RGB")`.
    #[test]
    fn portable_maps_are_stretched_as_pillow_does() {
        let pixels = |bytes: &[u8]| decode(bytes).unwrap().data;
        let of = |header: &str| pixels(&[header.as_bytes(), &(10..22).collect::<Vec<u8>>()].concat());
        assert_eq!(of("P6\n# comment\n2 1\n65535\n"), [10, 12, 14, 16, 18, 20]);
        assert_eq!(of("P6 2 1 100\n"), [26, 28, 31, 33, 36, 38]);
        assert_eq!(pixels(b"P2 1 1 100\n30"), [76; 3]);
        assert_eq!(of("P5 2 1 65535\n"), [255; 6]);
        assert_eq!(of("P5 2 1 100\n"), [26, 26, 26, 28, 28, 28]);
        assert_eq!(pixels(b"P3 2 1 255\n1 2 3 4 5 6"), [1, 2, 3, 4, 5, 6]);
        assert_eq!(pixels(b"P2 2 1 15\n1 15"), [17, 17, 17, 255, 255, 255]);
        assert_eq!(pixels(b"P1 2 1\n1 0"), [0, 0, 0, 255, 255, 255]);
    }

    #[test]
    fn sixteen_bit_samples_give_their_high_byte() {
        let wide = image::ImageBuffer::from_pixel(1, 1, image::Rgb([62_400u16, 255, 256]));
        let mut bytes = Vec::new();
        DynamicImage::ImageRgb16(wide).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        assert_eq!(decode(&bytes).unwrap().data, [243, 0, 1]);
    }

    #[test]
    fn too_many_pixels_are_refused() {
        let png = Rgb::filled(20, 20, [1, 2, 3]).to_png();
        assert!(decode_within(&png, 400).is_ok());
        let error = decode_within(&png, 399).unwrap_err().to_string();
        assert!(error.contains("20 x 20 pixels, more than 399"), "{error}");
    }

    #[test]
    fn alpha_is_dropped_not_blended() {
        let mut bytes = Vec::new();
        let rgba = image::RgbaImage::from_pixel(2, 2, image::Rgba([200, 100, 50, 0]));
        rgba.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        assert_eq!(decode(&bytes).unwrap(), Rgb::filled(2, 2, [200, 100, 50]));
    }
}
