//! Models: from configuration and tensors to features and logits.

pub mod clip;
mod folder;
mod head;
mod layout;
mod tokenizer;

pub use folder::{CheckpointFolder, Classifier, ModelError};
pub use head::{
    class_embeddings, context_embeddings, context_places, context_texts, normalise_rows, prompts,
};
pub use layout::Layout;
pub use tokenizer::TextTokenizer;
