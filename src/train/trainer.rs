//! The loop that all methods share: AdamW, warm-up, cosine, clipping.

use std::path::PathBuf;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use candle_nn::{AdamW, Optimizer as _, ParamsAdamW};

use super::methods::METHODS;
use super::{Objective, Recipe, TrainError, TunedModel};
use crate::base::fs::write_atomic;
use crate::catalog::Catalog;
use crate::checkpoint::write_safetensors;
use crate::image::Preprocessor;
use crate::model::clip::CheckpointFolder;

/// What happens while a model is tuned.
#[derive(Clone, Debug)]
pub enum TuneEvent {
    /// Training data is loaded.
    Ready {
        /// Trained values.
        parameters: usize,
        /// Steps to come.
        steps: usize,
    },
    /// A step is done.
    Step {
        /// Its number from 1.
        step: usize,
        /// Its loss.
        loss: f64,
        /// Share of its batch classified correctly.
        accuracy: f64,
        /// Its learning rate.
        lr: f64,
    },
    /// The checkpoint is written.
    Written(PathBuf),
}

/// Runs a recipe and writes its checkpoint. `listen` returns false to stop.
pub fn tune(
    recipe: &Recipe,
    catalog: &Catalog,
    mut listen: impl FnMut(TuneEvent) -> bool,
) -> Result<(), TrainError> {
    let unknown = || recipe.mistake(METHODS.unknown(&recipe.method).0);
    let method = METHODS.get(&recipe.method).ok_or_else(unknown)?;
    let objective = method.prepare(recipe, catalog)?;
    let parameters = objective.parameters().values().map(|v| v.elem_count()).sum();
    listen(TuneEvent::Ready { parameters, steps: recipe.steps });

    let mut optimisers = optimisers(&*objective, recipe)?;
    for step in 0..recipe.steps {
        let lr = learning_rate(recipe, step);
        let mut outcome = objective.step(step)?;
        if !outcome.loss.is_finite() {
            return Err(TrainError::Diverged { step, loss: outcome.loss });
        }
        clip(&mut outcome.gradients, objective.parameters().values(), recipe.clip_norm)?;
        for optimiser in &mut optimisers {
            optimiser.set_learning_rate(lr);
            optimiser.step(&outcome.gradients)?;
        }
        let event = TuneEvent::Step { step: step + 1, loss: outcome.loss, accuracy: outcome.accuracy, lr };
        if !listen(event) {
            return Err(TrainError::Interrupted(step + 1));
        }
    }

    let dtype = recipe.store.dtype();
    match objective.finish()? {
        TunedModel::Changed { from, tensors, classifier } => {
            from.write_with(&recipe.out, &tensors, classifier.as_ref(), dtype)?;
        }
        TunedModel::Language { files, tensors } => {
            for (name, file) in files {
                write_atomic(&recipe.out.join(name), &file)?;
            }
            write_safetensors(&recipe.out.join("model.safetensors"), &tensors, dtype)?;
        }
        TunedModel::Adapter { config, tensors } => {
            let text = serde_json::to_string_pretty(&config).expect("plain data always has a JSON form");
            write_atomic(&recipe.out.join("adapter_config.json"), text.as_bytes())?;
            write_safetensors(&recipe.out.join("adapter_model.safetensors"), &tensors, dtype)?;
        }
        TunedModel::New { config, tensors, tokenizer } => {
            let preprocessor = Preprocessor::clip(config.vision_config.image_size);
            CheckpointFolder::write(&recipe.out, &config, &preprocessor, &tokenizer, &tensors, dtype)?;
        }
    }
    listen(TuneEvent::Written(recipe.out.clone()));
    Ok(())
}

/// Linear warm-up, then a cosine to zero, per step (WiSE-FT `cosine_lr`).
fn learning_rate(recipe: &Recipe, step: usize) -> f64 {
    if step < recipe.warmup {
        return recipe.lr * (step + 1) as f64 / recipe.warmup as f64;
    }
    let progress = (step - recipe.warmup) as f64 / (recipe.steps - recipe.warmup).max(1) as f64;
    0.5 * (1.0 + (std::f64::consts::PI * progress).cos()) * recipe.lr
}

/// One optimiser with weight decay and one without.
fn optimisers(objective: &dyn Objective, recipe: &Recipe) -> Result<Vec<AdamW>, TrainError> {
    let decays = |var: &Var| recipe.decay_all || var.rank() >= 2;
    let group = |decay: bool| -> Vec<Var> {
        objective.parameters().values().filter(|v| decays(v) == decay).cloned().collect()
    };
    let settings = |weight_decay| ParamsAdamW { lr: recipe.lr, weight_decay, ..ParamsAdamW::default() };
    Ok(vec![
        AdamW::new(group(true), settings(recipe.weight_decay))?,
        AdamW::new(group(false), settings(0.0))?,
    ])
}

/// Scales the gradients down to a global norm of at most `limit`.
fn clip<'a>(
    gradients: &mut GradStore,
    parameters: impl Iterator<Item = &'a Var>,
    limit: f64,
) -> Result<(), TrainError> {
    let tensors: Vec<&Tensor> = parameters.map(Var::as_tensor).collect();
    let mut square = 0.0;
    for tensor in &tensors {
        if let Some(gradient) = gradients.get(tensor) {
            square += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
    }
    let norm = square.sqrt();
    if norm > limit && norm.is_finite() {
        for tensor in tensors {
            if let Some(gradient) = gradients.remove(tensor) {
                gradients.insert(tensor, (gradient * (limit / norm))?);
            }
        }
    }
    Ok(())
}
