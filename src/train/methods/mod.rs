//! The tuning methods. To add one, write a file with a `Method` and list it here.

mod contrastive;
mod full;
mod l2_sp;
mod language;

use super::Method;
use crate::base::registry::Registry;

/// All methods.
pub static METHODS: Registry<dyn Method> = Registry {
    kind: "method",
    items: &[
        &contrastive::Contrastive,
        &full::Full,
        &l2_sp::L2Sp,
        &language::FULL,
        &language::LAST,
        &language::LORA,
        &language::NEW,
    ],
};
