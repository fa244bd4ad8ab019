//! What a metric is a mean of, example by example.

use serde::{Deserialize, Serialize};

/// Outcomes of one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcomes {
    /// Hits and misses.
    #[serde(with = "bits")]
    Hits(Vec<bool>),
    /// Numbers (losses, squared distances).
    Values(Vec<f64>),
}

impl Outcomes {
    /// Hits if all are 0 or 1, otherwise the numbers themselves.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        if values.iter().all(|v| *v == 0.0 || *v == 1.0) {
            Self::Hits(values.iter().map(|v| *v == 1.0).collect())
        } else {
            Self::Values(values.to_vec())
        }
    }

    /// Number of examples.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Hits(hits) => hits.len(),
            Self::Values(values) => values.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The outcome of one example as a number.
    #[must_use]
    pub fn value(&self, i: usize) -> f64 {
        match self {
            Self::Hits(hits) => f64::from(u8::from(hits[i])),
            Self::Values(values) => values[i],
        }
    }

    /// All as numbers.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        (0..self.len()).map(|i| self.value(i)).collect()
    }

    /// The hits, if it is those.
    #[must_use]
    pub fn hits(&self) -> Option<&[bool]> {
        match self {
            Self::Hits(hits) => Some(hits),
            Self::Values(_) => None,
        }
    }
}

/// Outcomes as hexadecimal digits, four to a digit, the first the highest bit; after the number of outcomes.
mod bits {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(bits: &[bool], serializer: S) -> Result<S::Ok, S::Error> {
        let digit = |four: &[bool]| {
            let value = (0..4).fold(0, |v, i| v << 1 | u32::from(four.get(i).copied().unwrap_or(false)));
            char::from_digit(value, 16).unwrap_or('0')
        };
        let digits: String = bits.chunks(4).map(digit).collect();
        serializer.serialize_str(&format!("{}:{digits}", bits.len()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<bool>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bad = || D::Error::custom("outcomes must be `count:hexadecimal digits`");
        let (count, digits) = text.split_once(':').ok_or_else(bad)?;
        let count: usize = count.parse().map_err(|_| bad())?;
        if digits.len() != count.div_ceil(4) {
            return Err(bad());
        }
        let mut bits = Vec::with_capacity(count + 3);
        for c in digits.chars() {
            let value = c.to_digit(16).ok_or_else(bad)?;
            bits.extend((0..4).rev().map(|i| value >> i & 1 == 1));
        }
        if bits.len() < count || bits.len() >= count + 4 {
            return Err(bad());
        }
        bits.truncate(count);
        Ok(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_survive_as_text() {
        for n in 0..9 {
            let outcomes = Outcomes::Hits((0..n).map(|i| i % 3 == 0).collect());
            let text = serde_json::to_string(&outcomes).unwrap();
            assert_eq!(serde_json::from_str::<Outcomes>(&text).unwrap(), outcomes, "{text}");
        }
        assert!(serde_json::from_str::<Outcomes>(r#"{"hits": "5:f"}"#).is_err());
        assert!(serde_json::from_str::<Outcomes>(r#"{"hits": "99999999999999:f"}"#).is_err());
        let losses = Outcomes::of(&[0.25, 3.0]);
        let text = serde_json::to_string(&losses).unwrap();
        assert_eq!(serde_json::from_str::<Outcomes>(&text).unwrap(), losses);
        assert!(losses.hits().is_none());
    }
}
