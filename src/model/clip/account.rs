//! Accounts for a checkpoint's tensors: every one is the model's, a head's, or on the list of what changes nothing.

use std::collections::BTreeMap;

use super::block_prompts::BlockPrompts;
use super::classifier::is_head;
use super::config::ClipConfig;
use super::image_adapter::ImageAdapter;
use super::image_projector::ImageProjector;
use super::meta_net::MetaNet;
use super::multimodal_adapter::BlockAdapter;
use super::names::CONTEXT;
use crate::base::account::{left_over, some_of};
use crate::base::harmless::TENSORS;
use crate::checkpoint::{CheckpointError, StateDict, Weights as _};

/// Whether both towers are there.
pub(super) fn is_complete(weights: &StateDict) -> bool {
    let has = |prefix: &str| weights.entries().keys().any(|n| n.starts_with(prefix));
    has("vision_model.") && has("text_model.encoder.")
}

/// Checks names and shapes against the configuration. A whole checkpoint must have every tensor; in a part none may
/// be left over either, or the checkpoint below would be measured in its place.
pub(super) fn account(weights: &StateDict, config: &ClipConfig, whole: bool) -> Result<(), CheckpointError> {
    let fail = |what: String| CheckpointError::Unaccounted { path: weights.path.clone(), what };
    let mut expected = config.tensors();
    let learned = learned_parts(weights, config).map_err(fail)?;
    let names = weights.entries().keys().map(String::as_str);
    let unknown = names.filter(|n| !expected.contains_key(*n) && !learned.contains_key(*n) && !is_head(n));
    if let Some(names) = left_over(unknown, &[TENSORS]) {
        return Err(fail(format!("holds {names}, {}", meaning(weights, whole))));
    }
    if whole {
        let missing: Vec<&str> =
            expected.keys().filter(|n| !weights.contains(n)).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(fail(format!("lacks {}, which its configuration asks for", some_of(&missing))));
        }
    }
    expected.extend(learned);
    for (name, info) in weights.entries() {
        let Some(shape) = expected.get(name) else { continue };
        // Scales are stored as numbers or as lists of one.
        let scalar = shape.is_empty() && info.shape == [1];
        if info.shape != *shape && !scalar {
            return Err(fail(format!(
                "holds `{name}` of shape {:?}, its configuration says {shape:?}",
                info.shape
            )));
        }
    }
    Ok(())
}

/// Names and shapes of what was learned beside the towers, of which each part must be whole.
fn learned_parts(weights: &StateDict, config: &ClipConfig) -> Result<BTreeMap<String, Vec<usize>>, String> {
    let stored = |name: &str| weights.entries().get(name).cloned();
    let (joint, width) = (config.projection_dim, config.text_config.tower.hidden_size);
    let adapter = ImageAdapter::expected(weights.entries().get(ImageAdapter::DOWN), joint);
    if !adapter.is_empty() && !weights.contains(ImageAdapter::UP) {
        return Err("holds the first layer of an image adapter without the second".to_owned());
    }
    let meta_net = MetaNet::expected(weights.entries().get(MetaNet::NAMES[0]), joint, width);
    let blocks = BlockAdapter::expected(config, stored);
    let projector = ImageProjector::expected(stored, joint);
    let prompts = BlockPrompts::expected(config, CONTEXT, stored)?;
    for (part, what) in [
        (&prompts, "a layer that makes prompts"),
        (&meta_net, "a part of CoCoOp's meta-net"),
        (&blocks, "a part of MMA's adapters"),
        (&projector, "a part of PromptKD's projector"),
    ] {
        if let Some(lacks) = part.keys().find(|n| *n != BlockAdapter::SCALE && !weights.contains(n)) {
            return Err(format!("holds {what} without `{lacks}`"));
        }
    }
    if !meta_net.is_empty() && weights.entries().get(CONTEXT).is_none_or(|c| c.shape.len() != 2) {
        return Err("holds CoCoOp's meta-net without one context for all classes, which it shifts".to_owned());
    }
    Ok([adapter, meta_net, blocks, projector, prompts].into_iter().flatten().collect())
}

/// What tensors that are left over may mean.
fn meaning(weights: &StateDict, whole: bool) -> &'static str {
    let has = |part: &str| weights.entries().keys().any(|n| n.contains(part));
    if has(".lora_") {
        "so this is a LoRA adapter; it needs its `adapter_config.json` beside it"
    } else if whole {
        "which its configuration does not know (does it say too few layers?); results could change, so nothing is \
         left out"
    } else {
        "which the model it belongs to does not have; results could change, so nothing is left out"
    }
}

/// What a checkpoint holds, in words.
pub(super) fn describe(weights: &StateDict) -> String {
    let own = weights.own();
    let has = |prefix: &str| own.iter().any(|n| n.starts_with(prefix));
    let over = "; name the checkpoint it belongs to with `base = ID` in the suite (or `--base DIR`)";
    if weights.is_adapter() {
        let done = own.len();
        return format!("a LoRA adapter of {done} tensors{over}");
    }
    let mut parts = Vec::new();
    if has("vision_model.") {
        parts.push("image tower");
    }
    if has("text_model.encoder.") {
        parts.push("text tower");
    }
    if has("classifier.") {
        parts.push("linear head");
    }
    if has("image_adapter.") {
        parts.push("image adapter");
    }
    if own.iter().any(|n| BlockAdapter::owns(n)) {
        parts.push("adapters of both towers");
    }
    if own.iter().any(|n| BlockPrompts::owns(n)) {
        parts.push("prompts in blocks");
    }
    if own.iter().any(|n| ImageProjector::owns(n)) {
        parts.push("projector to another model's features");
    }
    match (has(CONTEXT), has(MetaNet::NAMES[0])) {
        (true, true) => parts.push("learned context that depends on the image"),
        (true, false) => parts.push("learned context"),
        (false, _) => {}
    }
    match parts[..] {
        [] => format!("no part of a model that is known here; its tensors are {}", some_of(&own)),
        ["image tower", "text tower", ..] => parts.join(", "),
        _ => format!("a part of a model ({}){over}", parts.join(", ")),
    }
}
