//! What trains. To add a choice, write a file with a `TrainsKind` and list it here.

mod adapter;
mod block_prompts;
mod conditional;
mod context;
mod learned;
mod low_rank;
mod multimodal_adapter;
mod whole;

use super::parts::TrainsKind;
use crate::base::registry::Registry;

/// All choices of what trains.
pub static TRAINS: Registry<dyn TrainsKind> = Registry {
    kind: "choice of what trains",
    items: &[
        &adapter::AdapterKind,
        &block_prompts::INDEPENDENT,
        &block_prompts::COUPLED,
        &conditional::ConditionalKind,
        &context::ContextKind,
        &whole::FULL,
        &whole::HEAD,
        &whole::LAST,
        &low_rank::LoraKind,
        &multimodal_adapter::MultimodalAdapterKind,
        &whole::PROJECTOR,
        &whole::TOWER,
    ],
};
