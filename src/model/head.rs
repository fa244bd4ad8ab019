//! Classification heads.
//!
//! The zero-shot head follows OpenAI's notebook, open_clip and CLIP_benchmark: for each class the
//! embeddings of all templates are normalised, averaged, and the mean is normalised. As in WiSE-FT
//! the rows are multiplied by `exp(logit_scale)`, and image features are normalised before them.

use candle_core::{D, Result, Tensor};

use super::clip::TextTower;

/// Texts per forward of the text tower.
const TEXT_BATCH: usize = 256;

/// Every class name in every template, class by class. `{}` and CLIP_benchmark's `{c}` stand for the name.
#[must_use]
pub fn prompts(names: &[String], templates: &[String]) -> Vec<String> {
    let fill = |t: &String, name: &str| t.replace("{c}", "{}").replace("{}", name);
    names.iter().flat_map(|name| templates.iter().map(move |t| fill(t, name))).collect()
}

/// Rows divided by their Euclidean norm.
pub fn normalise_rows(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)
}

/// Class embeddings `[classes, projection_dim]`, each of unit norm. `texts` holds the token
/// sequences class by class, `templates` of them for each.
pub fn class_embeddings(tower: &TextTower, texts: &[Vec<u32>], templates: usize) -> Result<Tensor> {
    let parts: Vec<Tensor> =
        texts.chunks(TEXT_BATCH).map(|batch| tower.forward(batch)).collect::<Result<_>>()?;
    let all = normalise_rows(&Tensor::cat(&parts, 0)?)?;
    let (rows, dim) = all.dims2()?;
    normalise_rows(&all.reshape((rows / templates, templates, dim))?.mean(1)?)
}

/// The zero-shot head `[classes, projection_dim]`: class embeddings times `exp(logit_scale)`.
pub fn zero_shot_head(
    tower: &TextTower,
    logit_scale: &Tensor,
    texts: &[Vec<u32>],
    templates: usize,
) -> Result<Tensor> {
    class_embeddings(tower, texts, templates)?.broadcast_mul(&logit_scale.exp()?)
}
