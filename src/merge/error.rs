//! Why checkpoints cannot be merged.

use crate::checkpoint::{CheckpointError, Weights};

/// Why checkpoints cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A tensor cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Shapes or names differ; every difference is listed.
    #[error("`{from}` and `{to}` cannot be merged: {}", list(problems))]
    Mismatch {
        /// The first checkpoint.
        from: String,
        /// The second.
        to: String,
        /// Each difference in words.
        problems: Vec<String>,
    },
    /// What lies beside a checkpoint does not fit it.
    #[error("`{label}` {what}; `{by}` in a recipe writes it for what was trained")]
    Beside {
        /// Where it comes from.
        label: String,
        /// What is wrong.
        what: String,
        /// The key of a recipe that writes it.
        by: &'static str,
    },
    /// The settings of a combination mean nothing.
    #[error("`{method}`: {problem}")]
    Settings {
        /// The combination.
        method: String,
        /// What is wrong.
        problem: String,
    },
}

fn list(problems: &[String]) -> String {
    let shown: Vec<&str> = problems.iter().take(5).map(String::as_str).collect();
    let more = problems.len().saturating_sub(shown.len());
    let tail = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{tail}", shown.join("; "))
}

/// In which names and shapes two checkpoints differ, but for tensors that `skip` names and those that hold no
/// floating-point numbers.
pub fn differences(from: &dyn Weights, to: &dyn Weights, skip: impl Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    for name in from.floats().into_iter().filter(|n| !skip(n)) {
        match (from.info(name), to.info(name)) {
            (_, None) => problems.push(format!("`{name}` is only in the first")),
            (Some(a), Some(b)) if a.shape != b.shape => {
                problems
                    .push(format!("`{name}` is {:?} in the first and {:?} in the second", a.shape, b.shape));
            }
            _ => {}
        }
    }
    let extra = to.floats().into_iter().filter(|n| !skip(n) && !from.contains(n));
    problems.extend(extra.map(|name| format!("`{name}` is only in the second")));
    problems
}
