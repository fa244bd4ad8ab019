//! Halves of a class list, for the base-to-novel protocol.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Which classes of a data set are used.
///
/// CoOp's rule (Zhou et al. 2022; Dassl `subsample_classes`): labels in ascending order, the first
/// `ceil(n / 2)` are base, the rest are novel, and labels are renumbered within the selection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassSubset {
    /// Every class.
    #[default]
    All,
    /// The first half.
    Base,
    /// The second half.
    Novel,
}

impl ClassSubset {
    /// Names used in suite files and recipes.
    pub const CHOICES: [(&str, Self); 3] = [("all", Self::All), ("base", Self::Base), ("novel", Self::Novel)];

    /// The labels of the selection out of `classes`.
    #[must_use]
    pub fn range(self, classes: usize) -> Range<usize> {
        let base = classes.div_ceil(2);
        match self {
            Self::All => 0..classes,
            Self::Base => 0..base,
            Self::Novel => base..classes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_counts_give_base_one_more() {
        assert_eq!(ClassSubset::Base.range(37), 0..19);
        assert_eq!(ClassSubset::Novel.range(37), 19..37);
        assert_eq!(ClassSubset::All.range(37), 0..37);
    }
}
