//! CLIP (Radford et al. 2021) and SigLIP (Zhai et al. 2023) in the Hugging Face layout, written on plain candle operators.
//!
//! Every hyper-parameter comes from the checkpoint's own file, key by key. The forward is differentiable: the same model
//! is evaluated and fine-tuned.

mod account;
mod architecture;
mod block_prompts;
mod borrowed_head;
mod classifier;
mod combined_head;
mod config;
mod folder;
pub mod hugging_face;
mod image_adapter;
mod image_projector;
mod json;
mod layers;
mod layout;
mod meta_net;
mod multimodal_adapter;
mod names;
pub mod open_clip;
mod shared_prefix;
mod text;
mod tokenizer;
mod vision;
mod written;
mod zero_shot;

pub use architecture::{Clip, Siglip};
pub use block_prompts::BlockPrompts;
pub use classifier::Classifier;
pub use config::{
    Activation, ClipConfig, Family, ImagePool, TextConfig, TextPool, TowerConfig, VisionConfig,
};
pub use folder::CheckpointFolder;
pub use image_adapter::ImageAdapter;
pub use layout::FolderLayout;
pub use meta_net::MetaNet;
pub use multimodal_adapter::BlockAdapter;
pub use names::{CONTEXT, ClipNames};
pub use text::TextTower;
pub use tokenizer::{TextTokenizer, tokenizer_files};
pub use vision::VisionTower;
pub use written::{HeadPlan, PointPlan};
pub use zero_shot::{
    class_embeddings, context_embeddings, context_places, context_texts, prompts, zero_shot,
};
