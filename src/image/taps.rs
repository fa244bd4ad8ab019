//! Pillow's filters, and the weights that they give each output position.

use serde::{Deserialize, Serialize};

/// Pillow's filters, by their Pillow number in `preprocessor_config.json` (`resample`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// `resample = 1`, support 3.
    Lanczos,
    /// `resample = 2`, support 1.
    Bilinear,
    /// `resample = 3`, support 2, a = -0.5.
    Bicubic,
    /// `resample = 4`, support 0.5.
    Box,
}

impl Filter {
    /// The filter of a Pillow number.
    #[must_use]
    pub const fn from_pillow(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Lanczos),
            2 => Some(Self::Bilinear),
            3 => Some(Self::Bicubic),
            4 => Some(Self::Box),
            _ => None,
        }
    }

    /// The Pillow number of the filter.
    #[must_use]
    pub const fn pillow(self) -> u64 {
        match self {
            Self::Lanczos => 1,
            Self::Bilinear => 2,
            Self::Bicubic => 3,
            Self::Box => 4,
        }
    }

    const fn support(self) -> f64 {
        match self {
            Self::Lanczos => 3.0,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Box => 0.5,
        }
    }

    fn weight(self, x: f64) -> f64 {
        if self == Self::Box {
            return f64::from(u8::from(x > -0.5 && x <= 0.5));
        }
        let x = x.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
            Self::Lanczos if x < 3.0 => sinc(x) * sinc(x / 3.0),
            _ => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

/// Fractional bits of weights.
pub const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The taps of each output position: the first input position and fixed-point weights.
pub struct Taps {
    first: Vec<usize>,
    weights: Vec<i32>,
    /// Weights per output position (rows of `weights`, zero padded).
    width: usize,
    used: Vec<usize>,
}

impl Taps {
    /// Taps for the output positions `from..from + count` of an `input -> output` resize.
    pub fn new(filter: Filter, input: usize, output: usize, from: usize, count: usize) -> Self {
        let scale = input as f64 / output as f64;
        let filter_scale = scale.max(1.0);
        let support = filter.support() * filter_scale;
        let width = support.ceil() as usize * 2 + 1;
        let mut taps = Self {
            first: Vec::with_capacity(count),
            weights: vec![0; width * count],
            width,
            used: Vec::with_capacity(count),
        };
        let mut row = vec![0.0f64; width];
        for (i, x) in (from..from + count).enumerate() {
            let center = (x as f64 + 0.5) * scale;
            let min = ((center - support + 0.5) as isize).max(0) as usize;
            let max = ((center + support + 0.5) as isize).clamp(0, input as isize) as usize;
            let used = max - min;
            let mut total = 0.0;
            for (t, value) in row[..used].iter_mut().enumerate() {
                *value = filter.weight(((t + min) as f64 - center + 0.5) / filter_scale);
                total += *value;
            }
            for (slot, value) in taps.weights[i * width..].iter_mut().zip(&row[..used]) {
                let normal = if total == 0.0 { *value } else { value / total };
                let half = if normal < 0.0 { -0.5 } else { 0.5 };
                *slot = (half + normal * f64::from(1u32 << PRECISION_BITS)) as i32;
            }
            taps.first.push(min);
            taps.used.push(used);
        }
        taps
    }

    /// Number of output positions.
    pub const fn len(&self) -> usize {
        self.first.len()
    }

    /// First input position and weights of an output position.
    pub fn of(&self, i: usize) -> (usize, &[i32]) {
        (self.first[i], &self.weights[i * self.width..i * self.width + self.used[i]])
    }

    /// The same taps on an input that lacks the first `by` positions.
    pub fn shifted(&self, by: usize) -> Self {
        let first = self.first.iter().map(|f| f - by).collect();
        Self { first, weights: self.weights.clone(), width: self.width, used: self.used.clone() }
    }

    /// The input range that all output positions together read.
    pub fn span(&self) -> (usize, usize) {
        let end = self.first.iter().zip(&self.used).map(|(f, u)| f + u).max().unwrap_or(0);
        (self.first.iter().copied().min().unwrap_or(0), end)
    }
}
