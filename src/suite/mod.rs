//! Suite files: what is compared, on what, and how it is summed up.

mod alphas;
mod read;
mod spec;

pub use read::SuiteError;
pub use spec::{
    CheckpointRole, CheckpointSpec, CombineSpec, CorruptPolicy, CorruptionSpec, CurveGate, GateSpec,
    HeadRule, IntervalMethod, ProbeRole, ProbeSpec, StatsSpec, Suite, SweepSpec, Track,
};
