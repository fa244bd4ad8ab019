//! Everything that the predictions of a cell depend on, part by part, so that it can be said which part changed.
//!
//! Batch size, threads and time do not belong here; tests show that they change nothing.

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;

/// Digests of the parts by what messages call them, in the order in which they are named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellInputs {
    /// Raised whenever the same inputs would give other predictions.
    version: u32,
    /// Name and the first twelve digits of its digest.
    parts: Vec<(String, String)>,
}

impl CellInputs {
    pub(super) const fn new(version: u32) -> Self {
        Self { version, parts: Vec::new() }
    }

    pub(super) fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.parts.push((name.to_owned(), Digest::of_value(value).short().to_owned()));
    }

    /// One digest of all parts.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of_value(self)
    }

    /// Names of the parts that differ, such as "templates".
    #[must_use]
    pub fn changed(&self, before: &Self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        if self.version != before.version {
            names.push("this program");
        }
        let was = |name: &str| before.parts.iter().find(|p| p.0 == name).map(|p| &p.1);
        names.extend(self.parts.iter().filter(|p| was(&p.0) != Some(&p.1)).map(|p| p.0.as_str()));
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_named() {
        let of = |templates: &str, version| {
            let mut inputs = CellInputs::new(version);
            inputs.add("data", "d");
            inputs.add("templates", templates);
            inputs
        };
        assert_eq!(of("a", 1).fingerprint(), of("a", 1).fingerprint());
        assert_ne!(of("a", 1).fingerprint(), of("b", 1).fingerprint());
        assert_eq!(of("a", 1).changed(&of("b", 1)), ["templates"]);
        assert_eq!(of("a", 2).changed(&of("a", 1)), ["this program"]);
        assert!(of("a", 1).changed(&of("a", 1)).is_empty());
    }
}
