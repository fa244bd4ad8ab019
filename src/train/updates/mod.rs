//! What happens after a step. To add an update, write a file with an `UpdateKind` and list it here.

mod average;
mod early_stop;
mod graft;
mod magnitude_mask;
mod spider;

use super::parts::UpdateKind;
use crate::base::registry::Registry;

/// All updates.
pub static UPDATES: Registry<dyn UpdateKind> = Registry {
    kind: "update",
    items: &[
        &average::AVERAGE,
        &early_stop::EarlyStopKind,
        &average::GAUSSIAN,
        &graft::GraftKind,
        &magnitude_mask::MagnitudeMaskKind,
        &spider::SpiderKind,
    ],
};
