//! Heads over the classes of training data: what hand-written prompts or learned context make of them, or a checkpoint's own.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use crate::checkpoint::Tensors;
use crate::model::Kernels;
use crate::model::clip::{
    CheckpointFolder, Classifier, TextTower, class_embeddings, context_places, context_texts, prompts,
};
use crate::train::TrainError;
use crate::train::pool::Pool;

/// A whole checkpoint, or a part of one on top of `base`.
pub(super) fn opened(path: &Path, base: &CheckpointFolder) -> Result<CheckpointFolder, TrainError> {
    let whole = path.join("config.json").is_file() || path.join("open_clip_config.json").is_file();
    Ok(if whole { CheckpointFolder::open(path)? } else { CheckpointFolder::open_over(path, base, None)? })
}

/// Rows that learned context gives, not normalised.
pub(super) fn context_rows(
    folder: &CheckpointFolder,
    tensors: &Tensors,
    pool: &Pool,
    context: &Tensor,
) -> Result<Tensor, TrainError> {
    let tower = TextTower::new(&folder.config, tensors, Kernels::Inference)?;
    let length = folder.config.text_config.max_position_embeddings;
    let tokens = folder.tokenizer()?.encode(&context_texts(&pool.classes))?;
    Ok(tower.forward_with(&context_places(tokens, context, length), Some(context))?.detach())
}

/// The zero-shot rows of unit norm.
pub(super) fn embeddings(
    folder: &CheckpointFolder,
    tensors: &Tensors,
    pool: &Pool,
) -> Result<Tensor, TrainError> {
    let tower = TextTower::new(&folder.config, tensors, Kernels::Inference)?;
    let tokens = folder.tokenizer()?.encode(&prompts(&pool.classes, &pool.templates))?;
    Ok(class_embeddings(&tower, &tokens, pool.templates.len(), &mut |_| {})?.detach())
}

/// Puts a head over the classes of the data among a checkpoint's weights: its own classifier, else what `otherwise` gives, with a
/// bias of zeros where there is none.
pub(super) fn insert_head(
    weights: &mut Tensors,
    folder: &CheckpointFolder,
    pool: &Pool,
    otherwise: impl FnOnce() -> Result<Tensor, TrainError>,
) -> Result<(), TrainError> {
    let (rows, bias) = match &folder.classifier {
        Some(classifier) => own_head(folder, classifier, pool)?,
        None => (otherwise()?, None),
    };
    let bias = match bias {
        Some(bias) => bias,
        None => Tensor::zeros(pool.classes.len(), DType::F32, &Device::Cpu)?,
    };
    weights.insert(Classifier::WEIGHT.to_owned(), rows);
    weights.insert(Classifier::BIAS.to_owned(), bias);
    Ok(())
}

/// A checkpoint's own classifier over the classes of the data: rows, and bias if there is one.
fn own_head(
    folder: &CheckpointFolder,
    classifier: &Classifier,
    pool: &Pool,
) -> Result<(Tensor, Option<Tensor>), TrainError> {
    let places: Vec<usize> = (0..pool.classes.len()).collect();
    let rows = classifier.rows(&pool.classes, &places).map_err(|missing| {
        TrainError::Unfit(format!("its classifier has no row for {}", missing.join(", ")))
    })?;
    let index = Tensor::new(rows, &Device::Cpu)?;
    let bias = if folder.weights.contains(Classifier::BIAS) {
        Some(folder.weights.load(Classifier::BIAS)?.index_select(&index, 0)?)
    } else {
        None
    };
    Ok((folder.weights.load(Classifier::WEIGHT)?.index_select(&index, 0)?, bias))
}
