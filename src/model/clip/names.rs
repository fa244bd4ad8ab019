//! OpenAI's and open_clip's tensor names to Hugging Face's, which the models use.
//!
//! Follows the conversion of `transformers` (`convert_clip_original_pytorch_to_hf.py`): the joint
//! query-key-value projection is cut into three, the two projections are transposed.

use super::image_adapter::ImageAdapter;
use super::meta_net::MetaNet;
use super::{block_prompts, image_projector, multimodal_adapter};
use crate::base::account::is_harmless;
use crate::base::harmless::TENSORS;
use crate::checkpoint::{Naming, Share};

/// CLIP's names for the tensors of any known layout.
pub struct ClipNames;

impl Naming for ClipNames {
    fn translate(&self, stored: &[&str]) -> Vec<Vec<(String, Share)>> {
        let open_clip = is_open_clip(stored.iter().copied());
        let mut all: Vec<Vec<(String, Share)>> = stored
            .iter()
            // Buffers that change no result have no name, with reasons in one list.
            .map(|name| if is_harmless(name, &[TENSORS]) { Vec::new() } else { translate(name, open_clip) })
            .collect();
        block_prompts::share_context(&mut all, CONTEXT);
        all
    }
}

/// Wrappers around a model: data-parallel training, `torch.compile`, Lightning, WiSE-FT's, CoOp's and MMA's classes.
const WRAPPERS: [&str; 12] = [
    "module.",
    "_orig_mod.",
    "_fsdp_wrapped_module.",
    "model.",
    "net.",
    "network.",
    "backbone.",
    "clip.",
    "clip_model.",
    "image_encoder.model.",
    "prompt_learner.",
    "adapter_learner.",
];

/// Whether a list of names is in the layout of OpenAI and open_clip.
fn is_open_clip<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    const MARKS: [&str; 4] = [
        "visual.conv1.weight",
        "visual.class_embedding",
        "transformer.resblocks.0.ln_1.weight",
        "token_embedding.weight",
    ];
    names.any(|n| MARKS.contains(&strip(n).as_str()))
}

/// A name without wrappers. CoOp's `CustomCLIP` calls the towers `image_encoder` and `text_encoder`; open_clip's
/// models with a text tower of their own put it below `text`.
fn strip(name: &str) -> String {
    let mut name = name;
    while let Some(inner) = WRAPPERS.iter().find_map(|w| name.strip_prefix(w)) {
        name = inner;
    }
    for (from, to) in [
        ("image_encoder.visual.", "visual."),
        ("image_encoder.", "visual."),
        ("text_encoder.", ""),
        ("text.", ""),
    ] {
        if let Some(inner) = name.strip_prefix(from)
            && is_part(&format!("{to}{inner}"))
        {
            return format!("{to}{inner}");
        }
    }
    name.to_owned()
}

/// Whether a name is one of a whole OpenAI model.
fn is_part(name: &str) -> bool {
    hugging_face(name).is_some() || block_prompts::translated(name).is_some()
}

/// The name of a head, of learned context or of an adapter under which it is known here, whatever the layout of the
/// rest: WiSE-FT's `classification_head`, a bare linear layer, CoOp's `ctx`.
fn head_or_context(name: &str) -> Option<&'static str> {
    Some(match name {
        "classification_head.weight" | "classifier.weight" | "weight" => "classifier.weight",
        "classification_head.bias" | "classifier.bias" | "bias" => "classifier.bias",
        "ctx" | CONTEXT => CONTEXT,
        name if let Some(part) =
            MetaNet::NAMES.iter().find(|n| **n == name || n.strip_prefix("prompt.") == Some(name)) =>
        {
            part
        }
        // CLIP-Adapter's two layers, alone or in its `CustomCLIP`.
        "fc.0.weight" | "adapter.fc.0.weight" => ImageAdapter::DOWN,
        "fc.2.weight" | "adapter.fc.2.weight" => ImageAdapter::UP,
        _ => return None,
    })
}

/// The tensor with learned context vectors, `[n, width]` or `[classes, n, width]`.
pub const CONTEXT: &str = "prompt.context";

/// The names that a stored tensor becomes. What is not known keeps its name, without wrappers, so that whoever
/// accounts for the tensors can name it.
fn translate(stored: &str, open_clip: bool) -> Vec<(String, Share)> {
    let name = strip(stored);
    if let Some(to) = head_or_context(&name) {
        return vec![(to.to_owned(), Share::Whole)];
    }
    let learned = [multimodal_adapter::translated, block_prompts::translated, image_projector::translated];
    if let Some(all) = learned.iter().find_map(|translated| translated(&name)) {
        return all;
    }
    let found = if open_clip { hugging_face(&name) } else { None };
    found.unwrap_or_else(|| vec![(name, Share::Whole)])
}

/// The Hugging Face names that a tensor of OpenAI's layout becomes; `None` for what is none.
fn hugging_face(name: &str) -> Option<Vec<(String, Share)>> {
    let whole = |to: &str| Some(vec![(to.to_owned(), Share::Whole)]);
    match name {
        "logit_scale" | "logit_bias" => return whole(name),
        "positional_embedding" => return whole("text_model.embeddings.position_embedding.weight"),
        "token_embedding.weight" => return whole("text_model.embeddings.token_embedding.weight"),
        "text_projection" => return Some(vec![("text_projection.weight".to_owned(), Share::Transposed)]),
        "text_projection.weight" | "text_projection.bias" => return whole(name),
        "visual.proj" => return Some(vec![("visual_projection.weight".to_owned(), Share::Transposed)]),
        "visual.class_embedding" => return whole("vision_model.embeddings.class_embedding"),
        "visual.conv1.weight" => return whole("vision_model.embeddings.patch_embedding.weight"),
        "visual.positional_embedding" => return whole("vision_model.embeddings.position_embedding.weight"),
        _ => {}
    }
    for (from, to) in [
        ("visual.ln_pre.", "vision_model.pre_layrnorm."),
        ("visual.ln_post.", "vision_model.post_layernorm."),
        ("ln_final.", "text_model.final_layer_norm."),
    ] {
        if let Some(rest) = name.strip_prefix(from) {
            return whole(&format!("{to}{rest}"));
        }
    }
    let (tower, rest) = match name.strip_prefix("visual.transformer.resblocks.") {
        Some(rest) => ("vision_model", rest),
        None => ("text_model", name.strip_prefix("transformer.resblocks.")?),
    };
    block(tower, rest)
}

fn block(tower: &str, rest: &str) -> Option<Vec<(String, Share)>> {
    let (layer, part) = rest.split_once('.')?;
    let at = |inner: &str| format!("{tower}.encoder.layers.{layer}.{inner}");
    if let Some(kind) = part.strip_prefix("attn.in_proj_") {
        let third =
            |(i, name): (usize, &str)| (at(&format!("self_attn.{name}_proj.{kind}")), Share::Third(i));
        return Some(["q", "k", "v"].into_iter().enumerate().map(third).collect());
    }
    for (from, to) in [("ls_1.gamma", "layer_scale1"), ("ls_2.gamma", "layer_scale2")] {
        if part == from {
            return Some(vec![(at(to), Share::Whole)]);
        }
    }
    for (from, to) in [
        ("ln_1.", "layer_norm1."),
        ("ln_2.", "layer_norm2."),
        ("attn.out_proj.", "self_attn.out_proj."),
        ("mlp.c_fc.", "mlp.fc1."),
        ("mlp.c_proj.", "mlp.fc2."),
    ] {
        if let Some(kind) = part.strip_prefix(from) {
            return Some(vec![(at(&format!("{to}{kind}")), Share::Whole)]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(stored: &str, open_clip: bool) -> String {
        translate(stored, open_clip)[0].0.clone()
    }

    #[test]
    fn joint_projections_are_cut_into_three() {
        let parts = translate("module.visual.transformer.resblocks.3.attn.in_proj_weight", true);
        assert_eq!(
            parts[1],
            ("vision_model.encoder.layers.3.self_attn.k_proj.weight".to_owned(), Share::Third(1))
        );
        assert_eq!((Share::Third(1).rows(72), Share::Third(1).shape(&[72, 24])), (24..48, vec![24, 24]));
    }

    #[test]
    fn heads_and_context_have_one_name_each() {
        assert_eq!(name("classification_head.weight", false), "classifier.weight");
        assert_eq!(name("bias", false), "classifier.bias");
        assert_eq!(name("prompt_learner.ctx", false), CONTEXT);
        assert_eq!(name("prompt_learner.meta_net.linear2.bias", false), MetaNet::NAMES[3]);
        assert_eq!(name(MetaNet::NAMES[0], true), MetaNet::NAMES[0]);
        assert_eq!(name("image_encoder.model.visual.proj", true), "visual_projection.weight");
    }

    #[test]
    fn wrappers_go_however_they_are_nested() {
        for wrapped in
            ["module.model.", "_orig_mod.module.", "model.image_encoder.model.", "model.clip_model."]
        {
            assert_eq!(name(&format!("{wrapped}visual.proj"), true), "visual_projection.weight", "{wrapped}");
            assert_eq!(name(&format!("{wrapped}logit_scale"), false), "logit_scale");
        }
        // CoOp's and open_clip's own towers; a bare image tower must not become a text tower.
        assert_eq!(
            name("image_encoder.conv1.weight", true),
            "vision_model.embeddings.patch_embedding.weight"
        );
        assert!(name("image_encoder.transformer.resblocks.0.ln_1.weight", true).starts_with("vision_model."));
        assert!(name("text_encoder.transformer.resblocks.0.ln_1.weight", true).starts_with("text_model."));
        assert!(name("text.transformer.resblocks.0.ln_1.weight", true).starts_with("text_model."));
        assert_eq!(name("text.text_projection", true), "text_projection.weight");
    }

    #[test]
    fn what_is_not_known_keeps_its_name() {
        for unknown in ["head.weight", "fc.bias", "visual.attnpool.k_proj.weight"] {
            assert_eq!(name(unknown, true), unknown);
        }
        assert!(!is_open_clip(["conv1.weight", "ln_pre.weight"].into_iter()));
    }
}
