//! Language models: next token on targets, prompts masked. All weights, the last blocks, LoRA, or a new model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::backprop::GradStore;
use candle_core::{D, DType, Device, Tensor, Var};
use rayon::prelude::*;

use crate::base::fs::read;
use crate::base::registry::Named;
use crate::base::rng::CounterRng;
use crate::catalog::Catalog;
use crate::checkpoint::Tensors;
use crate::model::lm::{
    Decoder, DecoderConfig, Forest, LanguageFolder, Scene, Scored, TextReader, new_weights,
};
use crate::model::{Kernels, ModelError};
use crate::train::backward::SHARDS;
use crate::train::low_rank::LowRank;
use crate::train::texts::Texts;
use crate::train::token_loss::token_loss;
use crate::train::{Method, Objective, Recipe, StepOutcome, TrainError, TunedModel};

/// What is trained.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trains {
    Everything,
    LastBlocks,
    LowRank,
    New,
}

/// A way to tune a language model.
pub struct NextToken {
    name: &'static str,
    summary: &'static str,
    trains: Trains,
}

/// All weights.
pub static FULL: NextToken = NextToken {
    name: "lm-full",
    summary: "language model: all weights, next token on targets",
    trains: Trains::Everything,
};
/// The last blocks.
pub static LAST: NextToken = NextToken {
    name: "lm-last-n",
    summary: "language model: the last `last` blocks and the final norm",
    trains: Trains::LastBlocks,
};
/// Low-rank factors.
pub static LORA: NextToken = NextToken {
    name: "lm-lora",
    summary: "language model: LoRA factors (`rank`, `lora_alpha`, `targets`); writes an adapter",
    trains: Trains::LowRank,
};
/// A new model.
pub static NEW: NextToken = NextToken {
    name: "lm-new",
    summary: "language model from `model` (config.json) and `tokenizer`, all weights drawn anew",
    trains: Trains::New,
};

impl Named for NextToken {
    fn name(&self) -> &'static str {
        self.name
    }
    fn summary(&self) -> &'static str {
        self.summary
    }
    fn reference(&self) -> &'static str {
        if self.trains == Trains::LowRank {
            "arXiv:2106.09685; huggingface/peft"
        } else {
            "torch cross_entropy"
        }
    }
}

impl Method for NextToken {
    fn prepare(&self, recipe: &Recipe, catalog: &Catalog) -> Result<Box<dyn Objective>, TrainError> {
        if recipe.penalty.is_some() {
            return Err(recipe.mistake(format!("`{}` has no penalty", self.name)));
        }
        let opened = self.open(recipe)?;
        let texts = Texts::load(recipe, catalog, &opened.reader)?;
        let mut weights = opened.weights;
        let mut parameters = BTreeMap::new();
        let mut low_rank = None;
        if self.trains == Trains::LowRank {
            low_rank = Some(LowRank::new(recipe, &weights, &mut parameters)?);
        } else {
            let first = match self.trains {
                Trains::LastBlocks => opened.config.layers.saturating_sub(recipe.last) + 1,
                _ => 0,
            };
            for (name, tensor) in &mut weights {
                let trained = Decoder::stage_of(&opened.config, name).is_some_and(|stage| stage >= first);
                // The vocabulary stays where only the last blocks move.
                let vocabulary = *name == format!("{}.weight", opened.config.names.head);
                if trained && !(self.trains == Trains::LastBlocks && vocabulary) {
                    let var = Var::from_tensor(tensor)?;
                    *tensor = var.as_tensor().clone();
                    parameters.insert(name.clone(), var);
                }
            }
        }
        Ok(Box::new(Learning {
            batch: recipe.batch.min(texts.all.len()),
            rng: CounterRng::new(recipe.seed, "language"),
            config: opened.config,
            files: opened.files,
            weights,
            parameters,
            low_rank,
            texts,
        }))
    }
}

/// What training starts from.
struct Opened {
    config: DecoderConfig,
    reader: TextReader,
    weights: Tensors,
    /// Files that go with the result.
    files: Vec<(String, Vec<u8>)>,
}

impl NextToken {
    fn open(&self, recipe: &Recipe) -> Result<Opened, TrainError> {
        if self.trains == Trains::New {
            let need = |path: &Option<PathBuf>, key: &str| {
                path.clone().ok_or_else(|| recipe.mistake(format!("this method needs `{key}`")))
            };
            let (model, tokenizer) = (need(&recipe.model, "model")?, need(&recipe.tokenizer, "tokenizer")?);
            let folder = tokenizer.parent().unwrap_or(Path::new("."));
            let (config, reader) = LanguageFolder::parts(&model, folder)?;
            let weights = new_weights(&config, &CounterRng::new(recipe.seed, "weights"))?;
            let mut files = LanguageFolder::text_files(folder)?;
            files.push(("config.json".to_owned(), read(&model)?));
            return Ok(Opened { config, reader, weights, files });
        }
        let from = recipe.from.as_deref().ok_or_else(|| recipe.mistake("this method needs `from`"))?;
        let folder = LanguageFolder::open_any(from)?;
        let weights = folder.weights.load_all()?;
        let files = folder.files()?;
        Ok(Opened { config: folder.config, reader: folder.reader, weights, files })
    }
}

/// A model under training.
struct Learning {
    config: DecoderConfig,
    files: Vec<(String, Vec<u8>)>,
    /// All weights; the trained ones are variables.
    weights: Tensors,
    parameters: BTreeMap<String, Var>,
    low_rank: Option<LowRank>,
    texts: Texts,
    batch: usize,
    rng: CounterRng,
}

impl Learning {
    /// Examples of one step: a stretch of a permutation of all examples.
    fn draw(&self, step: usize) -> Vec<usize> {
        let n = self.texts.all.len();
        let per_epoch = (n / self.batch).max(1);
        let (epoch, place) = (step / per_epoch, step % per_epoch);
        let order = self.rng.stream(epoch as u64).permutation(n);
        order[place * self.batch..(place + 1) * self.batch].to_vec()
    }

    /// Sum of the loss of some examples over `total` tokens, tokens that are predicted right, and gradients.
    fn shard(&self, examples: &[&Scored], total: usize) -> candle_core::Result<(f64, f64, GradStore)> {
        let changed =
            self.low_rank.as_ref().map(|l| l.applied(&self.weights, &self.parameters)).transpose()?;
        let weights = changed.as_ref().unwrap_or(&self.weights);
        let decoder =
            Decoder::new(&self.config, weights, Kernels::Differentiable).map_err(candle_core::Error::wrap)?;
        let forest = Forest::chains(examples.iter().map(|s| &s.tokens[..s.tokens.len() - 1]));
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for (segment, example) in forest.segments.iter().zip(examples) {
            let first = example.tokens.len() - example.scored;
            rows.extend((first..example.tokens.len()).map(|i| (segment.start + i - 1) as u32));
            targets.extend_from_slice(&example.tokens[first..]);
        }
        let n = rows.len();
        let scene = Scene::new(&self.config, forest, &[], DType::F32, &Device::Cpu)?;
        let x = decoder.embed(&scene, DType::F32)?;
        let x = decoder.blocks(&x, &scene, 0..self.config.layers, None)?;
        let logits = decoder.logits(&x.index_select(&Tensor::from_vec(rows, n, &Device::Cpu)?, 0)?)?;
        let right = Tensor::from_slice(&targets, n, &Device::Cpu)?;
        let hits = logits.detach().argmax(D::Minus1)?.eq(&right)?.to_dtype(DType::F32)?.sum_all()?;
        let loss = (token_loss(&logits, targets)? * (1.0 / total as f64))?;
        let gradients = loss.backward()?;
        Ok((f64::from(loss.to_scalar::<f32>()?), f64::from(hits.to_scalar::<f32>()?), gradients))
    }
}

impl Objective for Learning {
    fn parameters(&self) -> &BTreeMap<String, Var> {
        &self.parameters
    }

    fn step(&self, step: usize) -> Result<StepOutcome, TrainError> {
        let examples: Vec<&Scored> = self.draw(step).into_iter().map(|i| &self.texts.all[i]).collect();
        let total: usize = examples.iter().map(|e| e.scored).sum();
        let parts: Vec<&[&Scored]> = examples.chunks(examples.len().div_ceil(SHARDS)).collect();
        let shards: Vec<(f64, f64, GradStore)> = parts
            .par_iter()
            .map(|part| self.shard(part, total))
            .collect::<candle_core::Result<_>>()
            .map_err(|e| TrainError::Model(ModelError::compute("training step")(e)))?;
        let (mut loss, mut hits) = (0.0, 0.0);
        let mut gradients: Option<GradStore> = None;
        for (own_loss, own_hits, store) in shards {
            (loss, hits) = (loss + own_loss, hits + own_hits);
            let Some(sum) = &mut gradients else {
                gradients = Some(store);
                continue;
            };
            for var in self.parameters.values() {
                let both = match (sum.remove(var.as_tensor()), store.get(var.as_tensor())) {
                    (Some(a), Some(b)) => Some((a + b)?),
                    (a, b) => a.or_else(|| b.cloned()),
                };
                both.map(|g| sum.insert(var.as_tensor(), g));
            }
        }
        let gradients =
            gradients.ok_or_else(|| TrainError::Model(ModelError::Unlike("an empty batch".to_owned())))?;
        Ok(StepOutcome { loss, accuracy: hits / total as f64, gradients })
    }

    fn finish(&self) -> Result<TunedModel, TrainError> {
        let trained = |(name, var): (&String, &Var)| (name.clone(), var.as_tensor().clone());
        Ok(match &self.low_rank {
            Some(low_rank) => TunedModel::Adapter {
                config: low_rank.config(),
                tensors: self.parameters.iter().map(trained).collect(),
            },
            None => {
                let mut tensors = self.weights.clone();
                tensors.extend(self.parameters.iter().map(trained));
                TunedModel::Language { files: self.files.clone(), tensors }
            }
        })
    }
}
