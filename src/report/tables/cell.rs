//! What stands in one place of a table, and how it is shown.

use crate::metric::{METRICS, Metric, Unit};
use crate::stats::{Estimate, Interval};

/// One place of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// There is no such value.
    Nothing,
    /// Words.
    Text(String),
    /// A number.
    Number(Number),
    /// A number and, in brackets, another of the same column.
    Two(Number, Number),
}

/// A number with what is known of its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// The value, a fraction where it is shown in percent.
    pub value: f64,
    /// Its interval.
    pub interval: Option<Interval>,
    /// Standard deviation over seeds.
    pub spread: Option<f64>,
    /// How it is shown.
    pub show: Show,
}

/// How a number is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// A fraction in percent, one digit.
    Percent,
    /// A difference of fractions in percentage points, with its sign.
    Points,
    /// Natural units of information, three digits.
    Nats,
    /// As many digits as it has.
    Plain,
    /// So many digits.
    Digits(usize),
    /// So many digits, with the sign.
    Signed(usize),
    /// An area in squared percentage points, one digit.
    Area,
    /// The spread of such areas alone.
    AreaSpread,
    /// A count.
    Count,
    /// A count of so many.
    Of(usize),
    /// A p-value.
    PValue,
}

impl Show {
    /// The unit of the value as files have it.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Percent | Self::Points => "fraction",
            Self::Nats => "nats",
            Self::Plain | Self::Digits(_) | Self::Signed(_) => "number",
            Self::Area | Self::AreaSpread => "squared fraction",
            Self::Count | Self::Of(_) => "count",
            Self::PValue => "probability",
        }
    }

    /// A value without its interval.
    #[must_use]
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Percent => format!("{:.1}", value * 100.0),
            Self::Points => format!("{:+.1}", value * 100.0),
            Self::Nats => format!("{value:.3}"),
            Self::Plain => value.to_string(),
            Self::Digits(n) => format!("{value:.n$}"),
            Self::Signed(n) => format!("{value:+.n$}"),
            Self::Area => format!("{:.1}", value * 1e4),
            Self::AreaSpread => format!("±{:.2}", value * 1e4),
            Self::Count => format!("{value:.0}"),
            Self::Of(all) => format!("{value:.0} of {all}"),
            Self::PValue if value < 0.001 => "<0.001".to_owned(),
            Self::PValue => format!("{value:.3}"),
        }
    }

    /// What comes after a value and its interval.
    const fn ending(self) -> &'static str {
        if matches!(self, Self::Nats) { " nats" } else { "" }
    }
}

impl Number {
    /// A number without an interval.
    #[must_use]
    pub const fn new(value: f64, show: Show) -> Self {
        Self { value, interval: None, spread: None, show }
    }

    /// A metric's value, as its unit asks for: fractions in percent.
    #[must_use]
    pub fn of_metric(metric: &str, estimate: &Estimate) -> Self {
        let show = match METRICS.get(metric).map_or(Unit::Fraction, Metric::unit) {
            Unit::Fraction => Show::Percent,
            Unit::Nats => Show::Nats,
            Unit::Number => Show::Digits(3),
        };
        Self { interval: estimate.interval, ..Self::new(estimate.value, show) }
    }

    /// As text: `71.3 [68.9, 73.6]`.
    #[must_use]
    pub fn text(&self) -> String {
        let text = |v: f64| self.show.text(v);
        let interval = self.interval.map(|i| format!(" [{}, {}]", text(i.low), text(i.high)));
        let spread = self.spread.map(|s| format!(" ± {}", text(s)));
        [
            text(self.value),
            interval.unwrap_or_default(),
            self.show.ending().to_owned(),
            spread.unwrap_or_default(),
        ]
        .concat()
    }
}

impl Cell {
    /// A fraction in percent.
    #[must_use]
    pub const fn percent(value: f64, interval: Option<Interval>) -> Self {
        Self::Number(Number { value, interval, spread: None, show: Show::Percent })
    }

    /// A count.
    #[must_use]
    pub const fn count(value: usize) -> Self {
        Self::Number(Number::new(value as f64, Show::Count))
    }

    /// A probability of two digits.
    #[must_use]
    pub fn probability(value: Option<f64>) -> Self {
        value.map_or(Self::Nothing, |p| Self::Number(Number::new(p, Show::Digits(2))))
    }

    /// As text; a dash where there is nothing.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Nothing => "-".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.text(),
            Self::Two(first, second) => format!("{} ({})", first.text(), second.text()),
        }
    }

    /// The number, or the first of two.
    #[must_use]
    pub const fn number(&self) -> Option<&Number> {
        match self {
            Self::Number(number) | Self::Two(number, _) => Some(number),
            Self::Nothing | Self::Text(_) => None,
        }
    }
}

/// A fraction in percent with its interval, such as `71.3 [68.9, 73.6]`.
#[must_use]
pub fn percent(value: f64, interval: Option<Interval>) -> String {
    Cell::percent(value, interval).text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_readers_see_them() {
        let interval = Interval { low: 0.6894, high: 0.7361 };
        assert_eq!(percent(0.713, Some(interval)), "71.3 [68.9, 73.6]");
        assert_eq!(percent(1.0, None), "100.0");
        let number = |show| Number { interval: Some(interval), ..Number::new(0.713, show) };
        assert_eq!(number(Show::Nats).text(), "0.713 [0.689, 0.736] nats");
        assert_eq!(number(Show::Points).text(), "+71.3 [+68.9, +73.6]");
        let spread = Number { spread: Some(0.01), ..number(Show::Percent) };
        assert_eq!(spread.text(), "71.3 [68.9, 73.6] ± 1.0");
        assert_eq!(Number::new(2.0, Show::Of(6)).text(), "2 of 6");
        assert_eq!(Number::new(0.0004, Show::PValue).text(), "<0.001");
    }
}
