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
/// Of generation: what the model wrote.
pub const TEXT: &str = "text";
/// Of a part: the numbers that a task keeps, in its order.
pub const NUMBERS: &str = "numbers";
/// Of a part: the lists that a task keeps, one after the other.
pub const LISTS: &str = "lists";
/// Of a part: number of the cell in its pass.
pub const CELL: &str = "cell";
/// Of a part: place of the example in its split.
pub const POSITION: &str = "position";
/// Of a clusters file: what the example belongs to.
pub const CLUSTER: &str = "cluster";

/// Columns that all predictions have; what else there is, a task keeps.
pub const COMMON: [&str; 8] = [EXAMPLE, LABEL, PREDICTION, CORRECT, SCORE, LOSS, TOP_CLASSES, TOP_LOGITS];
