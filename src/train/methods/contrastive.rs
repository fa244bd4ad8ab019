//! Contrastive pretraining on image-caption pairs (Radford et al. 2021, figure 3).
//!
//! Captions are the class names in a randomly chosen template of the data set. The classes of a
//! batch are distinct, so that no caption is a false negative of another.

use std::collections::BTreeMap;

use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::loss::cross_entropy;

use crate::base::fs::read;
use crate::base::registry::Named;
use crate::base::rng::CounterRng;
use crate::catalog::Catalog;
use crate::checkpoint::Tensors;
use crate::image::Preprocessor;
use crate::model::Kernels;
use crate::model::clip::{
    ClipConfig, TextTokenizer, TextTower, TowerConfig, VisionTower, hugging_face, prompts,
};
use crate::model::{ModelError, normalise_rows};
use crate::train::backward::{self, Encode, SHARDS};
use crate::train::pool::Pool;
use crate::train::{Method, Objective, Recipe, StepOutcome, TrainError, TunedModel};

/// The method.
pub(super) struct Contrastive;

impl Named for Contrastive {
    fn name(&self) -> &'static str {
        "contrastive"
    }
    fn summary(&self) -> &'static str {
        "contrastive pretraining from scratch on captions made of class names and templates"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2103.00020, section 2.3"
    }
}

impl Method for Contrastive {
    fn prepare(&self, recipe: &Recipe, catalog: &Catalog) -> Result<Box<dyn Objective>, TrainError> {
        let path = recipe.model.as_ref().ok_or_else(|| recipe.mistake("this method needs `model`"))?;
        let bad = |reason: String| ModelError::Config { path: path.clone(), reason };
        let json = serde_json::from_slice(&read(path)?).map_err(|e| bad(e.to_string()))?;
        let config = hugging_face::read(&json).map_err(bad)?;
        config.validate().map_err(bad)?;
        if config.is_siglip() {
            return Err(recipe.mistake("this method makes CLIP models, not SigLIP"));
        }
        for (key, given) in [("from", recipe.from.is_some()), ("penalty", recipe.penalty.is_some())] {
            if given {
                return Err(recipe.mistake(format!("`contrastive` starts from nothing and has no `{key}`")));
            }
        }
        let preprocessor = Preprocessor::clip(config.vision_config.image_size);
        let pool = Pool::load(recipe, catalog, &preprocessor)?;
        let captions: Vec<Vec<String>> =
            pool.classes.iter().map(|c| prompts(std::slice::from_ref(c), &pool.templates)).collect();
        let tokenizer_path =
            recipe.tokenizer.as_ref().ok_or_else(|| recipe.mistake("this method needs `tokenizer`"))?;
        let tokenizer = TextTokenizer::open_file(tokenizer_path, &config.text_config)?;
        let tokens: Vec<Vec<Vec<u32>>> =
            captions.iter().map(|c| tokenizer.encode(c)).collect::<Result<_, _>>()?;
        let largest = tokens.iter().flatten().flatten().copied().max().unwrap_or(0) as usize;
        if largest >= config.text_config.vocab_size {
            let vocabulary = config.text_config.vocab_size;
            return Err(recipe
                .mistake(format!("the tokenizer gives id {largest}, the model has {vocabulary} tokens")));
        }

        let rng = CounterRng::new(recipe.seed, "contrastive");
        let parameters = initialise(&config, &rng)?;
        let tensors: Tensors =
            parameters.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let by_class = pool.by_class();
        let trained: Vec<usize> = (0..by_class.len()).filter(|&c| !by_class[c].is_empty()).collect();
        Ok(Box::new(Pretraining {
            vision: VisionTower::new(&config, &tensors, Kernels::Differentiable)?,
            text: TextTower::new(&config, &tensors, Kernels::Differentiable)?,
            batch: recipe.batch.min(trained.len()),
            tokenizer: read(tokenizer_path)?,
            config,
            parameters,
            pool,
            tokens,
            by_class,
            trained,
            rng,
        }))
    }
}

struct Pretraining {
    config: ClipConfig,
    parameters: BTreeMap<String, Var>,
    vision: VisionTower,
    text: TextTower,
    pool: Pool,
    /// Token sequences by class and template.
    tokens: Vec<Vec<Vec<u32>>>,
    by_class: Vec<Vec<usize>>,
    /// Classes that have examples.
    trained: Vec<usize>,
    batch: usize,
    tokenizer: Vec<u8>,
    rng: CounterRng,
}

impl Pretraining {
    /// Examples and captions of one step: a stretch of a permutation of the classes.
    fn draw(&self, step: usize) -> (Vec<usize>, Vec<Vec<u32>>) {
        let per_round = self.trained.len() / self.batch;
        let (round, place) = (step / per_round, step % per_round);
        let order = self.rng.stream(1).stream(round as u64).permutation(self.trained.len());
        let mut rng = self.rng.stream(2).stream(step as u64);
        order[place * self.batch..(place + 1) * self.batch]
            .iter()
            .map(|&slot| {
                let class = self.trained[slot];
                let examples = &self.by_class[class];
                let captions = &self.tokens[class];
                let example = examples[rng.below(examples.len())];
                (example, captions[rng.below(captions.len())].clone())
            })
            .unzip()
    }
}

impl Objective for Pretraining {
    fn parameters(&self) -> &BTreeMap<String, Var> {
        &self.parameters
    }

    fn step(&self, step: usize) -> Result<StepOutcome, TrainError> {
        let (examples, captions) = self.draw(step);
        let size = examples.len().div_ceil(SHARDS);
        let mut jobs: Vec<Encode<'_>> = Vec::new();
        for part in examples.chunks(size) {
            jobs.push(Box::new(move || self.vision.forward(&self.pool.batch(part)?)));
        }
        let images = jobs.len();
        for part in captions.chunks(size) {
            jobs.push(Box::new(move || self.text.forward(part)));
        }
        let features = backward::encode(&jobs)?;
        let cuts = backward::cut(&features)?;
        let join = |vars: &[Var]| Tensor::cat(&vars.iter().map(Var::as_tensor).collect::<Vec<_>>(), 0);
        let image = normalise_rows(&join(&cuts[..images])?)?;
        let text = normalise_rows(&join(&cuts[images..])?)?;
        let scale = self.parameters["logit_scale"].as_tensor().exp()?;
        let logits = image.matmul(&text.t()?)?.broadcast_mul(&scale)?;
        let targets = Tensor::arange(0u32, examples.len() as u32, &Device::Cpu)?;
        let both =
            (cross_entropy(&logits, &targets)? + cross_entropy(&logits.t()?.contiguous()?, &targets)?)?;
        let loss = (both * 0.5)?;
        let hits = logits.argmax(D::Minus1)?.eq(&targets)?.to_dtype(DType::F32)?.mean_all()?;
        let store = loss.backward()?;
        Ok(StepOutcome {
            loss: f64::from(loss.to_scalar::<f32>()?),
            accuracy: f64::from(hits.to_scalar::<f32>()?),
            gradients: backward::finish(store, &features, &cuts, &self.parameters)?,
        })
    }

    fn finish(&self) -> Result<TunedModel, TrainError> {
        let tensors =
            self.parameters.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        Ok(TunedModel::New { config: self.config.clone(), tensors, tokenizer: self.tokenizer.clone() })
    }
}

/// OpenAI's initialisation (`CLIP.initialize_parameters`) on our own random numbers.
fn initialise(config: &ClipConfig, rng: &CounterRng) -> Result<BTreeMap<String, Var>, TrainError> {
    let mut all = Initialiser { rng: rng.stream(0), next: 0, made: BTreeMap::new() };
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
    made: BTreeMap<String, Var>,
}

impl Initialiser {
    fn normal(&mut self, name: &str, shape: &[usize], std: f64) -> Result<(), TrainError> {
        let mut rng = self.rng.stream(self.next);
        self.next += 1;
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| (rng.normal() * std) as f32).collect();
        let var = Var::from_vec(values, shape, &Device::Cpu)?;
        self.made.insert(name.to_owned(), var);
        Ok(())
    }

    fn constant(&mut self, name: &str, shape: &[usize], value: f64) -> Result<(), TrainError> {
        let values = vec![value as f32; shape.iter().product()];
        self.made.insert(name.to_owned(), Var::from_vec(values, shape, &Device::Cpu)?);
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
