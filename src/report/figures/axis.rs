//! Percent axes, plain or logit-scaled.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// How accuracies are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// As they are.
    Linear,
    /// log(p / (1 - p)), as WiSE-FT and Taori et al. 2020 plot accuracies.
    Logit,
}

impl Scale {
    fn place(self, p: f64) -> f64 {
        match self {
            Self::Linear => p,
            Self::Logit => {
                let p = p.clamp(1e-4, 1.0 - 1e-4);
                (p / (1.0 - p)).ln()
            }
        }
    }
}

/// An axis of fractions, labelled in percent.
#[derive(Clone)]
pub struct FractionAxis {
    scale: Scale,
    range: Range<f64>,
}

impl FractionAxis {
    /// An axis around some values, with a margin, within 0 to 1.
    pub fn around(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return Self { scale, range: 0.0..1.0 };
        }
        let margin = ((high - low) * 0.08).max(0.01);
        Self { scale, range: (low - margin).max(0.0)..(high + margin).min(1.0) }
    }

    /// Ticks at round percentages: the finest step that gives at most `most`.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        for step in [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5] {
            let first = (self.range.start / step).ceil() as i64;
            let last = (self.range.end / step).floor() as i64;
            if last - first < most as i64 {
                return (first..=last).map(|i| i as f64 * step).collect();
            }
        }
        vec![self.range.start, self.range.end]
    }

    /// The ends of the axis.
    pub const fn bounds(&self) -> (f64, f64) {
        (self.range.start, self.range.end)
    }
}

impl Ranged for FractionAxis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let (from, to) = (self.scale.place(self.range.start), self.scale.place(self.range.end));
        let share = (self.scale.place(*value) - from) / (to - from);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, hint: H) -> Vec<f64> {
        self.ticks(hint.max_num_points().min(8))
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for FractionAxis {
    fn format(value: &f64) -> String {
        let percent = value * 100.0;
        if (percent - percent.round()).abs() < 1e-9 {
            format!("{percent:.0}")
        } else {
            format!("{percent:.1}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = FractionAxis::around(Scale::Linear, [0.42, 0.71].into_iter());
        let ticks = axis.ticks(8);
        assert!(ticks.len() <= 8 && ticks.len() >= 3, "{ticks:?}");
        assert!(ticks.iter().all(|t| (axis.range.start..=axis.range.end).contains(t)));
    }

    #[test]
    fn logit_spreads_the_ends() {
        let axis = FractionAxis { scale: Scale::Logit, range: 0.1..0.9 };
        assert_eq!(axis.map(&0.5, (0, 1000)), 500);
        assert!(axis.map(&0.2, (0, 1000)) > 125 + 40);
    }

    #[test]
    fn no_values_still_make_an_axis() {
        assert_eq!(FractionAxis::around(Scale::Linear, std::iter::empty()).bounds(), (0.0, 1.0));
    }
}
