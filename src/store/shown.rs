//! What an example of a language task shows, kept for the report.

use serde::{Deserialize, Serialize};

/// A prompt and its choices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The prompt; where the choices are contexts, what follows them.
    pub prompt: String,
    /// The choices; none of a text that is continued.
    pub choices: Vec<String>,
}
