//! What is added to the loss. To add a term, write a file with a `TermKind` and list it here.

mod distance;
mod distill;
mod feature_path;
mod path;
mod text_anchor;

use super::parts::TermKind;
use crate::base::registry::Registry;

/// All terms.
pub static TERMS: Registry<dyn TermKind> = Registry {
    kind: "term",
    items: &[
        &distance::EWC,
        &feature_path::FeaturePathKind,
        &distill::FEATURES,
        &distill::KL,
        &distill::SQUARED,
        &distance::L1,
        &distance::L2,
        &path::PathKind,
        &text_anchor::TextAnchorKind,
    ],
};
