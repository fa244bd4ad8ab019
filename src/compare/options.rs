//! How a comparison is computed.

use crate::stats::Resampling;

/// How a comparison is computed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Level of all intervals.
    pub confidence: f64,
    /// Draws.
    pub resampling: Resampling,
}
