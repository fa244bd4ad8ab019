//! Models: from configuration and tensors to features and logits.

pub mod clip;
mod folder;
mod head;
mod layout;
mod tokenizer;
mod weights;

pub use folder::{CheckpointFolder, Classifier, ModelError};
pub use head::{
    HeadRows, class_embeddings, context_embeddings, context_places, context_texts, normalise_rows, prompts,
    zero_shot,
};
pub use layout::Layout;
pub use tokenizer::{TextTokenizer, tokenizer_files};
