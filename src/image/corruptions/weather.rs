//! Fog and snow.

use super::blur::{motion, zoomed};
use super::{Plain, fractions, to_image};
use crate::base::rng::CounterRng;

pub(super) static FOG: Plain = Plain {
    name: "fog",
    summary: "a plasma fractal of strength 1.5 to 3 laid over the image",
    apply: |image, severity, rng| {
        let (strength, decay) = [(1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)][severity];
        let mut values = fractions(image);
        let largest = values.iter().copied().fold(0.0, f64::max);
        let side = image.width.max(image.height).next_power_of_two().max(2);
        let map = plasma(side, decay, rng);
        for (i, value) in values.iter_mut().enumerate() {
            let (x, y) = (i / 3 % image.width, i / 3 / image.width);
            *value = (*value + strength * map[y * side + x]) * largest / (largest + strength);
        }
        to_image(image, &values)
    },
};

pub(super) static SNOW: Plain = Plain {
    name: "snow",
    summary: "flakes blurred along their fall, and a paler image",
    apply: |image, severity, rng| {
        let (mean, spread, zoom, least, radius, sigma, keep) = [
            (0.1, 0.3, 3.0, 0.5, 10, 4.0, 0.8),
            (0.2, 0.3, 2.0, 0.5, 12, 4.0, 0.7),
            (0.55, 0.3, 4.0, 0.9, 12, 8.0, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8.0, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12.0, 0.55),
        ][severity];
        let (w, h) = (image.width, image.height);
        let flakes: Vec<f64> = (0..w * h).map(|_| mean + spread * rng.normal()).collect();
        let flakes = zoomed((w, h, 1), &flakes, zoom);
        let bright: Vec<f64> = flakes.iter().map(|&v| if v < least { 0.0 } else { v.min(1.0) }).collect();
        let angle = rng.range(-135.0, -45.0);
        let fallen = motion((w, h, 1), &bright, radius, sigma, angle);
        let fallen: Vec<f64> = fallen.iter().map(|v| (v * 255.0).round_ties_even() / 255.0).collect();
        let mut values = fractions(image);
        let last = w * h - 1;
        for (i, pixel) in values.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let grey = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
            // The layer as it is and turned by half a circle.
            let snow = fallen[i] + fallen[last - i];
            for v in pixel {
                *v = keep * *v + (1.0 - keep) * v.max(grey * 1.5 + 0.5) + snow;
            }
        }
        to_image(image, &values)
    },
};

/// A height map of values from 0 to 1 by the diamond-square algorithm on a torus (Fournier et al. 1982), as the
/// reference draws it: each new point is the mean of four plus noise whose amplitude falls by `decay` a level.
fn plasma(side: usize, decay: f64, rng: &mut CounterRng) -> Vec<f64> {
    let mut map = vec![0.0; side * side];
    let (mut step, mut wibble) = (side, 100.0);
    let at = |map: &[f64], y: usize, x: usize| map[(y % side) * side + x % side];
    while step >= 2 {
        let half = step / 2;
        let mut noise = |wibble: f64| wibble * rng.range(-wibble, wibble);
        for y in (0..side).step_by(step) {
            for x in (0..side).step_by(step) {
                let sum = at(&map, y, x)
                    + at(&map, y + step, x)
                    + at(&map, y, x + step)
                    + at(&map, y + step, x + step);
                map[(y + half) * side + x + half] = sum / 4.0 + noise(wibble);
            }
        }
        for y in (0..side).step_by(step) {
            for x in (0..side).step_by(step) {
                // Above and below the middle of the upper edge, its two ends; the same for the left edge.
                let centre = at(&map, y + half, x + half);
                let above = at(&map, y + side - half, x + half);
                let top = centre + above + at(&map, y, x) + at(&map, y, x + step);
                let before = at(&map, y + half, x + side - half);
                let left = centre + before + at(&map, y, x) + at(&map, y + step, x);
                map[y * side + x + half] = top / 4.0 + noise(wibble);
                map[(y + half) * side + x] = left / 4.0 + noise(wibble);
            }
        }
        step = half;
        wibble /= decay;
    }
    let low = map.iter().copied().fold(f64::INFINITY, f64::min);
    let high = map.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    map.iter().map(|v| (v - low) / (high - low)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Rgb;

    #[test]
    fn a_plasma_fractal_fills_its_range_and_is_smooth() {
        let map = plasma(64, 2.0, &mut CounterRng::new(0, "fog"));
        let (low, high) = map.iter().fold((1.0f64, 0.0f64), |(l, h), &v| (l.min(v), h.max(v)));
        assert_eq!((low, high), (0.0, 1.0));
        let step = |i: usize| (map[i + 1] - map[i]).abs();
        let near = (0..4095).filter(|i| i % 64 != 63).map(step).sum::<f64>() / 4032.0;
        let far = (0..2048).map(|i| (map[i + 2048] - map[i]).abs()).sum::<f64>() / 2048.0;
        assert!(near < 0.5 * far, "{near} {far}");
    }

    #[test]
    fn fog_lowers_contrast_and_snow_brightens() {
        let image = Rgb { width: 32, height: 32, data: (0..3072).map(|i| (i * 5 % 200) as u8).collect() };
        let mean = |i: &Rgb| i.data.iter().map(|&v| f64::from(v)).sum::<f64>() / 3072.0;
        let spread = |i: &Rgb| {
            let m = mean(i);
            (i.data.iter().map(|&v| (f64::from(v) - m).powi(2)).sum::<f64>() / 3072.0).sqrt()
        };
        let fog = (FOG.apply)(&image, 4, &mut CounterRng::new(1, "fog"));
        assert!(spread(&fog) < 0.8 * spread(&image));
        let snow = (SNOW.apply)(&image, 0, &mut CounterRng::new(1, "snow"));
        assert!(mean(&snow) > mean(&image) + 5.0);
    }
}
