//! Pillow's resampling of 8-bit images, value for value.
//!
//! Pillow (`src/libImaging/Resample.c`) convolves horizontally, rounds to 8 bits, then convolves
//! vertically and rounds again, with coefficients in 22-bit fixed point. The support grows with the
//! reduction factor, so that it antialiases. This module does the same arithmetic on integers; the
//! difference to Pillow is zero (`tests/golden`). Only the wanted region of the output is computed.

use super::Rgb;
use super::taps::{Filter, PRECISION_BITS, Taps};

/// Resizes to `out_width` x `out_height` and returns the region of the result that starts at
/// (`left`, `top`) with the given size. The region must lie inside the output.
///
/// # Panics
/// If the region does not lie inside the output, or an extent is zero.
#[must_use]
pub fn resize_region(
    image: &Rgb,
    filter: Filter,
    (out_width, out_height): (usize, usize),
    (left, top): (usize, usize),
    (width, height): (usize, usize),
) -> Rgb {
    assert!(left + width <= out_width && top + height <= out_height, "region outside the output");
    let vertical =
        (out_height != image.height).then(|| Taps::new(filter, image.height, out_height, top, height));
    let horizontal =
        (out_width != image.width).then(|| Taps::new(filter, image.width, out_width, left, width));
    if let (Some(across), Some(down)) = (&horizontal, &vertical)
        && vertical_first(image, out_width, out_height)
    {
        // Only the columns that the second pass reads.
        let (from, to) = across.span();
        let (row_from, row_to) = down.span();
        let part = image.crop(from as isize, row_from as isize, to - from, row_to - row_from);
        let rows = kernels::vertical(&part, down, row_from);
        return kernels::horizontal(&rows, &across.shifted(from), 0, height);
    }
    let (row_from, row_to) = vertical.as_ref().map_or((top, top + height), Taps::span);
    let rows = match horizontal {
        Some(taps) => kernels::horizontal(image, &taps, row_from, row_to),
        None => image.crop(left as isize, row_from as isize, width, row_to - row_from),
    };
    match vertical {
        Some(taps) => kernels::vertical(&rows, &taps, row_from),
        None => rows,
    }
}

/// Whether Pillow 13 makes the vertical pass first: where it takes away more than twice as many rows as the
/// horizontal one takes away columns. Found on 500 random pairs of sizes (`tests/golden/make_tall.py`); up to 12.1 the
/// horizontal pass always came first.
fn vertical_first(image: &Rgb, out_width: usize, out_height: usize) -> bool {
    let fewer = |from: usize, to: usize| from as i64 - to as i64;
    image.height > out_height && fewer(image.height, out_height) > 2 * fewer(image.width, out_width)
}

/// The two passes for any processor; on AVX2 the first is `horizontal.rs`, the second is compiled again.
mod kernels {
    use super::{PRECISION_BITS, Rgb, Taps};

    const ROUND: i32 = 1 << (PRECISION_BITS - 1);

    #[inline(always)]
    fn clip(sum: i32) -> u8 {
        (sum >> PRECISION_BITS).clamp(0, 255) as u8
    }

    #[inline(always)]
    fn horizontal_body(image: &Rgb, taps: &Taps, row_from: usize, row_to: usize) -> Rgb {
        let width = taps.len();
        let mut out = Rgb::filled(width, row_to - row_from, [0; 3]);
        // One row widened to four 32-bit lanes a pixel, so that a tap is one vector operation.
        let mut wide = vec![[0i32; 4]; image.width];
        for (y, out_row) in (row_from..row_to).zip(out.data.chunks_exact_mut(width * 3)) {
            let row = &image.data[y * image.width * 3..(y + 1) * image.width * 3];
            for (pixel, lanes) in row.as_chunks::<3>().0.iter().zip(&mut wide) {
                *lanes = [i32::from(pixel[0]), i32::from(pixel[1]), i32::from(pixel[2]), 0];
            }
            for (x, out_pixel) in out_row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let (first, weights) = taps.of(x);
                let mut sum = [ROUND; 4];
                for (lanes, &weight) in wide[first..first + weights.len()].iter().zip(weights) {
                    for c in 0..4 {
                        sum[c] += lanes[c] * weight;
                    }
                }
                *out_pixel = [clip(sum[0]), clip(sum[1]), clip(sum[2])];
            }
        }
        out
    }

    #[inline(always)]
    fn vertical_body(rows: &Rgb, taps: &Taps, row_from: usize) -> Rgb {
        let stride = rows.width * 3;
        let height = taps.len();
        let mut out = Rgb::filled(rows.width, height, [0; 3]);
        let mut sums = vec![0i32; stride];
        for (y, out_row) in out.data.chunks_exact_mut(stride).enumerate() {
            let (first, weights) = taps.of(y);
            sums.fill(ROUND);
            for (t, &weight) in weights.iter().enumerate() {
                let start = (first - row_from + t) * stride;
                for (sum, &value) in sums.iter_mut().zip(&rows.data[start..start + stride]) {
                    *sum += i32::from(value) * weight;
                }
            }
            for (value, &sum) in out_row.iter_mut().zip(&sums) {
                *value = clip(sum);
            }
        }
        out
    }

    #[cfg(target_arch = "x86_64")]
    mod avx2 {
        use super::{Rgb, Taps, vertical_body};

        #[target_feature(enable = "avx2")]
        pub(super) fn vertical(rows: &Rgb, taps: &Taps, row_from: usize) -> Rgb {
            vertical_body(rows, taps, row_from)
        }
    }

    pub(super) fn horizontal(image: &Rgb, taps: &Taps, from: usize, to: usize) -> Rgb {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            #[expect(unsafe_code, reason = "the processor was asked for AVX2 on the line above")]
            return unsafe { crate::image::horizontal::horizontal(image, taps, from, to) };
        }
        horizontal_body(image, taps, from, to)
    }

    pub(super) fn vertical(rows: &Rgb, taps: &Taps, row_from: usize) -> Rgb {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            #[expect(unsafe_code, reason = "the processor was asked for AVX2 on the line above")]
            return unsafe { avx2::vertical(rows, taps, row_from) };
        }
        vertical_body(rows, taps, row_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: usize, height: usize) -> Rgb {
        let data = (0..width * height * 3).map(|i| (i * 37 % 256) as u8).collect();
        Rgb { width, height, data }
    }

    #[test]
    fn same_size_is_the_identity() {
        let image = gradient(7, 5);
        assert_eq!(resize_region(&image, Filter::Bicubic, (7, 5), (0, 0), (7, 5)), image);
    }

    #[test]
    fn a_region_equals_the_crop_of_the_whole() {
        let image = gradient(61, 47);
        let whole = resize_region(&image, Filter::Bicubic, (29, 23), (0, 0), (29, 23));
        let part = resize_region(&image, Filter::Bicubic, (29, 23), (5, 3), (20, 17));
        assert_eq!(part, whole.crop(5, 3, 20, 17));
    }

    #[test]
    fn constant_images_stay_constant() {
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            let out = resize_region(&Rgb::filled(33, 20, [9, 200, 255]), filter, (12, 41), (0, 0), (12, 41));
            assert_eq!(out, Rgb::filled(12, 41, [9, 200, 255]));
        }
    }

    #[test]
    fn halving_bilinear_by_hand() {
        // Scale 2, support 2: weights 1/8, 3/8, 3/8, 1/8 inside; at the left edge 3/7, 3/7, 1/7.
        let image = Rgb { width: 4, height: 1, data: [[0; 3], [80; 3], [160; 3], [240; 3]].concat() };
        let out = resize_region(&image, Filter::Bilinear, (2, 1), (0, 0), (2, 1));
        assert_eq!(out.data, [[57; 3], [183; 3]].concat());
    }
}
