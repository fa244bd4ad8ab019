//! The families of decoders. To add one, write a file with a `Family` and list it here.

mod gemma;
mod gpt2;
mod gpt_neox;
mod llama;
mod opt;
mod phi3;
mod qwen;
mod read;

use super::config::DecoderConfig;
use crate::base::account::Fields;

/// A family: models that one configuration file describes.
pub struct Family {
    /// Name in the registry, and `general.architecture` of GGUF files.
    pub name: &'static str,
    /// One line on what it is.
    pub summary: &'static str,
    /// Where it is described.
    pub reference: &'static str,
    /// Values of `model_type`.
    pub model_types: &'static [&'static str],
    /// Reads the keys of `config.json`.
    pub read: fn(&Fields) -> Result<DecoderConfig, String>,
}

/// Gemma 2 and 3.
pub use gemma::{GEMMA2, GEMMA3};
/// GPT-NeoX, Pythia.
pub use gpt_neox::GPT_NEOX;
/// GPT-2.
pub use gpt2::GPT2;
/// Llama, Mistral.
pub use llama::{LLAMA, MISTRAL};
/// OPT, Galactica.
pub use opt::OPT;
/// Phi 3.
pub use phi3::PHI3;
/// Qwen 2, 2.5, 3.
pub use qwen::{QWEN2, QWEN3};

/// All families.
pub static FAMILIES: [&Family; 10] =
    [&GEMMA2, &GEMMA3, &GPT2, &GPT_NEOX, &LLAMA, &MISTRAL, &OPT, &PHI3, &QWEN2, &QWEN3];
