//! What happens after a step. To add an update, write a file with an `UpdateKind` and list it here.

mod average;
mod early_stop;
mod gaussian_average;
mod graft;
mod magnitude_mask;
mod spider;

use super::parts::UpdateKind;
use crate::base::registry::Registry;

/// All updates.
pub static UPDATES: Registry<dyn UpdateKind> = Registry {
    kind: "update",
    items: &[
        &average::AverageKind,
        &early_stop::EarlyStopKind,
        &gaussian_average::GaussianAverageKind,
        &graft::GraftKind,
        &magnitude_mask::MagnitudeMaskKind,
        &spider::SpiderKind,
    ],
};
