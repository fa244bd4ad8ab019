//! Blur.

use super::{Plain, fractions, to_image};
use crate::base::rng::CounterRng;
use crate::image::Rgb;

pub(super) static GAUSSIAN_BLUR: Plain = Plain {
    name: "gaussian-blur",
    summary: "normal blur of 1 to 6 pixels",
    apply: |image, severity, _| {
        let sigma = [1.0, 2.0, 3.0, 4.0, 6.0][severity];
        let values = smoothed(image, fractions(image), sigma);
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
            let layer = zoomed((image.width, image.height, 3), &old, 1.0 + f64::from(i) * step);
            sum.iter_mut().zip(layer).for_each(|(s, v)| *s += v);
        }
        let n = f64::from(steps + 1);
        to_image(image, &sum.iter().map(|s| s / n).collect::<Vec<_>>())
    },
};

pub(super) static MOTION_BLUR: Plain = Plain {
    name: "motion-blur",
    summary: "moved along a line of 21 to 41 pixels at an angle within 45 degrees",
    apply: |image, severity, rng| {
        let (radius, sigma) = [(10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0)][severity];
        let angle = rng.range(-45.0, 45.0);
        let size = (image.width, image.height, 3);
        to_image(image, &motion(size, &fractions(image), radius, sigma, angle))
    },
};

pub(super) static GLASS_BLUR: Plain = Plain {
    name: "glass-blur",
    summary: "blurred, each pixel replaced by a near one, blurred again",
    apply: |image, severity, rng| {
        let (sigma, reach, times) =
            [(0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2)][severity];
        let mut blurred = to_image(image, &smoothed(image, fractions(image), sigma));
        let (w, h) = (image.width, image.height);
        let near = |rng: &mut CounterRng| rng.below(2 * reach) as isize - reach as isize;
        for _ in 0..times {
            for y in (reach + 1..=h.saturating_sub(reach)).rev().filter(|y| *y < h) {
                for x in (reach + 1..=w.saturating_sub(reach)).rev().filter(|x| *x < w) {
                    let (dx, dy) = (near(rng), near(rng));
                    let from = (y.saturating_add_signed(dy) * w + x.saturating_add_signed(dx)) * 3;
                    // The reference means to swap the two, but its array views make a copy of it; so are the
                    // published files.
                    blurred.data.copy_within(from..from + 3, (y * w + x) * 3);
                }
            }
        }
        to_image(image, &smoothed(image, fractions(&blurred), sigma))
    },
};

/// scipy's `gaussian_filter`: cut off at four deviations, the border repeated.
fn smoothed(image: &Rgb, mut values: Vec<f64>, sigma: f64) -> Vec<f64> {
    let radius = (4.0 * sigma + 0.5) as isize;
    let weights = gaussian(radius, sigma);
    let tap = |place: isize, n: usize| place.clamp(0, n as isize - 1) as usize;
    let (w, h) = (image.width, image.height);
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
    values
}

/// Motion along a line: the mean of `2 radius + 1` copies of the image, each moved one pixel further at `angle`
/// degrees, with weights that fall as a normal density of deviation `sigma`; the border is repeated.
pub(super) fn motion(
    (w, h, channels): (usize, usize, usize),
    values: &[f64],
    radius: usize,
    sigma: f64,
    angle: f64,
) -> Vec<f64> {
    let n = 2 * radius + 1;
    let plain: Vec<f64> = (0..n).map(|i| (-(i as f64).powi(2) / (2.0 * sigma * sigma)).exp()).collect();
    let total: f64 = plain.iter().sum();
    let (sin, cos) = angle.to_radians().sin_cos();
    let mut out = vec![0.0; values.len()];
    for (i, weight) in plain.iter().enumerate() {
        let offset = |part: f64| (i as f64 * part - 0.5).ceil() as isize;
        let (dy, dx) = (offset(sin), offset(cos));
        if dy.unsigned_abs() >= h || dx.unsigned_abs() >= w {
            break;
        }
        let tap = |place: usize, by: isize, n: usize| (place as isize + by).clamp(0, n as isize - 1) as usize;
        for y in 0..h {
            for x in 0..w {
                let from = (tap(y, dy, h) * w + tap(x, dx, w)) * channels;
                let to = (y * w + x) * channels;
                for c in 0..channels {
                    out[to + c] += weight / total * values[from + c];
                }
            }
        }
    }
    out
}

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
pub(super) fn zoomed((w, h, channels): (usize, usize, usize), values: &[f64], zoom: f64) -> Vec<f64> {
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
            for c in 0..channels {
                let at = |y: usize, x: usize| values[(y * w + x) * channels + c];
                let top = at(y0, x0) + fx * (at(y0, x1) - at(y0, x0));
                let bottom = at(y1, x0) + fx * (at(y1, x1) - at(y1, x0));
                out.push(top + fy * (bottom - top));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn motion_spreads_a_point_along_its_line() {
        // By hand: radius 1, weights 1, e^-1/2, e^-2 for sigma 1; at angle 0 each copy comes from one further right.
        let mut point = vec![0.0; 25];
        point[12] = 1.0;
        let found = motion((5, 5, 1), &point, 1, 1.0, 0.0);
        let weights = [1.0, (-0.5f64).exp(), (-2.0f64).exp()];
        let total: f64 = weights.iter().sum();
        for (i, weight) in weights.iter().enumerate() {
            assert!((found[12 - i] - weight / total).abs() < 1e-12, "{found:?}");
        }
        let down = motion((5, 5, 1), &point, 1, 1.0, 90.0);
        assert!(
            (down[2] - weights[2] / total).abs() < 1e-12 && (down.iter().sum::<f64>() - 1.0).abs() < 1e-12
        );
    }

    #[test]
    fn glass_moves_pixels_by_its_reach_at_most() {
        let mut image = Rgb::filled(21, 21, [0; 3]);
        image.data[(10 * 21 + 10) * 3] = 255;
        let found = (GLASS_BLUR.apply)(&image, 0, &mut CounterRng::new(0, "glass"));
        // Two blurs of radius 3 and two copies over one pixel each.
        let lit = |i: usize| found.data[i * 3] > 0;
        let far = (0..441usize).filter(|&i| lit(i)).map(|i| (i % 21).abs_diff(10).max((i / 21).abs_diff(10)));
        assert!(far.max().unwrap_or(0) <= 8);
    }
}
