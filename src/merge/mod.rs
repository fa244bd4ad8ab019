//! Weights made of other weights, in memory: points of the path between two checkpoints, and combinations of many.

mod beside;
mod combine;
mod curve;
mod error;
mod groups;
mod importance;
mod mergekit;
mod path;
mod preflight;

pub use beside::Beside;
pub use combine::{
    COMBINES, Combination, Combine, CombineSettings, Compensate, Each, Ingredients, Rescale, Stretches,
    TensorRule, TensorView,
};
pub use curve::{Ends, Fate, Point, TensorFilter, merge_tensors, merge_weighed};
pub use error::{MergeError, differences};
pub use groups::Groups;
pub use mergekit::{MergeFile, MergeFileError, MergeKind};
pub use path::{PATHS, PathMethod, blend, blend_weighed};
pub use preflight::Preflight;
