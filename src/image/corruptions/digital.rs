//! Brightness, contrast, saturation, and what storing does to images.

use mozjpeg::qtable::{AnnexK_Chroma, AnnexK_Luma};
use mozjpeg::{ColorSpace, Compress};

use super::{Plain, fractions, to_image};
use crate::image::{Filter, Rgb, decode, resize_region};

pub(super) static BRIGHTNESS: Plain = Plain {
    name: "brightness",
    summary: "value (HSV) raised by 0.1 to 0.5",
    apply: |image, severity, _| {
        let more = [0.1, 0.2, 0.3, 0.4, 0.5][severity];
        in_hsv(image, |[h, s, v]| [h, s, (v + more).clamp(0.0, 1.0)])
    },
};

pub(super) static SATURATE: Plain = Plain {
    name: "saturate",
    summary: "saturation (HSV) times 0.1 to 20",
    apply: |image, severity, _| {
        let (times, plus) = [(0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2)][severity];
        in_hsv(image, |[h, s, v]| [h, (s * times + plus).clamp(0.0, 1.0), v])
    },
};

pub(super) static CONTRAST: Plain = Plain {
    name: "contrast",
    summary: "distance to each channel's mean times 0.4 down to 0.05",
    apply: |image, severity, _| {
        let times = [0.4, 0.3, 0.2, 0.1, 0.05][severity];
        let mut values = fractions(image);
        let pixels = (image.width * image.height) as f64;
        for c in 0..3 {
            let mean = values.iter().skip(c).step_by(3).sum::<f64>() / pixels;
            values.iter_mut().skip(c).step_by(3).for_each(|v| *v = (*v - mean) * times + mean);
        }
        to_image(image, &values)
    },
};

pub(super) static PIXELATE: Plain = Plain {
    name: "pixelate",
    summary: "made smaller to 0.6 down to 0.25 and larger again, both by boxes",
    apply: |image, severity, _| {
        let share = [0.6, 0.5, 0.4, 0.3, 0.25][severity];
        let part = |n: usize| ((n as f64 * share) as usize).max(1);
        let (w, h) = (part(image.width), part(image.height));
        let small = resize_region(image, Filter::Box, (w, h), (0, 0), (w, h));
        let size = (image.width, image.height);
        resize_region(&small, Filter::Box, size, (0, 0), size)
    },
};

pub(super) static JPEG_COMPRESSION: Plain = Plain {
    name: "jpeg-compression",
    summary: "stored as JPEG of quality 25 down to 7",
    apply: |image, severity, _| {
        let quality = [25, 18, 15, 10, 7][severity];
        jpeg(image, quality).and_then(|bytes| decode(&bytes).ok()).unwrap_or_else(|| image.clone())
    },
};

/// Pillow's defaults: libjpeg's tables, chroma at half resolution.
fn jpeg(image: &Rgb, quality: u32) -> Option<Vec<u8>> {
    let mut compress = Compress::new(ColorSpace::JCS_RGB);
    compress.set_fastest_defaults();
    compress.set_size(image.width, image.height);
    // libjpeg's scaling in whole percent, limited to 8 bits: the quality below is the one whose exact scale
    // is that whole percent.
    let quality = 5000.0 / (5000 / quality) as f32;
    compress.set_luma_qtable(&AnnexK_Luma.scaled(quality, quality));
    compress.set_chroma_qtable(&AnnexK_Chroma.scaled(quality, quality));
    compress.set_chroma_sampling_pixel_sizes((2, 2), (2, 2));
    let mut started = compress.start_compress(Vec::new()).ok()?;
    started.write_scanlines(&image.data).ok()?;
    started.finish().ok()
}

fn in_hsv(image: &Rgb, f: impl Fn([f64; 3]) -> [f64; 3]) -> Rgb {
    let mut values = fractions(image);
    for pixel in values.as_chunks_mut::<3>().0 {
        *pixel = to_rgb(f(to_hsv(*pixel)));
    }
    to_image(image, &values)
}

/// scikit-image's `rgb2hsv`; every part is in 0..1.
fn to_hsv([r, g, b]: [f64; 3]) -> [f64; 3] {
    let value = r.max(g).max(b);
    let spread = value - r.min(g).min(b);
    if spread == 0.0 {
        return [0.0, 0.0, value];
    }
    // The last channel that holds the maximum decides, as the reference's assignments do.
    let hue = if b == value {
        4.0 + (r - g) / spread
    } else if g == value {
        2.0 + (b - r) / spread
    } else {
        (g - b) / spread
    };
    [(hue / 6.0).rem_euclid(1.0), spread / value, value]
}

/// scikit-image's `hsv2rgb`.
fn to_rgb([h, s, v]: [f64; 3]) -> [f64; 3] {
    let sector = (h * 6.0).floor();
    let f = h * 6.0 - sector;
    let (p, q, t) = (v * (1.0 - s), v * (1.0 - f * s), v * (1.0 - (1.0 - f) * s));
    match sector as i64 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}
