//! Blur.

use super::{Plain, fractions, to_image};
use crate::image::Rgb;

pub(super) static GAUSSIAN_BLUR: Plain = Plain {
    name: "gaussian-blur",
    summary: "normal blur of 1 to 6 pixels",
    apply: |image, severity, _| {
        let sigma = [1.0, 2.0, 3.0, 4.0, 6.0][severity];
        // scipy's `gaussian_filter`: cut off at four deviations, the border repeated.
        let radius = (4.0 * sigma + 0.5) as isize;
        let weights = gaussian(radius, sigma);
        let tap = |place: isize, n: usize| place.clamp(0, n as isize - 1) as usize;
        let (w, h) = (image.width, image.height);
        let mut values = fractions(image);
        for (along, n) in [(true, h), (false, w)] {
            let old = values.clone();
            for (i, value) in values.iter_mut().enumerate() {
                let (x, y, c) = (i / 3 % w, i / 3 / w, i % 3);
                let centre = if along { y } else { x } as isize;
                *value = (-radius..=radius)
                    .zip(&weights)
                    .map(|(k, weight)| {
                        let p = tap(centre + k, n);
                        let source = if along { (p * w + x) * 3 + c } else { (y * w + p) * 3 + c };
                        weight * old[source]
                    })
                    .sum();
            }
        }
        to_image(image, &values)
    },
};

pub(super) static DEFOCUS_BLUR: Plain = Plain {
    name: "defocus-blur",
    summary: "a disk of radius 3 to 10",
    apply: |image, severity, _| {
        let (radius, alias) = [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)][severity];
        let (side, kernel) = disk(radius, alias);
        let half = (side / 2) as isize;
        let (w, h) = (image.width, image.height);
        let old = fractions(image);
        let mut values = vec![0.0; old.len()];
        for y in 0..h {
            for x in 0..w {
                let mut sum = [0.0; 3];
                for (k, weight) in kernel.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
                    let (dx, dy) = ((k % side) as isize - half, (k / side) as isize - half);
                    let source = (mirror(y as isize + dy, h) * w + mirror(x as isize + dx, w)) * 3;
                    for (s, v) in sum.iter_mut().zip(&old[source..]) {
                        *s += weight * v;
                    }
                }
                values[(y * w + x) * 3..][..3].copy_from_slice(&sum);
            }
        }
        to_image(image, &values)
    },
};

pub(super) static ZOOM_BLUR: Plain = Plain {
    name: "zoom-blur",
    summary: "the mean of the image zoomed by up to 1.1 to 1.3",
    apply: |image, severity, _| {
        let (steps, step) = [(11, 0.01), (16, 0.01), (11, 0.02), (13, 0.02), (11, 0.03)][severity];
        let old = fractions(image);
        let mut sum = old.clone();
        for i in 0..steps {
            let layer = zoomed(image, &old, 1.0 + f64::from(i) * step);
            sum.iter_mut().zip(layer).for_each(|(s, v)| *s += v);
        }
        let n = f64::from(steps + 1);
        to_image(image, &sum.iter().map(|s| s / n).collect::<Vec<_>>())
    },
};

fn gaussian(radius: isize, sigma: f64) -> Vec<f64> {
    let plain: Vec<f64> = (-radius..=radius).map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp()).collect();
    let total: f64 = plain.iter().sum();
    plain.into_iter().map(|v| v / total).collect()
}

/// OpenCV's `BORDER_REFLECT_101`: the border pixel is not repeated.
fn mirror(place: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let p = place.rem_euclid(period);
    p.min(period - p) as usize
}

/// The reference's disk, smoothed against aliasing; the side of its square and its weights.
fn disk(radius: isize, alias: f64) -> (usize, Vec<f64>) {
    let (half, smooth) = if radius <= 8 { (8, 1) } else { (radius, 2) };
    let side = (2 * half + 1) as usize;
    let inside = |i: usize| {
        let (x, y) = ((i % side) as isize - half, (i / side) as isize - half);
        f64::from(u8::from(x * x + y * y <= radius * radius))
    };
    let mut kernel: Vec<f64> = (0..side * side).map(inside).collect();
    let total: f64 = kernel.iter().sum();
    kernel.iter_mut().for_each(|v| *v /= total);
    let weights = gaussian(smooth, alias);
    for along in [true, false] {
        let old = kernel.clone();
        for (i, value) in kernel.iter_mut().enumerate() {
            let (x, y) = (i % side, i / side);
            *value = (-smooth..=smooth)
                .zip(&weights)
                .map(|(k, weight)| {
                    let at = |p: usize| mirror(p as isize + k, side);
                    weight * if along { old[at(y) * side + x] } else { old[y * side + at(x)] }
                })
                .sum();
        }
    }
    (side, kernel)
}

/// The centre of the image enlarged by `zoom`, linearly, to the image's size (scipy's `zoom` of order 1: the
/// corners of the grids coincide), its centre kept.
fn zoomed(image: &Rgb, values: &[f64], zoom: f64) -> Vec<f64> {
    let (w, h) = (image.width, image.height);
    let axis = |n: usize| {
        let cut = (n as f64 / zoom).ceil() as usize;
        let start = (n - cut) / 2;
        let out = (cut as f64 * zoom).round_ties_even() as usize;
        let trim = out.saturating_sub(n) / 2;
        let scale = if out > 1 { (cut as f64 - 1.0) / (out as f64 - 1.0) } else { 0.0 };
        (0..n)
            .map(|i| {
                let place = (i + trim) as f64 * scale;
                let low = (place.floor() as usize).min(cut - 1);
                (start + low, start + (low + 1).min(cut - 1), place - low as f64)
            })
            .collect::<Vec<_>>()
    };
    let (xs, ys) = (axis(w), axis(h));
    let mut out = Vec::with_capacity(values.len());
    for &(y0, y1, fy) in &ys {
        for &(x0, x1, fx) in &xs {
            for c in 0..3 {
                let at = |y: usize, x: usize| values[(y * w + x) * 3 + c];
                let top = at(y0, x0) + fx * (at(y0, x1) - at(y0, x0));
                let bottom = at(y1, x0) + fx * (at(y1, x1) - at(y1, x0));
                out.push(top + fy * (bottom - top));
            }
        }
    }
    out
}
