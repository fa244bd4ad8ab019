//! The horizontal pass for AVX2: four taps of a pixel in one register.
//!
//! A weight has 23 bits, more than `vpmaddwd` multiplies, so it is cut into a high part and 11 low bits:
//! sum(p * w) = (sum(p * high) << 11) + sum(p * low), exactly, in 32-bit integers. Each pair of
//! neighbouring taps is one multiply-add per channel.

use std::arch::x86_64::{
    __m256i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_packs_epi32, _mm_packus_epi16,
    _mm_set1_epi32, _mm_srai_epi32, _mm256_add_epi32, _mm256_broadcastsi128_si256, _mm256_castsi256_si128,
    _mm256_extracti128_si256, _mm256_madd_epi16, _mm256_set_epi32, _mm256_setr_epi8, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_slli_epi32,
};

use super::Rgb;
use super::taps::{PRECISION_BITS, Taps};

const LOW_BITS: u32 = 11;

/// Bytes after a row that may be read (and are multiplied by zero).
const SLACK: usize = 32;

/// Four taps: their high and low parts, each twice per pair of channels' lanes.
struct Group {
    high: __m256i,
    low: __m256i,
}

/// Groups of four taps, as many for every output position, padded with zero weights; and their number.
#[target_feature(enable = "avx2")]
fn groups(taps: &Taps) -> (Vec<Group>, usize) {
    let pair = |a: i32, b: i32| (a & 0xFFFF) | (b << 16);
    let spread = |w: [i32; 4]| {
        let (near, far) = (pair(w[0], w[1]), pair(w[2], w[3]));
        _mm256_set_epi32(far, far, far, far, near, near, near, near)
    };
    let each = (0..taps.len()).map(|x| taps.of(x).1.len()).max().unwrap_or(0).div_ceil(4);
    let mut all = Vec::with_capacity(each * taps.len());
    for x in 0..taps.len() {
        let (_, weights) = taps.of(x);
        for g in 0..each {
            let weight = |i: usize| weights.get(4 * g + i).copied().unwrap_or(0);
            all.push(Group {
                high: spread(std::array::from_fn(|i| weight(i) >> LOW_BITS)),
                low: spread(std::array::from_fn(|i| weight(i) & ((1 << LOW_BITS) - 1))),
            });
        }
    }
    (all, each)
}

/// Convolves the rows `row_from..row_to` of an image.
#[target_feature(enable = "avx2")]
pub(super) fn horizontal(image: &Rgb, taps: &Taps, row_from: usize, row_to: usize) -> Rgb {
    let width = taps.len();
    let mut out = Rgb::filled(width, row_to - row_from, [0; 3]);
    let (groups, each) = groups(taps);
    let stride = image.width * 3;
    // A window may begin at the last pixel and reach `each` groups and one load beyond it.
    let mut padded = vec![0u8; stride + each * 12 + SLACK];
    // From four RGB pixels to (r0 r1 g0 g1 b0 b1 - -) and (r2 r3 g2 g3 b2 b3 - -) as 16-bit numbers.
    let z = -1;
    let order = _mm256_setr_epi8(
        0, z, 3, z, 1, z, 4, z, 2, z, 5, z, z, z, z, z, 6, z, 9, z, 7, z, 10, z, 8, z, 11, z, z, z, z, z,
    );
    let half = _mm_set1_epi32(1 << (PRECISION_BITS - 1));
    for (y, out_row) in (row_from..row_to).zip(out.data.chunks_exact_mut(width * 3)) {
        padded[..stride].copy_from_slice(&image.data[y * stride..(y + 1) * stride]);
        for (x, pixel) in out_row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let (first, _) = taps.of(x);
            let (mut high, mut low) = (_mm256_setzero_si256(), _mm256_setzero_si256());
            for (g, group) in groups[x * each..(x + 1) * each].iter().enumerate() {
                let start = (first + 4 * g) * 3;
                let sixteen = &padded[start..start + 16];
                #[expect(unsafe_code, reason = "an unaligned load of a slice of 16 bytes")]
                let bytes = unsafe { _mm_loadu_si128(sixteen.as_ptr().cast()) };
                let pixels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), order);
                high = _mm256_add_epi32(high, _mm256_madd_epi16(pixels, group.high));
                low = _mm256_add_epi32(low, _mm256_madd_epi16(pixels, group.low));
            }
            let sum = _mm256_add_epi32(_mm256_slli_epi32::<{ LOW_BITS as i32 }>(high), low);
            let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
            let levels = _mm_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm_add_epi32(sum, half));
            // Saturation does the clamping: to 16 bits, then to 0..255.
            let narrow = _mm_packs_epi32(levels, levels);
            let [r, g, b, _] = _mm_cvtsi128_si32(_mm_packus_epi16(narrow, narrow)).to_le_bytes();
            *pixel = [r, g, b];
        }
    }
    out
}
