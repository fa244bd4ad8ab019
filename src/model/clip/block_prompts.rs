//! Learned tokens in the blocks of both towers (independent prompts, Khattak et al. 2023, arXiv:2307.06948; coupled ones, MaPLe, Khattak
//! et al. 2023, arXiv:2210.03117), whether they were trained elsewhere or here.
//!
//! As in muzairkhattak/PromptSRC, `clip/model.py`. The image tower gets tokens behind its own, after positions were added to those;
//! a block with prompts puts them in the place of what became of them. In the text tower learned context takes the places after
//! the first token, and a block with prompts puts them there. Behind the last such block they go on like all others.
//!
//! MaPLe's image prompts are what a linear layer makes of those of the text tower (muzairkhattak/multimodal-prompt-learning,
//! `trainers/maple.py`). The image tower has the texts' prompts a second time, beside the layer, so that each tower's tensors say
//! all that it computes. Between two checkpoints prompts and layers are interpolated each, as weights are.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::config::{ClipConfig, ImagePool};
use crate::checkpoint::{Share, TensorInfo};
use crate::model::layers::{Built, Linear, Loader, as_type_of};

/// The prompts of a block, or those that enter the image tower.
pub struct BlockPrompts {
    /// `[prompts, width]`.
    tokens: Tensor,
    /// What makes those of an image tower out of those of texts (MaPLe).
    projection: Option<Linear>,
    is_text: bool,
}

impl BlockPrompts {
    /// Those that enter the image tower.
    const INPUT: &str = "vision_model.embeddings.prompts";

    /// The layer that makes prompts of an image tower from those of the text tower.
    const PROJECTION: &str = "prompt_projection";

    /// The prompts below `prefix`, of so many values each, if there are some.
    pub fn load(weights: &Loader<'_>, prefix: &str, width: usize) -> Built<Option<Self>> {
        let name = format!("{prefix}.prompts");
        let Some(info) = weights.weights.info(&name) else { return Ok(None) };
        let &[count, stored] = &info.shape[..] else { return Ok(None) };
        let projection = format!("{prefix}.{}", Self::PROJECTION);
        let projects = weights.weights.contains(&format!("{projection}.weight"));
        let from = if projects { stored } else { width };
        let tokens = weights.get(&name, &[count, from])?;
        let projection = projects.then(|| weights.linear(&projection, from, width)).transpose()?;
        Ok(Some(Self { tokens, projection, is_text: prefix.starts_with("text_model") }))
    }

    /// So many tokens.
    fn count(&self) -> usize {
        self.tokens.dims()[0]
    }

    /// Tokens `[batch, tokens, width]` of images with these behind them.
    pub fn behind(&self, x: &Tensor) -> Result<Tensor> {
        Tensor::cat(&[x, &self.of(x)?], 1)
    }

    /// The same tokens with these in the place of earlier ones: of images the last, of texts those after the first.
    pub fn instead(&self, x: &Tensor) -> Result<Tensor> {
        let (all, own) = (x.dim(1)?, self.count());
        let first = if self.is_text { 1 } else { all.saturating_sub(own) };
        let mut parts = vec![x.narrow(1, 0, first)?, self.of(x)?];
        if all > first + own {
            parts.push(x.narrow(1, first + own, all - first - own)?);
        }
        Tensor::cat(&parts, 1)
    }

    fn of(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, _, width) = x.dims3()?;
        let tokens = match &self.projection {
            Some(projection) => &projection.forward(&self.tokens)?,
            None => &self.tokens,
        };
        as_type_of(tokens, x)?.broadcast_as((batch, self.count(), width))?.contiguous()
    }

    /// Whether a tensor holds such prompts.
    #[must_use]
    pub fn owns(name: &str) -> bool {
        let ends = [".prompts", ".prompt_projection.weight", ".prompt_projection.bias"];
        (name.starts_with("vision_model.embeddings.") || name.contains(".encoder.layers."))
            && ends.iter().any(|end| name.ends_with(end))
    }

    /// Whether a tensor is part of a layer that makes prompts of others.
    #[must_use]
    pub fn is_projection(name: &str) -> bool {
        Self::owns(name) && name.contains(Self::PROJECTION)
    }

    /// Names of the prompts of a block: of the text tower, whose first has learned context instead, and of the image tower.
    #[must_use]
    pub fn names(block: usize) -> (Option<String>, String) {
        let name = |tower: &str| format!("{tower}.encoder.layers.{block}.prompts");
        if block == 0 {
            (None, Self::INPUT.to_owned())
        } else {
            (Some(name("text_model")), name("vision_model"))
        }
    }

    /// The name of a part of the layer that makes some prompts of an image tower.
    #[must_use]
    pub fn projection_of(prompts: &str, part: &str) -> String {
        format!("{}.{}.{part}", prompts.trim_end_matches(".prompts"), Self::PROJECTION)
    }

    /// Where the image tower has the text tower's prompts, or learned context, a second time.
    #[must_use]
    pub fn of_image(name: &str, context: &str) -> Option<String> {
        let input = (name == context).then(|| Self::INPUT.to_owned());
        input.or_else(|| name.strip_prefix("text_model.").map(|rest| format!("vision_model.{rest}")))
    }

    /// Names and shapes of all prompts, given the name of learned context and what is stored of both.
    ///
    /// # Errors
    /// What keeps them from being what the reference makes of them.
    pub fn expected(
        config: &ClipConfig,
        context: &str,
        stored: impl Fn(&str) -> Option<TensorInfo>,
    ) -> std::result::Result<BTreeMap<String, Vec<usize>>, String> {
        let count = |name: &str| stored(name).map(|i| i.shape.iter().rev().nth(1).copied().unwrap_or(0));
        let (image, text) = (&config.vision_config.tower, &config.text_config.tower);
        let mut all = BTreeMap::new();
        for (tower, config, first) in [("vision_model", image, Self::INPUT), ("text_model", text, context)] {
            let names = (0..config.num_hidden_layers).map(|i| format!("{tower}.encoder.layers.{i}.prompts"));
            let names: Vec<String> = names.filter(|n| stored(n).is_some()).collect();
            let Some(count) = count(first) else {
                match names.first() {
                    Some(name) => {
                        return Err(format!(
                            "holds prompts `{name}` without `{first}`, whose place they take"
                        ));
                    }
                    None => continue,
                }
            };
            let own = (first == Self::INPUT).then(|| first.to_owned());
            for name in own.into_iter().chain(names) {
                let (weight, bias) =
                    (Self::projection_of(&name, "weight"), Self::projection_of(&name, "bias"));
                let projected = first == Self::INPUT && stored(&weight).is_some();
                let width = if projected { text.hidden_size } else { config.hidden_size };
                all.insert(name, vec![count, width]);
                if projected {
                    all.insert(weight, vec![config.hidden_size, width]);
                    all.insert(bias, vec![config.hidden_size]);
                }
            }
        }
        if all.keys().any(|n| n.starts_with("vision_model."))
            && config.vision_config.pool != ImagePool::ClassToken
        {
            return Err(
                "holds prompts for an image tower that pools all tokens; they are for one with a class token"
                    .to_owned(),
            );
        }
        Ok(all)
    }
}

/// Where a MaPLe learner's context, one of all classes, is found: what its `proj` is made of enters the image tower.
pub(super) fn share_context(all: &mut [Vec<(String, Share)>], context: &str) {
    let projection = BlockPrompts::projection_of(BlockPrompts::INPUT, "weight");
    let has = |wanted: &str| all.iter().flatten().any(|(name, _)| name == wanted);
    // What was written here has it twice.
    if has(&projection) && !has(BlockPrompts::INPUT) {
        for names in all.iter_mut().filter(|names| names.iter().any(|(name, _)| name == context)) {
            names.push((BlockPrompts::INPUT.to_owned(), Share::Whole));
        }
    }
}

/// What a tensor of MaPLe's learner becomes; its prompts belong to both towers.
fn coupled(name: &str) -> Option<Vec<String>> {
    let layer = |number: &str| Some(format!("encoder.layers.{}", number.parse::<usize>().ok()? + 1));
    if let Some(number) = name.strip_prefix("compound_prompts_text.") {
        let layer = layer(number)?;
        return Some(["text_model", "vision_model"].map(|tower| format!("{tower}.{layer}.prompts")).to_vec());
    }
    let (at, part) = match name.strip_prefix("compound_prompt_projections.") {
        Some(rest) => {
            let (number, part) = rest.split_once('.')?;
            (layer(number)?, part)
        }
        None => ("embeddings".to_owned(), name.strip_prefix("proj.")?),
    };
    let known = part == "weight" || part == "bias";
    known.then(|| vec![format!("vision_model.{at}.{}.{part}", BlockPrompts::PROJECTION)])
}

/// What a tensor of the released code becomes; `None` for what is none.
pub(super) fn translated(name: &str) -> Option<Vec<(String, Share)>> {
    if let Some(all) = coupled(name) {
        return Some(all.into_iter().map(|to| (to, Share::Whole)).collect());
    }
    let to = if name == "visual.VPT" {
        BlockPrompts::INPUT.to_owned()
    } else {
        let block = name.strip_suffix(".VPT_shallow")?;
        let (tower, layer) = match block.strip_prefix("visual.transformer.resblocks.") {
            Some(layer) => ("vision_model", layer),
            None => ("text_model", block.strip_prefix("transformer.resblocks.")?),
        };
        format!("{tower}.encoder.layers.{layer}.prompts")
    };
    Some(vec![(to, Share::Whole)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_maples_learner() {
        let name =
            |stored: &str| translated(stored).map(|all| all.into_iter().map(|n| n.0).collect::<Vec<_>>());
        let both = ["text_model", "vision_model"].map(|t| format!("{t}.encoder.layers.3.prompts")).to_vec();
        assert_eq!(name("compound_prompts_text.2"), Some(both));
        let layer = "vision_model.encoder.layers.1.prompt_projection.bias".to_owned();
        assert_eq!(name("compound_prompt_projections.0.bias"), Some(vec![layer]));
        let first = "vision_model.embeddings.prompt_projection.weight".to_owned();
        assert_eq!(name("proj.weight"), Some(vec![first]));
        for other in ["proj", "visual.proj", "compound_prompts_text.x", "compound_prompt_projections.0.gain"]
        {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
