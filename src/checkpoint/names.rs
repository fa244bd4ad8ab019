//! OpenAI's and open_clip's tensor names to Hugging Face's, which the models use.
//!
//! Follows the conversion of `transformers` (`convert_clip_original_pytorch_to_hf.py`): the joint
//! query-key-value projection is cut into three, the two projections are transposed.

use std::ops::Range;

/// How a tensor is made from a stored one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it is.
    Whole,
    /// A range of thirds of the first axis, such as the keys in a joint projection.
    Third(usize),
    /// Transposed (two axes).
    Transposed,
}

impl Part {
    /// Rows of a stored tensor with `rows` rows.
    pub fn rows(&self, rows: usize) -> Range<usize> {
        match self {
            Self::Third(i) => i * rows / 3..(i + 1) * rows / 3,
            Self::Whole | Self::Transposed => 0..rows,
        }
    }

    /// Shape of the result.
    pub fn shape(&self, stored: &[usize]) -> Vec<usize> {
        match self {
            Self::Whole => stored.to_vec(),
            Self::Third(_) => {
                let mut shape = stored.to_vec();
                if let Some(first) = shape.first_mut() {
                    *first /= 3;
                }
                shape
            }
            Self::Transposed => stored.iter().rev().copied().collect(),
        }
    }
}

/// Whether a list of names is in the layout of OpenAI and open_clip.
pub fn is_open_clip<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|n| strip(n) == "visual.conv1.weight")
}

/// A name without the prefixes of wrappers: data-parallel training, and WiSE-FT's `ImageClassifier`.
fn strip(name: &str) -> &str {
    let name = name.strip_prefix("module.").unwrap_or(name);
    name.strip_prefix("image_encoder.model.").unwrap_or(name)
}

/// The name of a head or of learned context under which it is known here, whatever the layout of the
/// rest: WiSE-FT's `classification_head`, a bare linear layer, CoOp's `ctx`. An empty list for CoOp's copies
/// of token embeddings, which follow from the class names.
fn head_or_context(stored: &str) -> Option<Vec<(String, Part)>> {
    let name = strip(stored);
    let to = match name {
        "classification_head.weight" | "classifier.weight" | "weight" => "classifier.weight",
        "classification_head.bias" | "classifier.bias" | "bias" => "classifier.bias",
        "ctx" | "prompt_learner.ctx" | CONTEXT => CONTEXT,
        "token_prefix" | "token_suffix" | "prompt_learner.token_prefix" | "prompt_learner.token_suffix" => {
            return Some(Vec::new());
        }
        _ => return None,
    };
    Some(vec![(to.to_owned(), Part::Whole)])
}

/// The tensor with learned context vectors, `[n, width]` or `[classes, n, width]`.
pub const CONTEXT: &str = "prompt.context";

/// The names that a stored tensor becomes; empty for what is no weight.
pub fn translate(stored: &str, open_clip: bool) -> Vec<(String, Part)> {
    match head_or_context(stored) {
        Some(found) => found,
        None if open_clip => hugging_face(stored),
        None => vec![(stored.to_owned(), Part::Whole)],
    }
}

/// The Hugging Face names that a stored tensor becomes; empty for buffers that are not weights.
fn hugging_face(stored: &str) -> Vec<(String, Part)> {
    let name = strip(stored);
    let whole = |to: &str| vec![(to.to_owned(), Part::Whole)];
    match name {
        "logit_scale" => return whole("logit_scale"),
        "positional_embedding" => return whole("text_model.embeddings.position_embedding.weight"),
        "token_embedding.weight" => return whole("text_model.embeddings.token_embedding.weight"),
        "text_projection" => return vec![("text_projection.weight".to_owned(), Part::Transposed)],
        "visual.proj" => return vec![("visual_projection.weight".to_owned(), Part::Transposed)],
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
        None => match name.strip_prefix("transformer.resblocks.") {
            Some(rest) => ("text_model", rest),
            None => return Vec::new(),
        },
    };
    block(tower, rest)
}

fn block(tower: &str, rest: &str) -> Vec<(String, Part)> {
    let Some((layer, part)) = rest.split_once('.') else { return Vec::new() };
    let at = |inner: &str| format!("{tower}.encoder.layers.{layer}.{inner}");
    if let Some(kind) = part.strip_prefix("attn.in_proj_") {
        let third = |(i, name): (usize, &str)| (at(&format!("self_attn.{name}_proj.{kind}")), Part::Third(i));
        return ["q", "k", "v"].into_iter().enumerate().map(third).collect();
    }
    for (from, to) in [
        ("ln_1.", "layer_norm1."),
        ("ln_2.", "layer_norm2."),
        ("attn.out_proj.", "self_attn.out_proj."),
        ("mlp.c_fc.", "mlp.fc1."),
        ("mlp.c_proj.", "mlp.fc2."),
    ] {
        if let Some(kind) = part.strip_prefix(from) {
            return vec![(at(&format!("{to}{kind}")), Part::Whole)];
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joint_projections_are_cut_into_three() {
        let parts = hugging_face("module.visual.transformer.resblocks.3.attn.in_proj_weight");
        assert_eq!(
            parts[1],
            ("vision_model.encoder.layers.3.self_attn.k_proj.weight".to_owned(), Part::Third(1))
        );
        assert_eq!((Part::Third(1).rows(72), Part::Third(1).shape(&[72, 24])), (24..48, vec![24, 24]));
    }

    #[test]
    fn heads_and_context_have_one_name_each() {
        let name = |stored: &str| translate(stored, false).first().map(|p| p.0.clone());
        assert_eq!(name("classification_head.weight").unwrap(), "classifier.weight");
        assert_eq!(name("bias").unwrap(), "classifier.bias");
        assert_eq!(name("ctx").unwrap(), CONTEXT);
        assert_eq!(name("token_prefix"), None);
        assert_eq!(translate("image_encoder.model.visual.proj", true)[0].0, "visual_projection.weight");
    }

    #[test]
    fn buffers_are_left_out() {
        assert!(hugging_face("attn_mask").is_empty());
        assert!(hugging_face("input_resolution").is_empty());
    }
}
