//! What models give for a known image and a known text, to be held against what they must give.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::clip::CheckpointFolder;
use super::{Architecture, Head, HeadRows, Input, ModelError, Numerics, Placement, Reading, open};
use crate::data::RawImage;
use crate::image::MOST_PIXELS;
use crate::task::{Answer, Ask, Candidates, Context, Piece, Question, Request};

/// Tokens that an image-text model's tokenizer gives for a text.
///
/// # Errors
/// If the checkpoint cannot be read.
pub fn text_tokens(folder: &Path, text: &str) -> Result<Vec<u32>, ModelError> {
    let all = CheckpointFolder::open(folder)?.tokenizer()?.encode(&[text.to_owned()])?;
    Ok(all.into_iter().next().unwrap_or_default())
}

/// Features `[width]` of unit norm that an image-text model gives for an image.
///
/// # Errors
/// If the checkpoint or the image cannot be read, or the arithmetic fails.
pub fn image_features(folder: &Path, image: RawImage, numerics: &Numerics) -> Result<Vec<f32>, ModelError> {
    let ask = Ask::Choose(Arc::new(Candidates::default()));
    let question = Question { prompt: vec![Piece::Image(image)], ask };
    let architecture = open(folder, None)?;
    let placement = Placement::new(numerics)?;
    // A head of unit rows gives the features themselves.
    let projection = architecture.weights().info("visual_projection.weight");
    let width = projection.and_then(|i| i.shape.first().copied()).unwrap_or(0);
    let rows = Tensor::eye(width, DType::F32, &placement.device).map_err(ModelError::compute("head"))?;
    let head =
        Head::new(&HeadRows::fixed(rows, None), &placement.device).map_err(ModelError::compute("head"))?;
    match answer(&*architecture, question, &placement, Some(&head))? {
        Answer::Scores(features) => Ok(features),
        _ => Err(ModelError::Unlike("no scores".to_owned())),
    }
}

/// Log-likelihood in nats that a language model gives a continuation.
///
/// # Errors
/// If the checkpoint cannot be read or the arithmetic fails.
pub fn log_likelihood(
    folder: &Path,
    prompt: &str,
    target: &str,
    numerics: &Numerics,
) -> Result<f64, ModelError> {
    let context = Arc::new(Context::Text { shared: String::new(), own: prompt.to_owned() });
    let ask = Ask::Likelihood(vec![Request { context, continuation: target.to_owned() }]);
    let architecture = open(folder, None)?;
    let question = Question { prompt: Vec::new(), ask };
    match answer(&*architecture, question, &Placement::new(numerics)?, None)? {
        Answer::Likelihoods(all) if all.len() == 1 => Ok(all[0].nats),
        _ => Err(ModelError::Unlike("no likelihood".to_owned())),
    }
}

fn answer(
    architecture: &dyn Architecture,
    question: Question,
    placement: &Placement,
    head: Option<&Head>,
) -> Result<Answer, ModelError> {
    let reading = Reading { most_pixels: MOST_PIXELS, border: 0 };
    let input: Input = architecture.reader().read(question, reading).map_err(ModelError::Unlike)?;
    let model = architecture.build(&**architecture.weights(), placement)?;
    let state = architecture.batch(&[input], placement, true)?;
    let answers = model.finish(&state, 0, &[head])?;
    let first = answers.into_iter().flatten().next();
    first.ok_or_else(|| ModelError::Unlike("no answer".to_owned()))
}
