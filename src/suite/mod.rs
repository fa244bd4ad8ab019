//! Suite files: what is compared, on what, and how it is summed up.

mod alphas;
mod names;
mod probes;
mod read;
mod spec;
mod sweeps;

pub use read::SuiteError;
pub use spec::{
    CheckpointRole, CheckpointSpec, CombineSpec, CorruptPolicy, CorruptionSpec, CurveGate, GateSpec,
    GroupSpec, HeadRule, IntervalMethod, ProbeRole, ProbeSpec, StatsSpec, Suite, SweepSpec, TaskSpec, Track,
};
