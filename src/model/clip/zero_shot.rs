//! The zero-shot head, and the head of learned context, which may depend on the image.
//!
//! The zero-shot head follows OpenAI's notebook, open_clip and CLIP_benchmark: for each class the
//! embeddings of all templates are normalised, averaged, and the mean is normalised. As in WiSE-FT
//! the rows are multiplied by `exp(logit_scale)`, and image features are normalised before them.

use candle_core::{Result, Tensor};

use super::folder::CheckpointFolder;
use super::meta_net::{ConditionalRows, MetaNet};
use super::names::CONTEXT;
use super::text::TextTower;
use crate::checkpoint::Weights;
use crate::model::{HeadRows, Kernels, ModelError, normalise_rows};

/// Every class name in every template, class by class. `{}` and CLIP_benchmark's `{c}` stand for the name.
#[must_use]
pub fn prompts(names: &[String], templates: &[String]) -> Vec<String> {
    let fill = |t: &String, name: &str| t.replace("{c}", "{}").replace("{}", name);
    names.iter().flat_map(|name| templates.iter().map(move |t| fill(t, name))).collect()
}

/// Class embeddings `[classes, projection_dim]`, each of unit norm. `texts` holds the token
/// sequences class by class, `templates` of them for each. `made` hears of each so many texts.
pub fn class_embeddings(
    tower: &TextTower,
    texts: &[Vec<u32>],
    templates: usize,
    made: &mut dyn FnMut(usize),
) -> Result<Tensor> {
    let all = normalise_rows(&tower.forward_all(texts, None, made)?)?;
    let (rows, dim) = all.dims2()?;
    normalise_rows(&all.reshape((rows / templates, templates, dim))?.mean(1)?)
}

/// The texts that follow learned context: CoOp's `<name>.` with underscores as spaces.
#[must_use]
pub fn context_texts(names: &[String]) -> Vec<String> {
    names.iter().map(|n| format!("{}.", n.replace('_', " "))).collect()
}

/// Makes room for `context` (`[n, width]` or `[classes, n, width]`) after the first token of each text; a
/// text that becomes longer than `length` is cut before its last token.
#[must_use]
pub fn context_places(texts: Vec<Vec<u32>>, context: &Tensor, length: usize) -> Vec<Vec<u32>> {
    let n = context.dims().iter().rev().nth(1).copied().unwrap_or(0);
    let widen = |text: Vec<u32>| {
        let (first, rest) = (text.first().copied(), text.get(1..).unwrap_or_default());
        let mut wide: Vec<u32> = first.into_iter().chain(std::iter::repeat_n(0, n)).collect();
        wide.extend(rest);
        if wide.len() > length {
            let last = rest.last().copied();
            wide.truncate(length - 1);
            wide.extend(last);
        }
        wide
    };
    texts.into_iter().map(widen).collect()
}

/// Class embeddings `[classes, projection_dim]` of unit norm from texts whose places after the first token
/// are taken by learned context (CoOp, Zhou et al. 2022, arXiv:2109.01134; class token at the end).
pub fn context_embeddings(tower: &TextTower, texts: &[Vec<u32>], context: &Tensor) -> Result<Tensor> {
    if context.rank() == 3 && context.dim(0)? != texts.len() {
        candle_core::bail!(
            "the context is of {} classes, the probe has {}; class-specific context fits its own classes alone",
            context.dim(0)?,
            texts.len()
        );
    }
    normalise_rows(&tower.forward_all(texts, Some(context), &mut |_| {})?)
}

/// What a model's cosines become logits with.
pub struct Scale {
    /// The logarithm of what they are multiplied by.
    scale: Tensor,
    /// What is added.
    shift: Option<Tensor>,
}

impl Scale {
    /// That of a folder, or of weights in the place of its own.
    pub fn of(folder: &CheckpointFolder, weights: &dyn Weights) -> std::result::Result<Self, ModelError> {
        let get =
            |name: &str| if weights.contains(name) { weights.load(name) } else { folder.weights.load(name) };
        let shift = if folder.config.logit_bias { Some(get("logit_bias")?) } else { None };
        Ok(Self { scale: get("logit_scale")?, shift })
    }
}

/// The head from names and templates, or from names and learned context where the checkpoint holds one. `weights` are
/// the text tower's (and the scale's), `folder` gives the rest; `made` hears of each so many prompts.
pub fn zero_shot(
    folder: &CheckpointFolder,
    weights: &dyn Weights,
    names: &[String],
    templates: &[String],
    made: &mut dyn FnMut(usize),
) -> std::result::Result<HeadRows, ModelError> {
    scaled_zero_shot((folder, weights), Scale::of(folder, weights)?, (names, templates), made)
}

/// The same with another scale.
pub fn scaled_zero_shot(
    (folder, weights): (&CheckpointFolder, &dyn Weights),
    Scale { scale, shift }: Scale,
    (names, templates): (&[String], &[String]),
    made: &mut dyn FnMut(usize),
) -> std::result::Result<HeadRows, ModelError> {
    let tokenizer = folder.tokenizer()?;
    let context = if folder.has_context() { Some(folder.weights.load(CONTEXT)?) } else { None };
    let tokens = match &context {
        Some(context) => {
            let length = folder.config.text_config.max_position_embeddings;
            context_places(tokenizer.encode(&context_texts(names))?, context, length)
        }
        None => tokenizer.encode(&prompts(names, templates))?,
    };
    let tower = TextTower::new(&folder.config, weights, Kernels::Inference)?;
    let meta = MetaNet::is_in(&*folder.weights).then(|| MetaNet::of(&*folder.weights)).transpose()?;
    let compute = |made: &mut dyn FnMut(usize)| {
        let bias = shift.map(|b| b.reshape(1)?.broadcast_as(names.len())?.contiguous()).transpose()?;
        let scale = scale.reshape(())?.exp()?;
        if let (Some(context), Some(meta)) = (&context, meta) {
            let kept = std::sync::Mutex::default();
            let rows = ConditionalRows { tower, meta, context: context.clone(), texts: tokens, scale, kept };
            return Ok(HeadRows::of_image(std::sync::Arc::new(rows), bias));
        }
        let embeddings = match &context {
            Some(context) => context_embeddings(&tower, &tokens, context)?,
            None => class_embeddings(&tower, &tokens, templates.len(), made)?,
        };
        Ok(HeadRows::fixed(embeddings.broadcast_mul(&scale)?, bias))
    };
    let what = format!("zero-shot head of `{}`", folder.path.display());
    compute(made).map_err(ModelError::compute(what))
}
