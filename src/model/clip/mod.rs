//! CLIP (Radford et al. 2021) and SigLIP (Zhai et al. 2023) in the Hugging Face layout, written on plain candle operators.
//!
//! Every hyper-parameter comes from `config.json`. The forward is differentiable: the same model
//! is evaluated and fine-tuned.

mod config;
mod layers;
mod text;
mod vision;

pub use config::{Activation, ClipConfig, SIGLIP, TextConfig, TowerConfig, VisionConfig};
pub use layers::Kernels;
pub use text::TextTower;
pub use vision::VisionTower;
