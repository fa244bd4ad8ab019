//! Noise.

use super::{Plain, each};
use crate::base::rng::CounterRng;

pub(super) static GAUSSIAN_NOISE: Plain = Plain {
    name: "gaussian-noise",
    summary: "normal noise of standard deviation 0.08 to 0.38",
    apply: |image, severity, rng| {
        let deviation = [0.08, 0.12, 0.18, 0.26, 0.38][severity];
        each(image, |v| v + deviation * rng.normal())
    },
};

pub(super) static SHOT_NOISE: Plain = Plain {
    name: "shot-noise",
    summary: "Poisson noise of 60 down to 3 photons",
    apply: |image, severity, rng| {
        let photons = [60.0, 25.0, 12.0, 5.0, 3.0][severity];
        each(image, |v| poisson(v * photons, rng) / photons)
    },
};

pub(super) static IMPULSE_NOISE: Plain = Plain {
    name: "impulse-noise",
    summary: "salt and pepper on 3% to 27% of the values",
    apply: |image, severity, rng| {
        let share = [0.03, 0.06, 0.09, 0.17, 0.27][severity];
        each(image, |v| {
            let hit = rng.uniform() < share;
            let salt = rng.uniform() < 0.5;
            if hit { f64::from(u8::from(salt)) } else { v }
        })
    },
};

pub(super) static SPECKLE_NOISE: Plain = Plain {
    name: "speckle-noise",
    summary: "normal noise in proportion to the value, 0.15 to 0.6 of it",
    apply: |image, severity, rng| {
        let deviation = [0.15, 0.2, 0.35, 0.45, 0.6][severity];
        each(image, |v| v + v * deviation * rng.normal())
    },
};

/// A Poisson number of small mean, by inversion.
fn poisson(mean: f64, rng: &mut CounterRng) -> f64 {
    let (u, mut k) = (rng.uniform(), 0.0);
    let mut term = (-mean).exp();
    let mut sum = term;
    // The terms vanish long before 400 for means up to 60.
    while u > sum && k < 400.0 {
        k += 1.0;
        term *= mean / k;
        sum += term;
    }
    k
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Rgb;

    /// Mean and standard deviation of a flat image's values after corruption, as fractions.
    fn moments(corruption: &Plain, value: u8, severity: usize) -> (f64, f64) {
        let image = Rgb::filled(100, 100, [value; 3]);
        let mut rng = CounterRng::new(1, corruption.name);
        let found = (corruption.apply)(&image, severity, &mut rng);
        let n = found.data.len() as f64;
        let mean = found.data.iter().map(|&v| f64::from(v) / 255.0).sum::<f64>() / n;
        let square = found.data.iter().map(|&v| (f64::from(v) / 255.0 - mean).powi(2)).sum::<f64>() / n;
        (mean, square.sqrt())
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let close = |found: (f64, f64), mean: f64, deviation: f64| {
            // Values are cut off to whole levels: half a level lower on average.
            assert!((found.0 + 0.5 / 255.0 - mean).abs() < 0.004, "{found:?} {mean}");
            assert!((found.1 - deviation).abs() < 0.004, "{found:?} {deviation}");
        };
        let half = 128.0 / 255.0;
        close(moments(&GAUSSIAN_NOISE, 128, 0), half, 0.08);
        close(moments(&SPECKLE_NOISE, 128, 1), half, 0.2 * half);
        // Poisson: variance of k / c is v / c.
        close(moments(&SHOT_NOISE, 128, 0), half, (half / 60.0).sqrt());
        let (mean, _) = moments(&IMPULSE_NOISE, 0, 4);
        assert!((mean - 0.27 / 2.0).abs() < 0.005, "{mean}");
    }
}
