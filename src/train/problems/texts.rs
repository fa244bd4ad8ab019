//! Language models: next token on targets, prompts masked.

use std::path::{Path, PathBuf};

use candle_core::backprop::GradStore;
use candle_core::{D, DType, Device, Result, Tensor};
use rayon::prelude::*;

use crate::base::digest::Digest;
use crate::base::fs::read;
use crate::base::rng::CounterRng;
use crate::catalog::Catalog;
use crate::checkpoint::{Tensors, Weights};
use crate::model::lm::{
    Decoder, DecoderConfig, Forest, LanguageFolder, Scene, Scored, TextReader, new_weights,
};
use crate::model::{Kernels, ModelError};
use crate::train::backward::SHARDS;
use crate::train::outputs::{OutputTerm, Outputs, Parameters, divergence};
use crate::train::problem::{Examples, Part, Problem, StepOutcome, Weighing, add_gradients};
use crate::train::sequences::TrainingTexts;
use crate::train::token_loss::token_loss;
use crate::train::{Recipe, TrainError, TunedModel};

/// Texts, and the model that learns them.
pub(super) struct Texts {
    config: DecoderConfig,
    /// Configuration and tokenizer: name in the result, and content.
    files: Vec<(String, Vec<u8>)>,
    start: Tensors,
    texts: TrainingTexts,
    examples: Examples,
    seed: u64,
}

impl Texts {
    /// A checkpoint.
    pub(super) fn load(recipe: &Recipe, catalog: &Catalog) -> std::result::Result<Self, TrainError> {
        let folder = LanguageFolder::open_any(recipe.from()?)?;
        let (start, files) = (folder.weights.load_all()?, folder.files()?);
        Self::assembled(recipe, catalog, folder.config, &folder.reader, (start, files))
    }

    /// A model drawn anew from `model` and `tokenizer`.
    pub(super) fn new(recipe: &Recipe, catalog: &Catalog) -> std::result::Result<Self, TrainError> {
        let need = |path: &Option<PathBuf>, key: &str| {
            path.clone().ok_or_else(|| recipe.mistake(format!("this method needs `{key}`")))
        };
        let (model, tokenizer) = (need(&recipe.model, "model")?, need(&recipe.tokenizer, "tokenizer")?);
        let folder = tokenizer.parent().unwrap_or(Path::new("."));
        let (config, reader) = LanguageFolder::parts(&model, folder)?;
        let weights = new_weights(&config, &CounterRng::new(recipe.seed, "weights"))?;
        let mut files = LanguageFolder::text_files(folder)?;
        files.push(("config.json".to_owned(), read(&model)?));
        Self::assembled(recipe, catalog, config, &reader, (weights, files))
    }

    fn assembled(
        recipe: &Recipe,
        catalog: &Catalog,
        config: DecoderConfig,
        reader: &TextReader,
        (start, files): (Tensors, Vec<(String, Vec<u8>)>),
    ) -> std::result::Result<Self, TrainError> {
        if recipe.crop.is_some() {
            return Err(recipe.mistake("`crop` and `flip` are about images; these data are texts"));
        }
        let texts = TrainingTexts::load(recipe, catalog, reader)?;
        let examples = Examples::new(&texts.parts);
        Ok(Self { config, files, start, texts, examples, seed: recipe.seed })
    }

    /// Logits of the scored tokens of some examples, and those tokens.
    fn logits(
        &self,
        weights: &dyn Weights,
        examples: &[&Scored],
        kernels: Kernels,
    ) -> Result<(Tensor, Vec<u32>)> {
        let decoder = Decoder::new(&self.config, weights, kernels).map_err(candle_core::Error::wrap)?;
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
        Ok((logits, targets))
    }

    /// Loss, task loss, tokens predicted right (all divided by `total`), and gradients, of a part of a batch.
    fn shard(
        &self,
        weights: &Weighing<'_>,
        examples: &[&Scored],
        total: usize,
        terms: &[&dyn OutputTerm],
    ) -> Result<([f64; 3], GradStore)> {
        let (logits, targets) = self.logits(&weights()?, examples, Kernels::Differentiable)?;
        let n = targets.len();
        let right = Tensor::from_slice(&targets, n, &Device::Cpu)?;
        let hits = logits.detach().argmax(D::Minus1)?.eq(&right)?.to_dtype(DType::F32)?.sum_all()?;
        let task = (token_loss(&logits, targets)? * (1.0 / total as f64))?;
        let mut loss = task.clone();
        if !terms.is_empty() {
            let outputs = |logits: Tensor| Outputs {
                logits,
                features: None,
                classes: None,
                captions: None,
                tuned: None,
                scale: 1.0,
                targets: right.clone(),
            };
            let teacher = outputs(self.logits(&self.start, examples, Kernels::Inference)?.0.detach());
            let student = outputs(logits);
            for term in terms {
                loss = (loss + (term.sum(&student, &teacher)? / total as f64)?)?;
            }
        }
        let gradients = loss.backward()?;
        let value = |t: &Tensor| -> Result<f64> { Ok(f64::from(t.to_scalar::<f32>()?)) };
        Ok(([value(&loss)?, value(&task)?, value(&hits)? / total as f64], gradients))
    }
}

impl Problem for Texts {
    fn start(&self) -> &Tensors {
        &self.start
    }

    fn part(&self, name: &str) -> Part {
        // The vocabulary stays where only the last blocks move.
        if *name == format!("{}.weight", self.config.names.head) {
            return Part::Head;
        }
        Part::of_stage(Decoder::stage_of(&self.config, name), self.config.layers)
    }

    fn has_classifier(&self) -> bool {
        false
    }

    fn blocks(&self) -> usize {
        self.config.layers
    }

    fn examples(&self) -> &Examples {
        &self.examples
    }

    fn rng(&self) -> CounterRng {
        CounterRng::new(self.seed, "language")
    }

    fn digests(&self) -> &[Digest] {
        &self.texts.digests
    }

    fn step(
        &self,
        _: usize,
        weights: &Weighing<'_>,
        parameters: &Parameters,
        examples: &[usize],
        terms: &[&dyn OutputTerm],
    ) -> std::result::Result<StepOutcome, TrainError> {
        let examples: Vec<&Scored> = examples.iter().map(|&i| &self.texts.all[i]).collect();
        let total: usize = examples.iter().map(|e| e.scored).sum();
        let parts: Vec<&[&Scored]> = examples.chunks(examples.len().div_ceil(SHARDS)).collect();
        let shards: Vec<([f64; 3], GradStore)> = parts
            .par_iter()
            .map(|part| self.shard(weights, part, total, terms))
            .collect::<Result<_>>()
            .map_err(|e| TrainError::Model(ModelError::compute("training step")(e)))?;
        let mut sums = [0.0; 3];
        let mut gradients: Option<GradStore> = None;
        for (own, store) in shards {
            sums.iter_mut().zip(own).for_each(|(sum, value)| *sum += value);
            match &mut gradients {
                Some(all) => add_gradients(all, &store, parameters, 1.0)?,
                None => gradients = Some(store),
            }
        }
        let gradients =
            gradients.ok_or_else(|| TrainError::Model(ModelError::Unlike("an empty batch".to_owned())))?;
        Ok(StepOutcome { loss: sums[0], task: sums[1], accuracy: sums[2], gradients })
    }

    fn observe(&self, weights: &dyn Weights, examples: &[usize]) -> std::result::Result<(), TrainError> {
        for part in examples.chunks(8) {
            let scored: Vec<&Scored> = part.iter().map(|&i| &self.texts.all[i]).collect();
            self.logits(weights, &scored, Kernels::Inference)?;
        }
        Ok(())
    }

    fn divergence(
        &self,
        _: usize,
        before: &Tensors,
        after: &Tensors,
        examples: &[usize],
    ) -> std::result::Result<f64, TrainError> {
        let (mut sum, mut rows) = (0.0, 0);
        // A few at a time: a vocabulary is wide.
        for part in examples.chunks(2) {
            let scored: Vec<&Scored> = part.iter().map(|&i| &self.texts.all[i]).collect();
            let (before, _) = self.logits(before, &scored, Kernels::Inference)?;
            let (after, targets) = self.logits(after, &scored, Kernels::Inference)?;
            sum += divergence(&before, &after)?;
            rows += targets.len();
        }
        Ok(sum / rows.max(1) as f64)
    }

    fn weights_of(&self, path: &Path) -> std::result::Result<Tensors, TrainError> {
        let folder = LanguageFolder::open_any(path)?;
        if folder.config != self.config {
            return Err(TrainError::Unfit(format!("`{}` is another model", path.display())));
        }
        Ok(folder.weights.load_all()?)
    }

    fn finish(&self, weights: Tensors) -> std::result::Result<TunedModel, TrainError> {
        Ok(TunedModel::Language { files: self.files.clone(), tensors: weights })
    }
}
