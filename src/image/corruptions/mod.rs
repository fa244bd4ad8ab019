//! Corruptions of images at five severities, after ImageNet-C (Hendrycks and Dietterich 2019,
//! arXiv:1903.12261), made on the fly. To add one, write it in a file and list it here.
//!
//! ImageNet-C applies them to a 224-pixel centre crop and stores the result as JPEG of quality 85; here they are
//! applied to the crop that the model reads, and nothing is stored, so accuracies are a little higher than on the
//! published files. Noise is drawn from a counter-based generator keyed by the example, so that every variant,
//! thread and run sees the same. Of the fifteen, two are not here: frost, which lays photographs of frost over the
//! image, and the elastic transform.

mod blur;
mod digital;
mod noise;
mod weather;

use super::Rgb;
use crate::base::registry::{Named, Registry};
use crate::base::rng::CounterRng;

/// A corruption.
pub trait Corruption: Named + Sync {
    /// Corrupts an image. `severity` is 1 to 5; `rng` belongs to this image alone.
    fn apply(&self, image: &Rgb, severity: usize, rng: &mut CounterRng) -> Rgb;
}

/// All corruptions.
pub static CORRUPTIONS: Registry<dyn Corruption> = Registry {
    kind: "corruption",
    items: &[
        &digital::BRIGHTNESS,
        &digital::CONTRAST,
        &blur::DEFOCUS_BLUR,
        &weather::FOG,
        &blur::GAUSSIAN_BLUR,
        &noise::GAUSSIAN_NOISE,
        &blur::GLASS_BLUR,
        &noise::IMPULSE_NOISE,
        &digital::JPEG_COMPRESSION,
        &blur::MOTION_BLUR,
        &digital::PIXELATE,
        &digital::SATURATE,
        &noise::SHOT_NOISE,
        &weather::SNOW,
        &noise::SPECKLE_NOISE,
        &blur::ZOOM_BLUR,
    ],
};

/// A corruption of this list as its name, a line about it, and what it does.
struct Plain {
    name: &'static str,
    summary: &'static str,
    apply: fn(&Rgb, usize, &mut CounterRng) -> Rgb,
}

impl Named for Plain {
    fn name(&self) -> &'static str {
        self.name
    }
    fn summary(&self) -> &'static str {
        self.summary
    }
    fn reference(&self) -> &'static str {
        "arXiv:1903.12261"
    }
}

impl Corruption for Plain {
    fn apply(&self, image: &Rgb, severity: usize, rng: &mut CounterRng) -> Rgb {
        (self.apply)(image, severity.clamp(1, 5) - 1, rng)
    }
}

/// Pixels as fractions of 255, three to a pixel.
fn fractions(image: &Rgb) -> Vec<f64> {
    image.data.iter().map(|&v| f64::from(v) / 255.0).collect()
}

/// Fractions to 8 bits as the reference does it: clipped, scaled, cut off (not rounded).
fn to_image(like: &Rgb, values: &[f64]) -> Rgb {
    let data = values.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0) as u8).collect();
    Rgb { width: like.width, height: like.height, data }
}

/// Corrupts each value on its own.
fn each(image: &Rgb, mut f: impl FnMut(f64) -> f64) -> Rgb {
    to_image(image, &fractions(image).into_iter().map(&mut f).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_every_severity_works() {
        let names: Vec<&str> = CORRUPTIONS.names().collect();
        assert!(names.is_sorted(), "{names:?}");
        let image = Rgb { width: 20, height: 16, data: (0..960).map(|i| (i * 7 % 256) as u8).collect() };
        for corruption in CORRUPTIONS.items {
            for severity in 1..=5 {
                let rng = || CounterRng::new(0, "test");
                let once = corruption.apply(&image, severity, &mut rng());
                assert_eq!((once.width, once.height, once.data.len()), (20, 16, 960));
                assert_ne!(once, image, "{} {severity}", corruption.name());
                assert_eq!(once, corruption.apply(&image, severity, &mut rng()), "{}", corruption.name());
            }
        }
    }
}
