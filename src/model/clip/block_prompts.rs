//! Learned tokens in the blocks of both towers (independent prompts, Khattak et al. 2023, arXiv:2307.06948): what is trained
//! elsewhere is evaluated here.
//!
//! As in muzairkhattak/PromptSRC, `clip/model.py`. The image tower gets tokens behind its own, after positions were added to those;
//! a block with prompts puts them in the place of what became of them. In the text tower learned context takes the places after
//! the first token, and a block with prompts puts them there. Behind the last such block they go on like all others.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::config::{ClipConfig, ImagePool};
use crate::checkpoint::{Share, TensorInfo};
use crate::model::layers::{Built, Loader, as_type_of};

/// The prompts of a block, or those that enter the image tower.
pub struct BlockPrompts {
    /// `[prompts, width]`.
    tokens: Tensor,
    is_text: bool,
}

impl BlockPrompts {
    /// Those that enter the image tower.
    const INPUT: &str = "vision_model.embeddings.prompts";

    /// The prompts below `prefix`, of so many values each, if there are some.
    pub fn load(weights: &Loader<'_>, prefix: &str, width: usize) -> Built<Option<Self>> {
        let name = format!("{prefix}.prompts");
        let info = weights.weights.info(&name);
        let Some(&count) = info.as_ref().and_then(|i| i.shape.first()) else { return Ok(None) };
        let tokens = weights.get(&name, &[count, width])?;
        Ok(Some(Self { tokens, is_text: prefix.starts_with("text_model") }))
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
        as_type_of(&self.tokens, x)?.broadcast_as((batch, self.count(), width))?.contiguous()
    }

    /// Whether a tensor holds such prompts.
    #[must_use]
    pub fn owns(name: &str) -> bool {
        name == Self::INPUT || name.contains(".encoder.layers.") && name.ends_with(".prompts")
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
            all.extend(own.into_iter().chain(names).map(|n| (n, vec![count, config.hidden_size])));
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

/// What a tensor of the released code becomes; `None` for what is none.
pub(super) fn translated(name: &str) -> Option<Vec<(String, Share)>> {
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
