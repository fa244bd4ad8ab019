//! Language models: one decoder, configured by the family's own keys.
//!
//! Every hyper-parameter comes from the checkpoint's own files, key by key. Texts become token sequences
//! ([`TextReader`]), the sequences of a batch a [`Forest`] in which what they have in common stands once, and the decoder
//! runs over its rows without padding. The forward is differentiable: the same model is evaluated and fine-tuned.

mod architecture;
mod attention;
mod chat;
mod config;
mod decoder;
mod encoding;
pub mod families;
mod folder;
mod forest;
mod generate;
mod gguf;
mod halves;
mod names;
mod new_weights;
mod perceptron;
mod positions;
mod reader;
mod score;
mod tokenizer;
mod written;

pub use attention::Scene;
pub use config::DecoderConfig;
pub use decoder::Decoder;
pub use folder::LanguageFolder;
pub use forest::{Forest, Goal, Scored, Segment, Sequences};
pub use gguf::Gguf;
pub use new_weights::new_weights;
pub use positions::{Positions, Rotary, Stretch};
pub use reader::{Prompt, TextReader};
pub use tokenizer::LanguageTokenizer;
pub use written::LanguagePoint;
