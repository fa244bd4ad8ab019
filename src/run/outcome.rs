//! How a pass ends, and how it is cut.

use super::loader::SEGMENT;
use super::race::ROUND;
use crate::model::Tokens;
use crate::plan::Plan;
use crate::stats::Interval;

/// How a pass ended.
pub struct PassOutcome {
    /// Whether all that is needed is there.
    pub complete: bool,
    /// Images decoded now.
    pub decoded: usize,
    /// Tokens that went through each variant.
    pub tokens: Tokens,
    /// Of a race: examples seen, and each cell's interval.
    pub race: Option<(usize, Vec<Interval>)>,
}

/// Examples per segment: of a race, a round.
pub const fn segment_size(plan: &Plan) -> usize {
    if plan.until.is_some() { ROUND } else { SEGMENT }
}
