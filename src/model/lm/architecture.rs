//! Language models as the engine sees them.

use std::any::Any;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::attention::Scene;
use super::decoder::Decoder;
use super::families::Family;
use super::folder::{LanguageFolder, family};
use super::forest::{Forest, Sequences};
use super::generate::generate;
use super::halves::in_halves;
use super::reader::Prompt;
use super::score::score;
use super::tokenizer::LanguageTokenizer;
use super::written::{no_heads, write_whole};
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::registry::Named;
use crate::checkpoint::{Tensors, Weights};
use crate::merge::Combination;
use crate::model::{
    Architecture, Head, Input, Kernels, Model, ModelError, ModelType, Placement, Reader, State, Tokens,
    WrittenHeads,
};
use crate::task::{Answer, AskKind, Candidates};

impl Named for Family {
    fn name(&self) -> &'static str {
        self.name
    }
    fn summary(&self) -> &'static str {
        self.summary
    }
    fn reference(&self) -> &'static str {
        self.reference
    }
}

impl ModelType for Family {
    fn claims(&self, folder: &Path) -> bool {
        family(folder).is_some_and(|f| std::ptr::eq(f, self))
    }

    fn open(&'static self, folder: &Path, _: Option<&[String]>) -> Result<Arc<dyn Architecture>, ModelError> {
        Ok(Arc::new(LanguageFolder::open(folder, self)?))
    }
}

/// What the stages of a batch share besides hidden states.
enum Batch {
    Score(Questions),
    Generate(Vec<Prompt>),
}

/// Questions whose sequences are scored.
struct Questions {
    all: Vec<Sequences>,
    share: bool,
    scene: Scene,
    /// The device had no memory for the stages that variants share: nothing was computed yet.
    too_large: AtomicBool,
}

impl Architecture for LanguageFolder {
    fn model_type(&self) -> &'static str {
        self.family.name
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn weights(&self) -> &Arc<dyn Weights> {
        &self.weights
    }

    fn facts(&self) -> Result<Vec<(&'static str, String)>, ModelError> {
        let c = &self.config;
        let tokenizer = &self.reader.tokenizer;
        let special = |t: &Option<(u32, String)>| t.as_ref().map_or("none", |t| &t.1).to_owned();
        let values: usize = c.tensors().values().map(|s| s.iter().product::<usize>()).sum();
        Ok(vec![
            ("model", self.family.summary.to_owned()),
            ("parameters", values.to_string()),
            (
                "decoder",
                format!("width {}, {} blocks, {} heads, {} of keys", c.width, c.layers, c.heads, c.kv_heads),
            ),
            ("vocabulary", format!("{}{}", c.vocab_size, if c.tied { ", tied" } else { "" })),
            ("positions", format!("{}, {}", c.length, c.positions)),
            ("first token", special(&tokenizer.bos)),
            ("last token", special(&tokenizer.eos)),
            ("chat template", if tokenizer.chat.is_some() { "yes" } else { "no" }.to_owned()),
        ])
    }

    fn can(&self, ask: AskKind) -> Result<(), String> {
        match ask {
            AskKind::Choose => Err("a language model reads texts; it needs a probe with a `task`".to_owned()),
            AskKind::Likelihood | AskKind::Generate => Ok(()),
            AskKind::Chat if self.reader.tokenizer.chat.is_some() => Ok(()),
            AskKind::Chat => Err("it has no chat template".to_owned()),
        }
    }

    fn reader(&self) -> &dyn Reader {
        &self.reader
    }

    fn digest(&self, digests: &FileDigests) -> Result<Digest, ModelError> {
        Ok(Digest::of_value(&(self.weights.digest(digests)?, &self.config, &self.ends)))
    }

    fn tokenizer_digest(&self) -> Result<Digest, ModelError> {
        Ok(self.reader.tokenizer.digest().clone())
    }

    fn differs_from(
        &self,
        other: &dyn Architecture,
        _: &[&Candidates],
    ) -> Result<Option<&'static str>, ModelError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(Some("model type")) };
        Ok(if self.config != other.config {
            Some("configuration")
        } else if self.reader.digest() != other.reader.digest() {
            Some("tokenizer")
        } else {
            None
        })
    }

    fn over(&self, path: &Path, _: Option<&[String]>) -> Result<Arc<dyn Architecture>, ModelError> {
        Ok(Arc::new(Self::open_over(path, self)?))
    }

    fn combined(
        &self,
        weights: Combination,
        others: &[Arc<dyn Architecture>],
        base: Option<&Arc<dyn Architecture>>,
    ) -> Result<Arc<dyn Architecture>, ModelError> {
        for other in others.iter().chain(base) {
            if let Some(what) = self.differs_from(&**other, &[])? {
                let (a, b) = (self.path.display(), other.path().display());
                return Err(ModelError::Unlike(format!("`{a}` and `{b}` differ in their {what}")));
            }
        }
        Ok(Arc::new(self.with_weights(weights)))
    }

    fn write(&self, out: &Path, dtype: Option<DType>, heads: WrittenHeads<'_>) -> Result<(), ModelError> {
        no_heads(heads.templates.is_some() || heads.dropped).map_err(ModelError::Unlike)?;
        write_whole(self, out, dtype)
    }

    fn stages(&self) -> usize {
        Decoder::stages(&self.config)
    }

    fn stage_of(&self, tensor: &str) -> Option<usize> {
        Decoder::stage_of(&self.config, tensor)
    }

    fn build(&self, weights: &dyn Weights, placement: &Placement) -> Result<Box<dyn Model>, ModelError> {
        // Tensors are widened and placed on all threads; the decoder then takes them by name.
        let (placed, names) = (placement.of(weights), self.config.tensors());
        let load = |name: &String| Ok((name.clone(), placed.load(name)?));
        let tensors: Tensors =
            names.par_iter().map(|(name, _)| load(name)).collect::<Result<_, ModelError>>()?;
        Ok(Box::new(PlacedDecoder {
            decoder: Decoder::new(&self.config, &tensors, Kernels::Inference)?,
            tokenizer: Arc::clone(&self.reader.tokenizer),
            ends: self.ends.clone(),
            dtype: placement.activations(),
            device: placement.device.clone(),
            halved: Arc::clone(&placement.halved),
        }))
    }

    /// Groups of about equal size, of at most 64 tokens for each example of the batch size, and as many as there are threads
    /// at least: each thread works on one.
    fn groups(&self, inputs: &[&Input], batch: usize) -> Vec<Vec<usize>> {
        let size = |input: &&Input| match input {
            Input::Score(sequences) => sequences.shared(),
            Input::Generate(prompt) => prompt.tokens.len() + prompt.limit,
            Input::Image(_) => 0,
        };
        let sizes: Vec<usize> = inputs.iter().map(size).collect();
        let threads = rayon::current_num_threads();
        let needed = sizes.iter().sum::<usize>().div_ceil(batch * TOKENS).max(1);
        let count = needed.next_multiple_of(threads).min(inputs.len());
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(sizes[i]), i));
        let mut groups: Vec<(usize, Vec<usize>)> = vec![(0, Vec::new()); count];
        for i in order {
            // The largest that is left goes to the group with the least.
            if let Some(group) = groups.iter_mut().min_by_key(|g| g.0) {
                group.0 += sizes[i];
                group.1.push(i);
            }
        }
        groups.into_iter().map(|g| g.1).collect()
    }

    fn batch(&self, inputs: &[Input], placement: &Placement, share: bool) -> Result<State, ModelError> {
        let wrap = |e| ModelError::compute("input batch")(e);
        let mut sequences: Vec<Sequences> = Vec::new();
        let mut prompts = Vec::new();
        for input in inputs {
            match input {
                Input::Score(s) => sequences.push(s.clone()),
                Input::Generate(p) => prompts.push(p.clone()),
                Input::Image(_) => {
                    return Err(ModelError::Unlike("a language model reads no image".to_owned()));
                }
            }
        }
        let nothing = Tensor::zeros(1, DType::F32, &Device::Cpu).map_err(wrap)?;
        if !prompts.is_empty() {
            return Ok(State::new(nothing).with(Arc::new(Batch::Generate(prompts))));
        }
        let alone = sequences.iter().map(Sequences::unshared).sum();
        let forest = Forest::of(&sequences, share);
        let tokens = Tokens { computed: forest.tokens.len(), alone };
        let scene = Scene::new(&self.config, forest, &[], placement.activations(), &placement.device);
        let scene = scene.map_err(wrap)?;
        let batch =
            Batch::Score(Questions { all: sequences, share, scene, too_large: AtomicBool::new(false) });
        Ok(State::new(nothing).with(Arc::new(batch)).counting(tokens))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Tokens of a batch for each example that `--batch` asks for.
const TOKENS: usize = 64;

/// A decoder on its device, and what turns tokens into text.
struct PlacedDecoder {
    decoder: Decoder,
    tokenizer: Arc<LanguageTokenizer>,
    ends: Vec<u32>,
    dtype: DType,
    device: Device,
    halved: Arc<AtomicUsize>,
}

impl PlacedDecoder {
    /// Scores questions from the first stage on.
    fn score(&self, questions: &[Sequences], share: bool) -> Result<Vec<Answer>, ModelError> {
        let wrap = |e| ModelError::compute("decoder")(e);
        let forest = Forest::of(questions, share);
        let scene = Scene::new(&self.decoder.config, forest, &[], self.dtype, &self.device).map_err(wrap)?;
        let nothing = Tensor::zeros(1, DType::F32, &Device::Cpu).map_err(wrap)?;
        self.likelihoods(&nothing, &scene, 0)
    }

    /// Runs the stages from `from` on, and scores.
    fn likelihoods(&self, x: &Tensor, scene: &Scene, from: usize) -> Result<Vec<Answer>, ModelError> {
        let x = self.run(x, scene, from..Decoder::stages(&self.decoder.config));
        let scores = x.and_then(|x| score(&self.decoder, &x, &scene.forest));
        let scores = scores.map_err(ModelError::compute("decoder"))?;
        Ok(scores.into_iter().map(Answer::Likelihoods).collect())
    }

    /// Scores a batch from the stage that it is at; in halves if the device has no memory for it.
    fn finish_scores(
        &self,
        state: &State,
        from: usize,
        batch: &Questions,
    ) -> Result<Vec<Answer>, ModelError> {
        let going_on = |questions: &[Sequences]| {
            if questions.len() < batch.all.len() {
                return self.score(questions, batch.share);
            }
            if batch.too_large.load(Ordering::Relaxed) {
                let full =
                    candle_core::Error::msg("CUDA_ERROR_OUT_OF_MEMORY in the stages that variants share");
                return Err(ModelError::compute("decoder")(full));
            }
            self.likelihoods(state.tensor(), &batch.scene, from)
        };
        in_halves(&batch.all, &going_on, &self.halved)
    }

    /// Runs stages below the last one.
    fn run(&self, x: &Tensor, scene: &Scene, stages: Range<usize>) -> candle_core::Result<Tensor> {
        let mut x = x.clone();
        if stages.contains(&0) {
            x = self.decoder.embed(scene, self.dtype)?;
        }
        let last = self.decoder.config.layers;
        let blocks = stages.start.max(1) - 1..stages.end.clamp(1, last + 1) - 1;
        self.decoder.blocks(&x, scene, blocks, None)
    }

    fn of(state: &State) -> Result<&Batch, ModelError> {
        let found = state.extra().and_then(|extra| extra.downcast_ref::<Batch>());
        found.ok_or_else(|| ModelError::Unlike("a batch that is not of texts".to_owned()))
    }
}

impl Model for PlacedDecoder {
    fn lead(&self, state: &State, stages: Range<usize>) -> Result<State, ModelError> {
        match Self::of(state)? {
            // Each new token needs all stages.
            Batch::Generate(_) => Ok(state.clone()),
            Batch::Score(batch) => {
                let x = self.run(state.tensor(), &batch.scene, stages);
                match x.map_err(ModelError::compute("decoder")) {
                    Ok(x) => Ok(state.at(x)),
                    Err(error) if error.is_out_of_memory() => {
                        batch.too_large.store(true, Ordering::Relaxed);
                        Ok(state.clone())
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn finish(
        &self,
        state: &State,
        from: usize,
        heads: &[Option<&Head>],
    ) -> Result<Vec<Vec<Answer>>, ModelError> {
        let answers: Vec<Answer> = match Self::of(state)? {
            Batch::Generate(prompts) => {
                let write = |prompts: &[Prompt]| {
                    let (ends, dtype) = (&self.ends, self.dtype);
                    let all = generate(&self.decoder, &self.tokenizer, ends, prompts, dtype, &self.device);
                    all.map_err(ModelError::compute("decoder"))
                };
                let texts = in_halves(prompts, &write, &self.halved)?;
                texts.into_iter().map(Answer::Text).collect()
            }
            Batch::Score(batch) => self.finish_scores(state, from, batch)?,
        };
        Ok(vec![answers; heads.len()])
    }
}
