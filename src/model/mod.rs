//! Models: from weights and questions to answers.
//!
//! An [`Architecture`] is an opened checkpoint of some model type: it knows how its questions are read, which stages its
//! weights belong to, and how a [`Model`] is built from any weights of its names. [`ARCHITECTURES`] lists the model types.

mod architecture;
mod canary;
pub mod clip;
mod combined;
mod error;
mod exponential;
mod frozen;
mod head;
mod hub_files;
mod images;
mod layers;
pub mod lm;
mod norm;
mod placement;
mod point;
mod spare;

pub use architecture::{
    ARCHITECTURES, Architecture, Input, Kept, Model, ModelType, Reader, Reading, State, Tokens, WrittenHeads,
    open,
};
pub use canary::{image_features, log_likelihood, text_tokens};
pub use combined::{combine, located, open_merge};
pub use error::ModelError;
pub use exponential::sum_of_exponentials;
pub use head::{Head, HeadChoice, HeadKind, HeadRows, ImageRows, normalise_rows};
pub use hub_files::from_hub;
pub use images::ImageReader;
pub use layers::Kernels;
pub use placement::{Numerics, Placed, Placement, numerics};
pub use point::{PointRequest, WriteError};
pub use spare::Busy;
