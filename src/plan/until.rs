//! When a run may stop before it has seen every example.

use std::fmt;
use std::str::FromStr;

/// Differences within this of zero count as decided: as good as equal.
pub const EQUAL: f64 = 0.01;

/// The rule of `run --until`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Until {
    /// Until every interval is at most this far from its middle.
    Width(f64),
    /// Until for every variant it is decided whether it is better than the pretrained model, worse, or within
    /// [`EQUAL`] of it.
    Decided,
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Width(width) => write!(f, "ci={width}"),
            Self::Decided => f.write_str("decided"),
        }
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "decided" {
            return Ok(Self::Decided);
        }
        let width = text.strip_prefix("ci=").and_then(|w| w.parse().ok());
        width
            .filter(|w| *w > 0.0 && *w < 0.5)
            .map(Self::Width)
            .ok_or_else(|| "must be `ci=W` with W between 0 and 0.5, or `decided`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_written() {
        for text in ["ci=0.01", "decided"] {
            assert_eq!(text.parse::<Until>().unwrap().to_string(), text);
        }
        assert!("ci=0".parse::<Until>().is_err() && "soon".parse::<Until>().is_err());
    }
}
