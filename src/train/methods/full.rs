//! Full fine-tuning as WiSE-FT does it (Wortsman et al. 2022, `src/wise_ft.py`).
//!
//! The classifier is the image tower followed by a linear head that starts as the zero-shot head
//! (rows times `exp(logit_scale)`, bias zero) on normalised features; both are trained with cross
//! entropy. The text tower stays as it is and stays in the checkpoint, so that classes that were
//! not trained can still be named. Differs from the original in using no random crops.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::loss::cross_entropy;

use crate::base::registry::Named;
use crate::base::rng::CounterRng;
use crate::catalog::Catalog;
use crate::checkpoint::Tensors;
use crate::model::Kernels;
use crate::model::clip::{CheckpointFolder, Classifier, TextTower, VisionTower, class_embeddings, prompts};
use crate::model::normalise_rows;
use crate::train::backward::{self, Encode, SHARDS};
use crate::train::pool::Pool;
use crate::train::{Method, Objective, Recipe, StepOutcome, TrainError, TunedModel};

/// The method.
pub(super) struct Full;

impl Named for Full {
    fn name(&self) -> &'static str {
        "full"
    }
    fn summary(&self) -> &'static str {
        "image tower and linear head, end to end, from the zero-shot head"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2109.01903, mlfoundations/wise-ft"
    }
}

impl Method for Full {
    fn prepare(&self, recipe: &Recipe, catalog: &Catalog) -> Result<Box<dyn Objective>, TrainError> {
        if recipe.penalty.is_some() {
            return Err(recipe.mistake("`full` has no penalty; `l2-sp` has"));
        }
        self.objective(recipe, catalog)
    }
}

impl Full {
    /// The objective itself, for methods that add to it.
    pub(super) fn objective(
        &self,
        recipe: &Recipe,
        catalog: &Catalog,
    ) -> Result<Box<dyn Objective>, TrainError> {
        for (key, given) in [("model", recipe.model.is_some()), ("tokenizer", recipe.tokenizer.is_some())] {
            if given {
                return Err(recipe.mistake(format!("this method takes its `{key}` from `from`")));
            }
        }
        let from = recipe.from.as_deref().ok_or_else(|| recipe.mistake("this method needs `from`"))?;
        let folder = CheckpointFolder::open(from)?;
        let pool = Pool::load(recipe, catalog, &folder.reader.0)?;
        let mut tensors = folder.weights.load_all()?;
        let head = initial_head(&folder, &tensors, &pool)?;

        let mut parameters = BTreeMap::new();
        for (name, tensor) in &mut tensors {
            if VisionTower::stage_of(&folder.config, name).is_some() {
                let var = Var::from_tensor(tensor)?;
                *tensor = var.as_tensor().clone();
                parameters.insert(name.clone(), var);
            }
        }
        let bias = Tensor::zeros(head.dim(0)?, DType::F32, &Device::Cpu)?;
        for (name, value) in [(Classifier::WEIGHT, head), (Classifier::BIAS, bias)] {
            parameters.insert(name.to_owned(), Var::from_tensor(&value)?);
        }
        Ok(Box::new(FineTuning {
            vision: VisionTower::new(&folder.config, &tensors, Kernels::Differentiable)?,
            batch: recipe.batch.min(pool.len()),
            rng: CounterRng::new(recipe.seed, "full"),
            folder: Arc::new(folder),
            tensors,
            parameters,
            pool,
        }))
    }
}

fn initial_head(folder: &CheckpointFolder, tensors: &Tensors, pool: &Pool) -> Result<Tensor, TrainError> {
    let tower = TextTower::new(&folder.config, tensors, Kernels::Inference)?;
    let texts = prompts(&pool.classes, &pool.templates);
    let tokens = folder.tokenizer()?.encode(&texts)?;
    let scale = folder.weights.load("logit_scale")?;
    let embeddings = class_embeddings(&tower, &tokens, pool.templates.len())?;
    Ok(embeddings.broadcast_mul(&scale.exp()?)?.detach())
}

struct FineTuning {
    folder: Arc<CheckpointFolder>,
    /// All tensors; those of the image tower are the trained variables.
    tensors: Tensors,
    parameters: BTreeMap<String, Var>,
    vision: VisionTower,
    pool: Pool,
    batch: usize,
    rng: CounterRng,
}

impl FineTuning {
    /// Examples of one step: a stretch of a permutation of all examples.
    fn draw(&self, step: usize) -> Vec<usize> {
        let per_epoch = self.pool.len() / self.batch;
        let (epoch, place) = (step / per_epoch, step % per_epoch);
        let order = self.rng.stream(epoch as u64).permutation(self.pool.len());
        order[place * self.batch..(place + 1) * self.batch].to_vec()
    }
}

impl Objective for FineTuning {
    fn parameters(&self) -> &BTreeMap<String, Var> {
        &self.parameters
    }

    fn step(&self, step: usize) -> Result<StepOutcome, TrainError> {
        let examples = self.draw(step);
        let jobs: Vec<Encode<'_>> = examples
            .chunks(examples.len().div_ceil(SHARDS))
            .map(|part| -> Encode<'_> { Box::new(move || self.vision.forward(&self.pool.batch(part)?)) })
            .collect();
        let features = backward::encode(&jobs)?;
        let cuts = backward::cut(&features)?;
        let joined = Tensor::cat(&cuts.iter().map(Var::as_tensor).collect::<Vec<_>>(), 0)?;
        let head = self.parameters[Classifier::WEIGHT].as_tensor();
        let logits = normalise_rows(&joined)?
            .matmul(&head.t()?)?
            .broadcast_add(self.parameters[Classifier::BIAS].as_tensor())?;
        let labels: Vec<u32> = examples.iter().map(|&i| self.pool.labels[i]).collect();
        let targets = Tensor::from_vec(labels, examples.len(), &Device::Cpu)?;
        let loss = cross_entropy(&logits, &targets)?;
        let hits = logits.argmax(D::Minus1)?.eq(&targets)?.to_dtype(DType::F32)?.mean_all()?;
        let store = loss.backward()?;
        Ok(StepOutcome {
            loss: f64::from(loss.to_scalar::<f32>()?),
            accuracy: f64::from(hits.to_scalar::<f32>()?),
            gradients: backward::finish(store, &features, &cuts, &self.parameters)?,
        })
    }

    fn finish(&self) -> Result<TunedModel, TrainError> {
        let mut tensors = self.tensors.clone();
        for (name, var) in &self.parameters {
            tensors.insert(name.clone(), var.as_tensor().clone());
        }
        Ok(TunedModel::Changed {
            from: Arc::clone(&self.folder),
            tensors,
            classifier: Some(Classifier { classes: self.pool.classes.clone() }),
        })
    }
}
