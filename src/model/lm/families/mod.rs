//! The families of decoders. To add one, write a file with a `Family` and list it here.

mod experts;
mod gemma;
mod gpt2;
mod gpt_neox;
mod granite;
mod llama;
mod olmo;
mod opt;
mod phi;
mod phi3;
mod qwen;
mod read;
mod smollm3;
mod stablelm;
mod starcoder2;

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

/// Mixtral, OLMoE, Qwen 3 with experts.
pub use experts::{MIXTRAL, OLMOE, QWEN3_MOE};
/// Gemma 1, 2 and 3.
pub use gemma::{GEMMA, GEMMA2, GEMMA3};
/// GPT-NeoX, Pythia.
pub use gpt_neox::GPT_NEOX;
/// GPT-2.
pub use gpt2::GPT2;
/// Granite 3.
pub use granite::GRANITE;
/// Llama, Mistral.
pub use llama::{LLAMA, MISTRAL};
/// OLMo 1 and 2.
pub use olmo::{OLMO, OLMO2};
/// OPT, Galactica.
pub use opt::OPT;
/// Phi 1, 1.5, 2.
pub use phi::PHI;
/// Phi 3.
pub use phi3::PHI3;
/// Qwen 2, 2.5, 3.
pub use qwen::{QWEN2, QWEN3};
/// SmolLM3.
pub use smollm3::SMOLLM3;
/// StableLM.
pub use stablelm::STABLELM;
/// StarCoder 2.
pub use starcoder2::STARCODER2;

/// All families.
pub const FAMILIES: [&Family; 21] = [
    &GEMMA,
    &GEMMA2,
    &GEMMA3,
    &GPT2,
    &GPT_NEOX,
    &GRANITE,
    &LLAMA,
    &MISTRAL,
    &MIXTRAL,
    &OLMO,
    &OLMO2,
    &OLMOE,
    &OPT,
    &PHI,
    &PHI3,
    &QWEN2,
    &QWEN3,
    &QWEN3_MOE,
    &SMOLLM3,
    &STABLELM,
    &STARCODER2,
];
