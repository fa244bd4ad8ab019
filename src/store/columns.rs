//! Names of the columns of predictions and parts, in one place: what a reader in pandas sees.

/// Stable id of the example.
pub const EXAMPLE: &str = "example_id";
/// True class.
pub const LABEL: &str = "label";
/// Class with the largest logit.
pub const PREDICTION: &str = "prediction";
/// Whether they are the same.
pub const CORRECT: &str = "correct";
/// Softmax probability of the prediction.
pub const SCORE: &str = "score";
/// Negative log-likelihood of the label, in nats.
pub const LOSS: &str = "loss";
/// Classes of the largest logits, best first.
pub const TOP_CLASSES: &str = "top_classes";
/// The largest logits, best first.
pub const TOP_LOGITS: &str = "top_logits";
/// Of a part: number of the cell in its pass.
pub const CELL: &str = "cell";
/// Of a part: place of the example in its split.
pub const POSITION: &str = "position";
/// Of a clusters file: what the example belongs to.
pub const CLUSTER: &str = "cluster";
