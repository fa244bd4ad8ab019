//! Contrastive training on image-caption pairs (Radford et al. 2021, figure 3): from nothing, or of a checkpoint (FLYP).
//!
//! Captions are the class names in a randomly chosen template of the data set. In pretraining the classes of a batch are
//! distinct, so that no caption is a false negative of another; FLYP draws examples as they come, as its code does.

use std::path::Path;
use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::loss::cross_entropy;

use crate::base::digest::Digest;
use crate::base::fs::read;
use crate::base::rng::CounterRng;
use crate::catalog::Catalog;
use crate::checkpoint::{Tensors, Weights};
use crate::image::Preprocessor;
use crate::model::clip::{
    CheckpointFolder, Classifier, ClipConfig, TextTokenizer, TextTower, TowerConfig, VisionTower,
    hugging_face, prompts,
};
use crate::model::{Kernels, ModelError, normalise_rows};
use crate::train::backward::{self, Encode, SHARDS};
use crate::train::outputs::{OutputTerm, Parameters, divergence};
use crate::train::pool::Pool;
use crate::train::problem::{Examples, Part, Problem, StepOutcome, Use, Weighing};
use crate::train::{Recipe, TrainError, TunedModel};

/// Images and captions of their classes.
pub(super) struct Captions {
    config: ClipConfig,
    start: Tensors,
    pool: Pool,
    examples: Examples,
    /// Token sequences by class and template.
    tokens: Vec<Vec<Vec<u32>>>,
    by_class: Vec<Vec<usize>>,
    /// Classes that have examples.
    trained: Vec<usize>,
    origin: Origin,
    rng: CounterRng,
    /// Whether the classes of a batch are distinct.
    distinct: bool,
}

/// Where the model comes from.
enum Origin {
    /// Nothing: content of `tokenizer.json`.
    New(Vec<u8>),
    /// A checkpoint.
    Folder(Arc<CheckpointFolder>),
}

impl Captions {
    /// A model drawn anew from `model` and `tokenizer`.
    pub(super) fn new(recipe: &Recipe, catalog: &Catalog) -> std::result::Result<Self, TrainError> {
        let path = recipe.model.as_ref().ok_or_else(|| recipe.mistake("this method needs `model`"))?;
        let bad = |reason: String| ModelError::Config { path: path.clone(), reason };
        let json = serde_json::from_slice(&read(path)?).map_err(|e| bad(e.to_string()))?;
        let config = hugging_face::read(&json).map_err(bad)?;
        config.validate().map_err(bad)?;
        if config.is_siglip() {
            return Err(recipe.mistake("this method makes CLIP models, not SigLIP"));
        }
        if recipe.from.is_some() {
            return Err(recipe.mistake("this method starts from nothing and has no `from`"));
        }
        if recipe.validation.is_some() {
            return Err(recipe.mistake("this method draws classes, not examples, and has no `[validation]`"));
        }
        let pool = Pool::load(recipe, catalog, &Preprocessor::clip(config.vision_config.image_size))?;
        let path =
            recipe.tokenizer.as_ref().ok_or_else(|| recipe.mistake("this method needs `tokenizer`"))?;
        let tokenizer = TextTokenizer::open_file(path, &config.text_config)?;
        let rng = CounterRng::new(recipe.seed, "contrastive");
        let start = initialise(&config, &rng)?;
        Self::assembled(recipe, config, start, pool, &tokenizer, Origin::New(read(path)?), (rng, true))
    }

    /// Contrastive fine-tuning of a checkpoint (FLYP, Goyal et al. 2023, arXiv:2212.00638).
    pub(super) fn load(recipe: &Recipe, catalog: &Catalog) -> std::result::Result<Self, TrainError> {
        let folder = CheckpointFolder::open(recipe.from()?)?;
        folder.check_tunable()?;
        if folder.config.is_siglip() {
            return Err(recipe.mistake("this method tunes CLIP models, not SigLIP"));
        }
        let pool = Pool::load(recipe, catalog, &folder.reader.0)?;
        let mut start = folder.weights.load_all()?;
        // A head of an earlier tuning has no part in it.
        start.remove(Classifier::WEIGHT);
        start.remove(Classifier::BIAS);
        let tokenizer = folder.tokenizer()?;
        let rng = CounterRng::new(recipe.seed, "flyp");
        let (config, origin) = (folder.config.clone(), Origin::Folder(Arc::new(folder)));
        Self::assembled(recipe, config, start, pool, &tokenizer, origin, (rng, false))
    }

    fn assembled(
        recipe: &Recipe,
        config: ClipConfig,
        start: Tensors,
        pool: Pool,
        tokenizer: &TextTokenizer,
        origin: Origin,
        (rng, distinct): (CounterRng, bool),
    ) -> std::result::Result<Self, TrainError> {
        let captions: Vec<Vec<String>> =
            pool.classes.iter().map(|c| prompts(std::slice::from_ref(c), &pool.templates)).collect();
        let tokens: Vec<Vec<Vec<u32>>> =
            captions.iter().map(|c| tokenizer.encode(c)).collect::<std::result::Result<_, _>>()?;
        let largest = tokens.iter().flatten().flatten().copied().max().unwrap_or(0) as usize;
        if largest >= config.text_config.vocab_size {
            let vocabulary = config.text_config.vocab_size;
            return Err(recipe
                .mistake(format!("the tokenizer gives id {largest}, the model has {vocabulary} tokens")));
        }
        let by_class = pool.by_class();
        let trained: Vec<usize> = (0..by_class.len()).filter(|&c| !by_class[c].is_empty()).collect();
        // A step's examples: numbers of classes where they are distinct, of examples otherwise.
        let parts = if distinct { vec![(0..trained.len(), Use::Rest)] } else { pool.parts.clone() };
        Ok(Self {
            config,
            start,
            examples: Examples::new(&parts),
            pool,
            tokens,
            by_class,
            trained,
            origin,
            rng,
            distinct,
        })
    }

    /// Examples and captions of one step.
    fn pairs(&self, step: usize, drawn: &[usize]) -> (Vec<usize>, Vec<Vec<u32>>) {
        let mut rng = self.rng.stream(2).stream(step as u64);
        drawn
            .iter()
            .map(|&i| {
                let example = if self.distinct {
                    let own = &self.by_class[self.trained[i]];
                    own[rng.below(own.len())]
                } else {
                    i
                };
                let captions = &self.tokens[self.pool.labels[example] as usize];
                (example, captions[rng.below(captions.len())].clone())
            })
            .unzip()
    }
}

impl Problem for Captions {
    fn start(&self) -> &Tensors {
        &self.start
    }

    fn part(&self, name: &str) -> Part {
        if name == "logit_scale" || TextTower::owns(name) {
            return Part::Final;
        }
        if name == "visual_projection.weight" {
            return Part::Projector;
        }
        Part::of_stage(VisionTower::stage_of(&self.config, name), self.blocks())
    }

    fn has_classifier(&self) -> bool {
        false
    }

    fn blocks(&self) -> usize {
        VisionTower::stages(&self.config) - 2
    }

    fn examples(&self) -> &Examples {
        &self.examples
    }

    fn rng(&self) -> CounterRng {
        self.rng.stream(1)
    }

    fn digests(&self) -> &[Digest] {
        &self.pool.digests
    }

    fn step(
        &self,
        step: usize,
        weights: &Weighing<'_>,
        parameters: &Parameters,
        examples: &[usize],
        terms: &[&dyn OutputTerm],
    ) -> std::result::Result<StepOutcome, TrainError> {
        if let Some(term) = terms.first() {
            return Err(TrainError::Unfit(format!(
                "`{}` is not defined for contrastive training",
                term.name()
            )));
        }
        let weights = weights()?;
        let vision = VisionTower::new(&self.config, &weights, Kernels::Differentiable)?;
        let text = TextTower::new(&self.config, &weights, Kernels::Differentiable)?;
        let (examples, captions) = self.pairs(step, examples);
        let size = examples.len().div_ceil(SHARDS);
        let mut jobs: Vec<Encode<'_>> = Vec::new();
        for part in examples.chunks(size) {
            let vision = &vision;
            jobs.push(Box::new(move || vision.forward(&self.pool.batch_at(step, part)?)));
        }
        let images = jobs.len();
        for part in captions.chunks(size) {
            let text = &text;
            jobs.push(Box::new(move || text.forward(part)));
        }
        let features = backward::encode(&jobs)?;
        let cuts = backward::cut(&features)?;
        let join = |vars: &[Var]| Tensor::cat(&vars.iter().map(Var::as_tensor).collect::<Vec<_>>(), 0);
        let image = normalise_rows(&join(&cuts[..images])?)?;
        let text = normalise_rows(&join(&cuts[images..])?)?;
        let scale = weights["logit_scale"].exp()?.reshape(())?;
        let logits = image.matmul(&text.t()?)?.broadcast_mul(&scale)?;
        let targets = Tensor::arange(0u32, examples.len() as u32, &Device::Cpu)?;
        let both =
            (cross_entropy(&logits, &targets)? + cross_entropy(&logits.t()?.contiguous()?, &targets)?)?;
        let loss = (both * 0.5)?;
        let hits = logits.argmax(D::Minus1)?.eq(&targets)?.to_dtype(DType::F32)?.mean_all()?;
        let store = loss.backward()?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        Ok(StepOutcome {
            loss: value,
            task: value,
            accuracy: f64::from(hits.to_scalar::<f32>()?),
            gradients: backward::finish(store, &features, &cuts, parameters)?,
        })
    }

    /// Both towers, on pairs as the first step would draw them.
    fn observe(&self, weights: &dyn Weights, examples: &[usize]) -> std::result::Result<(), TrainError> {
        let vision = VisionTower::new(&self.config, weights, Kernels::Inference)?;
        let text = TextTower::new(&self.config, weights, Kernels::Inference)?;
        let (examples, captions) = self.pairs(0, examples);
        for (images, captions) in examples.chunks(64).zip(captions.chunks(64)) {
            vision.forward(&self.pool.batch(images)?)?;
            text.forward(captions)?;
        }
        Ok(())
    }

    fn divergence(
        &self,
        step: usize,
        before: &Tensors,
        after: &Tensors,
        examples: &[usize],
    ) -> std::result::Result<f64, TrainError> {
        let (examples, captions) = self.pairs(step, examples);
        let logits = |weights: &Tensors| -> std::result::Result<Tensor, TrainError> {
            let vision = VisionTower::new(&self.config, weights, Kernels::Inference)?;
            let text = TextTower::new(&self.config, weights, Kernels::Inference)?;
            let image = normalise_rows(&vision.forward(&self.pool.batch_at(step, &examples)?)?)?;
            let text = normalise_rows(&text.forward(&captions)?)?;
            let scale = weights["logit_scale"].exp()?.reshape(())?;
            Ok(image.matmul(&text.t()?)?.broadcast_mul(&scale)?)
        };
        Ok(divergence(&logits(before)?, &logits(after)?)? / examples.len() as f64)
    }

    fn weights_of(&self, path: &Path) -> std::result::Result<Tensors, TrainError> {
        Ok(CheckpointFolder::open(path)?.weights.load_all()?)
    }

    fn finish(&self, weights: Tensors) -> std::result::Result<TunedModel, TrainError> {
        Ok(match &self.origin {
            Origin::Folder(from) => {
                TunedModel::Changed { from: Arc::clone(from), tensors: weights, classifier: None }
            }
            Origin::New(tokenizer) => TunedModel::New {
                config: self.config.clone(),
                tensors: weights,
                tokenizer: tokenizer.clone(),
            },
        })
    }
}

/// OpenAI's initialisation (`CLIP.initialize_parameters`) on our own random numbers.
fn initialise(config: &ClipConfig, rng: &CounterRng) -> Result<Tensors, TrainError> {
    let mut all = Initialiser { rng: rng.stream(0), next: 0, made: Tensors::new() };
    let (v, t) = (&config.vision_config, &config.text_config);
    let (dv, dt, p) = (v.tower.hidden_size, t.tower.hidden_size, v.patch_size);
    let embedding = "vision_model.embeddings";
    all.normal(&format!("{embedding}.class_embedding"), &[dv], (dv as f64).powf(-0.5))?;
    all.normal(
        &format!("{embedding}.patch_embedding.weight"),
        &[dv, 3, p, p],
        ((3 * p * p) as f64).powf(-0.5),
    )?;
    all.normal(
        &format!("{embedding}.position_embedding.weight"),
        &[v.patches() + 1, dv],
        (dv as f64).powf(-0.5),
    )?;
    all.norm("vision_model.pre_layrnorm", dv)?;
    all.blocks("vision_model", &v.tower)?;
    all.norm("vision_model.post_layernorm", dv)?;
    all.normal("visual_projection.weight", &[config.projection_dim, dv], (dv as f64).powf(-0.5))?;
    all.normal("text_model.embeddings.token_embedding.weight", &[t.vocab_size, dt], 0.02)?;
    all.normal("text_model.embeddings.position_embedding.weight", &[t.max_position_embeddings, dt], 0.01)?;
    all.blocks("text_model", &t.tower)?;
    all.norm("text_model.final_layer_norm", dt)?;
    all.normal("text_projection.weight", &[config.projection_dim, dt], (dt as f64).powf(-0.5))?;
    all.constant("logit_scale", &[], config.logit_scale_init_value)?;
    Ok(all.made)
}

struct Initialiser {
    rng: CounterRng,
    next: u64,
    made: Tensors,
}

impl Initialiser {
    fn normal(&mut self, name: &str, shape: &[usize], std: f64) -> Result<(), TrainError> {
        let mut rng = self.rng.stream(self.next);
        self.next += 1;
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| (rng.normal() * std) as f32).collect();
        self.made.insert(name.to_owned(), Tensor::from_vec(values, shape, &Device::Cpu)?);
        Ok(())
    }

    fn constant(&mut self, name: &str, shape: &[usize], value: f64) -> Result<(), TrainError> {
        let values = vec![value as f32; shape.iter().product()];
        self.made.insert(name.to_owned(), Tensor::from_vec(values, shape, &Device::Cpu)?);
        Ok(())
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<(), TrainError> {
        self.constant(&format!("{name}.weight"), &[width], 1.0)?;
        self.constant(&format!("{name}.bias"), &[width], 0.0)
    }

    fn linear(&mut self, name: &str, from: usize, to: usize, std: f64) -> Result<(), TrainError> {
        self.normal(&format!("{name}.weight"), &[to, from], std)?;
        self.constant(&format!("{name}.bias"), &[to], 0.0)
    }

    fn blocks(&mut self, tower: &str, config: &TowerConfig) -> Result<(), TrainError> {
        let (d, h) = (config.hidden_size, config.intermediate_size);
        let attention = (d as f64).powf(-0.5);
        let residual = attention * (2.0 * config.num_hidden_layers as f64).powf(-0.5);
        for layer in 0..config.num_hidden_layers {
            let name = |part: &str| format!("{tower}.encoder.layers.{layer}.{part}");
            self.norm(&name("layer_norm1"), d)?;
            for part in ["q_proj", "k_proj", "v_proj"] {
                self.linear(&name(&format!("self_attn.{part}")), d, d, attention)?;
            }
            self.linear(&name("self_attn.out_proj"), d, d, residual)?;
            self.norm(&name("layer_norm2"), d)?;
            self.linear(&name("mlp.fc1"), d, h, (2.0 * d as f64).powf(-0.5))?;
            self.linear(&name("mlp.fc2"), h, d, residual)?;
        }
        Ok(())
    }
}
