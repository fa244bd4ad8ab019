//! CLIP (Radford et al. 2021) and SigLIP (Zhai et al. 2023) in the Hugging Face layout, written on plain candle operators.
//!
//! Every hyper-parameter comes from the checkpoint's own file, key by key. The forward is differentiable: the same model
//! is evaluated and fine-tuned.

mod config;
pub mod hugging_face;
mod layers;
mod norm;
pub mod open_clip;
mod text;
mod vision;

pub use config::{
    Activation, ClipConfig, Family, ImagePool, TextConfig, TextPool, TowerConfig, VisionConfig,
};
pub use layers::Kernels;
pub use text::TextTower;
pub use vision::VisionTower;
