//! TIFF as Pillow reads it: palettes, 16-bit samples by their high byte. JPEG within TIFF is refused: its pixels would
//! depend on another decoder.

use std::io::Cursor;

use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use super::Rgb;
use super::error::{DecodeError, check_pixels};

/// Compression of JPEG, old and new.
const JPEG: [u32; 2] = [6, 7];

pub(super) fn decode_tiff(bytes: &[u8], most_pixels: u64) -> Result<Rgb, DecodeError> {
    let fail = |e: tiff::TiffError| DecodeError::Other(e.to_string());
    let mut limits = Limits::default();
    limits.decoding_buffer_size = usize::try_from(most_pixels.saturating_mul(8)).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(fail)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(fail)?;
    let (width, height) = (width as usize, height as usize);
    check_pixels(width, height, most_pixels)?;
    let compression = decoder.find_tag_unsigned::<u32>(Tag::Compression).map_err(fail)?;
    if compression.is_some_and(|c| JPEG.contains(&c)) {
        return Err(DecodeError::Other(
            "JPEG within TIFF is not supported; save it as JPEG or PNG".to_owned(),
        ));
    }
    let colour = decoder.colortype().map_err(fail)?;
    let palette = match colour {
        ColorType::Palette(_) => decoder.get_tag_u16_vec(Tag::ColorMap).map_err(fail)?,
        _ => Vec::new(),
    };
    let samples = decoder.read_image().map_err(fail)?;
    let unsupported = || DecodeError::Other(format!("TIFF of {colour:?} is not supported"));
    let (values, wide): (Vec<u16>, bool) = match samples {
        DecodingResult::U8(v) => {
            (unpack(&v, colour.bit_depth(), width, height).ok_or_else(unsupported)?, false)
        }
        DecodingResult::U16(v) => (v, true),
        _ => return Err(unsupported()),
    };
    let channels = match colour {
        ColorType::Gray(_) | ColorType::Palette(_) => 1,
        ColorType::GrayA(_) => 2,
        ColorType::RGB(_) => 3,
        ColorType::RGBA(_) => 4,
        _ => return Err(unsupported()),
    };
    if values.len() < width * height * channels {
        return Err(DecodeError::Other(format!(
            "holds {} of {} samples",
            values.len(),
            width * height * channels
        )));
    }
    let byte = |v: u16| if wide { (v >> 8) as u8 } else { v as u8 };
    let entries = palette.len() / 3;
    let pixel = |p: &[u16]| match colour {
        // Red, green and blue one after the other, of which Pillow takes the high bytes.
        ColorType::Palette(_) => {
            let at = |c: usize| palette.get(c * entries + usize::from(p[0])).map_or(0, |v| (v >> 8) as u8);
            [at(0), at(1), at(2)]
        }
        // Mode I;16, which is clipped.
        ColorType::Gray(16) => [p[0].min(255) as u8; 3],
        ColorType::Gray(bits) => {
            let largest = (1u32 << bits) - 1;
            [(u32::from(p[0]) * 255 / largest) as u8; 3]
        }
        ColorType::GrayA(_) => [byte(p[0]); 3],
        _ => [byte(p[0]), byte(p[1]), byte(p[2])],
    };
    let data = values[..width * height * channels].chunks_exact(channels).flat_map(pixel).collect();
    Ok(Rgb { width, height, data })
}

/// Samples of fewer than eight bits, each row beginning with a byte of its own.
fn unpack(bytes: &[u8], bits: u8, width: usize, height: usize) -> Option<Vec<u16>> {
    match bits {
        8 => Some(bytes.iter().map(|&b| u16::from(b)).collect()),
        1 | 2 | 4 => {
            let row = (width * usize::from(bits)).div_ceil(8);
            if bytes.len() < row * height {
                return None;
            }
            let mask = (1u16 << bits) - 1;
            let sample = |y: usize, x: usize| {
                let bit = x * usize::from(bits);
                let byte = u16::from(bytes[y * row + bit / 8]);
                byte >> (8 - usize::from(bits) - bit % 8) & mask
            };
            Some(
                (0..height)
                    .flat_map(|y| (0..width).map(move |x| (y, x)))
                    .map(|(y, x)| sample(y, x))
                    .collect(),
            )
        }
        _ => None,
    }
}
