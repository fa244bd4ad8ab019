//! Deterministic views of a drawing: background, rotation, scale, shift, occlusion, blur, noise.
//!
//! View `n` of concept `c` in style `s` of split `p` is a pure function of (seed, p, s, c, n), so
//! splits are disjoint by construction and any view can be made alone.

use super::raster::Master;
use crate::base::rng::CounterRng;
use crate::image::Rgb;

/// Samples per output pixel and axis.
const SUPERSAMPLE: usize = 2;

struct Background {
    from: [f64; 3],
    to: [f64; 3],
    /// Unit direction of the gradient.
    direction: (f64, f64),
}

struct Occluder {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    colour: [f64; 3],
}

/// Everything that varies between views of one drawing; lengths are in units of the image side.
struct ViewParams {
    background: Background,
    ink: [f64; 3],
    angle: f64,
    scale: f64,
    shift: (f64, f64),
    occluder: Option<Occluder>,
    blur: Option<f64>,
    noise: Option<f64>,
}

fn colour(rng: &mut CounterRng, low: f64, high: f64) -> [f64; 3] {
    std::array::from_fn(|_| rng.range(low, high))
}

impl ViewParams {
    fn draw(rng: &mut CounterRng) -> Self {
        let dark = rng.uniform() < 0.35;
        let (low, high) = if dark { (0.0, 0.45) } else { (0.55, 1.0) };
        let from = colour(rng, low, high);
        let to = if rng.uniform() < 0.5 { colour(rng, low, high) } else { from };
        let turn = rng.range(0.0, std::f64::consts::TAU);
        let (ink_low, ink_high) = if dark { (0.75, 1.0) } else { (0.0, 0.25) };
        let ink = colour(rng, ink_low, ink_high);
        Self {
            background: Background { from, to, direction: (turn.cos(), turn.sin()) },
            ink,
            angle: rng.range(-25.0, 25.0).to_radians(),
            scale: rng.range(0.65, 1.0),
            shift: (rng.range(-0.1, 0.1), rng.range(-0.1, 0.1)),
            occluder: (rng.uniform() < 0.25).then(|| {
                let (width, height) = (rng.range(0.15, 0.35), rng.range(0.15, 0.35));
                Occluder {
                    left: rng.range(0.0, 1.0 - width),
                    top: rng.range(0.0, 1.0 - height),
                    width,
                    height,
                    colour: colour(rng, 0.0, 1.0),
                }
            }),
            blur: (rng.uniform() < 0.25).then(|| rng.range(0.4, 0.9)),
            noise: (rng.uniform() < 0.2).then(|| rng.range(3.0, 10.0)),
        }
    }

    /// Colour at a point of the unit square, in `[0, 1]`.
    fn shade(&self, master: &Master, monochrome: bool, x: f64, y: f64) -> [f64; 3] {
        if let Some(o) = &self.occluder
            && (o.left..o.left + o.width).contains(&x)
            && (o.top..o.top + o.height).contains(&y)
        {
            return o.colour;
        }
        let b = &self.background;
        let along = ((x - 0.5) * b.direction.0 + (y - 0.5) * b.direction.1 + 0.5).clamp(0.0, 1.0);
        let (sin, cos) = self.angle.sin_cos();
        let (dx, dy) = (x - 0.5 - self.shift.0, y - 0.5 - self.shift.1);
        let u = (cos * dx + sin * dy) / self.scale + 0.5;
        let v = (cos * dy - sin * dx) / self.scale + 0.5;
        let pixel = master.sample(u, v);
        let alpha = f64::from(pixel[3]);
        std::array::from_fn(|c| {
            let behind = b.from[c] + (b.to[c] - b.from[c]) * along;
            let ink = if monochrome { self.ink[c] * alpha } else { f64::from(pixel[c]) };
            ink + behind * (1.0 - alpha)
        })
    }
}

/// Draws one view, `side` pixels wide and high.
pub fn render(master: &Master, monochrome: bool, side: usize, mut rng: CounterRng) -> Rgb {
    let view = ViewParams::draw(&mut rng);
    let fine = side * SUPERSAMPLE;
    let mut canvas = vec![[0.0f64; 3]; side * side];
    let weight = 1.0 / (SUPERSAMPLE * SUPERSAMPLE) as f64;
    for fy in 0..fine {
        for fx in 0..fine {
            let (x, y) = ((fx as f64 + 0.5) / fine as f64, (fy as f64 + 0.5) / fine as f64);
            let shade = view.shade(master, monochrome, x, y);
            let pixel = &mut canvas[fy / SUPERSAMPLE * side + fx / SUPERSAMPLE];
            for c in 0..3 {
                pixel[c] += shade[c] * weight;
            }
        }
    }
    if let Some(sigma) = view.blur {
        canvas = blur(&canvas, side, sigma);
    }
    let noise = view.noise.unwrap_or(0.0);
    let mut data = Vec::with_capacity(side * side * 3);
    for pixel in &canvas {
        for value in pixel {
            let jitter = if noise > 0.0 { noise * rng.normal() } else { 0.0 };
            data.push((value * 255.0 + jitter).round().clamp(0.0, 255.0) as u8);
        }
    }
    Rgb { width: side, height: side, data }
}

/// Separable Gaussian blur with a 5-tap window; edges repeat.
fn blur(canvas: &[[f64; 3]], side: usize, sigma: f64) -> Vec<[f64; 3]> {
    let taps: Vec<f64> = (-2..=2).map(|d| (-f64::from(d * d) / (2.0 * sigma * sigma)).exp()).collect();
    let total: f64 = taps.iter().sum();
    let pass = |image: &[[f64; 3]], horizontal: bool| -> Vec<[f64; 3]> {
        (0..side * side)
            .map(|i| {
                let (x, y) = (i % side, i / side);
                let mut sum = [0.0; 3];
                for (t, weight) in taps.iter().enumerate() {
                    let shifted = |v: usize| (v + t).saturating_sub(2).min(side - 1);
                    let (sx, sy) = if horizontal { (shifted(x), y) } else { (x, shifted(y)) };
                    for c in 0..3 {
                        sum[c] += image[sy * side + sx][c] * weight / total;
                    }
                }
                sum
            })
            .collect()
    };
    pass(&pass(canvas, true), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot() -> Master {
        Master::from_svg(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8\" height=\"8\">\
             <path fill=\"#ffffff\" d=\"M2 2h4v4H2z\"/></svg>",
        )
        .unwrap()
    }

    #[test]
    fn a_view_is_a_function_of_its_key() {
        let rng = CounterRng::new(0, "test");
        let a = render(&dot(), false, 16, rng.stream(5));
        assert_eq!(a, render(&dot(), false, 16, rng.stream(5)));
        assert_ne!(a, render(&dot(), false, 16, rng.stream(6)));
        assert_ne!(a, render(&dot(), false, 16, CounterRng::new(0, "train").stream(5)));
    }

    #[test]
    fn monochrome_ink_contrasts_with_its_background() {
        for n in 0..50 {
            let view = ViewParams::draw(&mut CounterRng::new(1, "ink").stream(n));
            let light = |c: &[f64; 3]| c.iter().sum::<f64>() / 3.0;
            assert!((light(&view.ink) - light(&view.background.from)).abs() > 0.25);
        }
    }

    #[test]
    fn blur_keeps_a_constant_image() {
        let flat = vec![[0.25, 0.5, 1.0]; 36];
        for pixel in blur(&flat, 6, 0.7) {
            assert!(pixel.iter().zip([0.25, 0.5, 1.0]).all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }
}
