//! Classification with an image-text model, as WiSE-FT fine-tunes it (Wortsman et al. 2022, `src/wise_ft.py`).
//!
//! The classifier is the image tower followed by a linear head on normalised features. The head starts as the zero-shot
//! head (rows times `exp(logit_scale)`, bias zero), or as the checkpoint's own classifier where it has one for these
//! classes (LP-FT). With learned context, or where the text tower moves, the rows are the text tower's instead; else it stays as
//! it is and stays in the checkpoint, so that classes that were not trained can still be named. Random crops are the recipe's choice.
//!
//! Where both towers are to be aligned (CLIP-CITE), the head is trained for the task all the same, the text tower by terms on the
//! captions of a batch's classes, and the head is left behind in the end.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::loss::cross_entropy;
use rayon::prelude::*;

use super::heads::{context_rows, embeddings, insert_head, opened};
use crate::base::digest::Digest;
use crate::base::rng::CounterRng;
use crate::catalog::Catalog;
use crate::checkpoint::{Tensors, Weights};
use crate::model::clip::{
    BlockPrompts, CONTEXT, CheckpointFolder, Classifier, ImageAdapter, MetaNet, TextTower, VisionTower,
    class_embeddings, context_places, context_texts, prompts, zero_shot,
};
use crate::model::{Kernels, normalise_rows};
use crate::train::backward::{self, Encode, SHARDS};
use crate::train::outputs::{OutputTerm, Outputs, Parameters, divergence};
use crate::train::pool::Pool;
use crate::train::presets::Learns;
use crate::train::problem::{Examples, Part, Problem, StepOutcome, Weighing};
use crate::train::{Recipe, TrainError, TunedModel};

/// Images and their classes.
pub(super) struct Images {
    folder: Arc<CheckpointFolder>,
    start: Tensors,
    /// The same without prompts in blocks: what those that train are held to.
    plain: Tensors,
    pool: Pool,
    examples: Examples,
    seed: u64,
    /// Whether both towers are aligned and the head is left behind.
    aligns: bool,
    /// Texts of the classes: with places for context, or in all templates where the text tower moves.
    texts: OnceLock<Vec<Vec<u32>>>,
    /// `exp(logit_scale)`.
    scale: f64,
    /// Features of all examples at the start.
    frozen: OnceLock<Tensor>,
    /// Rows of the zero-shot head of unit norm.
    zero_shot: Tensor,
    /// Rows from the context of the fine-tuned checkpoint, not normalised.
    tuned: Option<Tensor>,
}

impl Images {
    /// Opens the checkpoint and loads the data.
    pub(super) fn load(recipe: &Recipe, catalog: &Catalog) -> std::result::Result<Self, TrainError> {
        let folder = CheckpointFolder::open(recipe.from()?)?;
        folder.check_tunable()?;
        let pool = Pool::load(recipe, catalog, &folder.reader.0)?;
        let mut start = folder.weights.load_all()?;
        let scale = folder.weights.load("logit_scale")?.reshape(())?.exp()?.to_scalar::<f32>()?;
        let plain: Tensors = without_prompts(&start)?;
        let embeddings = embeddings(&folder, &plain, &pool)?;
        insert_head(&mut start, &folder, &pool, || Ok((&embeddings * f64::from(scale))?))?;
        let tuned = match &recipe.finetuned {
            Some(path) => opened(path, &folder)?.stored_context()?,
            None => None,
        };
        let tuned = match tuned {
            Some(context) => {
                let rows = context_rows(&folder, &start, &pool, &context)?;
                start.insert(CONTEXT.to_owned(), context);
                Some(rows)
            }
            None => None,
        };
        Ok(Self {
            tuned,
            seed: recipe.seed,
            aligns: recipe.method.learns == Learns::Alignment,
            examples: Examples::new(&pool.parts),
            folder: Arc::new(folder),
            start,
            plain,
            pool,
            texts: OnceLock::new(),
            scale: f64::from(scale),
            frozen: OnceLock::new(),
            zero_shot: embeddings,
        })
    }

    /// Features of all examples at the start, before its adapter, computed once.
    fn frozen(&self) -> Result<&Tensor> {
        if let Some(known) = self.frozen.get() {
            return Ok(known);
        }
        let wrap = candle_core::Error::wrap;
        let tower = VisionTower::new(&self.folder.config, &self.plain, Kernels::Inference).map_err(wrap)?;
        let tower = tower.without_adapter();
        let all: Vec<usize> = (0..self.pool.len()).collect();
        let parts: Vec<Tensor> =
            all.par_chunks(64).map(|part| tower.forward(&self.pool.batch(part)?)).collect::<Result<_>>()?;
        Ok(self.frozen.get_or_init(|| Tensor::cat(&parts, 0).unwrap_or_else(|_| parts[0].clone())))
    }

    fn texts(&self, context: &Tensor) -> Result<&[Vec<u32>]> {
        if let Some(known) = self.texts.get() {
            return Ok(known);
        }
        let tokens = self.folder.tokenizer().and_then(|t| t.encode(&context_texts(&self.pool.classes)));
        let tokens = tokens.map_err(candle_core::Error::wrap)?;
        let length = self.folder.config.text_config.max_position_embeddings;
        Ok(self.texts.get_or_init(|| context_places(tokens, context, length)))
    }

    /// Rows of the head before they are normalised, logits, and what goes with them.
    fn outputs(
        &self,
        weights: &Tensors,
        features: Tensor,
        rows: Option<Tensor>,
        targets: Tensor,
    ) -> Result<Outputs> {
        let (classes, logits) = match rows {
            // Of each image its own: `[images, classes, width]`.
            Some(rows) if rows.rank() == 3 => {
                let own = features.unsqueeze(1)?.broadcast_mul(&normalise_rows(&rows)?)?.sum(D::Minus1)?;
                (None, (own * self.scale)?)
            }
            Some(rows) => {
                let unit = normalise_rows(&rows)?;
                let logits = (features.matmul(&unit.t()?)? * self.scale)?;
                (Some(rows), logits)
            }
            None => {
                let rows = weights[Classifier::WEIGHT].clone();
                let logits = features.matmul(&rows.t()?)?.broadcast_add(&weights[Classifier::BIAS])?;
                (Some(rows), logits)
            }
        };
        let features = Some(features);
        Ok(Outputs { logits, features, classes, captions: None, tuned: None, scale: self.scale, targets })
    }

    /// Features at the start, before its adapter, of the very images that a step sees.
    fn starting(&self, step: usize, examples: &[usize]) -> Result<Tensor> {
        if self.pool.is_drawn() {
            let tower = VisionTower::new(&self.folder.config, &self.plain, Kernels::Inference);
            let tower = tower.map_err(candle_core::Error::wrap)?.without_adapter();
            let parts: Vec<Tensor> = examples
                .par_chunks(examples.len().div_ceil(SHARDS))
                .map(|part| tower.forward(&self.pool.batch_at(step, part)?))
                .collect::<Result<_>>()?;
            return Tensor::cat(&parts, 0);
        }
        let index: Vec<u32> = examples.iter().map(|&i| i as u32).collect();
        self.frozen()?.index_select(&Tensor::new(index, &Device::Cpu)?, 0)
    }

    /// What gives the rows that the templates make of some classes, a part of them each.
    fn template_jobs<'a>(
        &'a self,
        tower: &'a TextTower,
        classes: &[u32],
    ) -> std::result::Result<Vec<Encode<'a>>, TrainError> {
        let templates = self.pool.templates.len();
        let tokens = match self.texts.get() {
            Some(known) => known,
            None => {
                let texts = prompts(&self.pool.classes, &self.pool.templates);
                let tokens = self.folder.tokenizer()?.encode(&texts)?;
                self.texts.get_or_init(|| tokens)
            }
        };
        let job = |part: &[u32]| -> Encode<'a> {
            let own = |&class: &u32| &tokens[class as usize * templates..][..templates];
            let texts: Vec<Vec<u32>> = part.iter().flat_map(own).cloned().collect();
            Box::new(move || class_embeddings(tower, &texts, templates, &mut |_| {}))
        };
        Ok(classes.chunks(classes.len().div_ceil(SHARDS)).map(job).collect())
    }

    /// What gives the rows of the head: a part of the classes each, or all classes for one image each.
    fn text_jobs<'a>(
        &'a self,
        tower: &'a TextTower,
        weights: &Tensors,
        context: &'a Tensor,
        features: Option<&Tensor>,
    ) -> std::result::Result<Vec<Encode<'a>>, TrainError> {
        let texts = self.texts(context)?;
        if !MetaNet::is_in(weights) {
            let parts = texts.chunks(texts.len().div_ceil(SHARDS));
            let job = |part: &'a [Vec<u32>]| -> Encode<'a> {
                Box::new(move || tower.forward_with(part, Some(context)))
            };
            return Ok(parts.map(job).collect());
        }
        let Some(features) = features else {
            let what = "context that depends on the image is learned with towers that stay";
            return Err(TrainError::Unfit(what.to_owned()));
        };
        let meta = Arc::new(MetaNet::of(weights)?);
        let job = |i: usize| -> Result<Encode<'a>> {
            let (own, meta) = (features.narrow(0, i, 1)?, Arc::clone(&meta));
            let rows = move || {
                let context = meta.shifted(context, &own)?;
                tower.forward_all(texts, Some(&context), &mut |_| {})?.unsqueeze(0)
            };
            Ok(Box::new(rows))
        };
        Ok((0..features.dim(0)?).map(job).collect::<Result<_>>()?)
    }

    /// The model at the start on some examples: hand-written prompts where the context is learned.
    fn teacher(&self, step: usize, examples: &[usize], targets: &Tensor, prompted: bool) -> Result<Outputs> {
        let features = adapted(&self.start, self.starting(step, examples)?)?;
        let rows = prompted.then(|| self.zero_shot.clone());
        let mut outputs = self.outputs(&self.start, features, rows, targets.clone())?;
        // What the anchor is: the zero-shot rows, whatever the head started as.
        outputs.classes = Some(self.zero_shot.clone());
        outputs.captions = Some(self.zero_shot.index_select(targets, 0)?);
        outputs.tuned = self.tuned.clone();
        Ok(outputs)
    }

    /// Logits of the images of a step without gradients: by the head, or by the texts where both towers are aligned.
    fn logits(
        &self,
        step: usize,
        weights: &Tensors,
        examples: &[usize],
    ) -> std::result::Result<Tensor, TrainError> {
        let vision = VisionTower::new(&self.folder.config, weights, Kernels::Inference)?;
        let parts = examples.par_chunks(examples.len().div_ceil(SHARDS));
        let parts = parts.map(|part| vision.forward(&self.pool.batch_at(step, part)?));
        let features = normalise_rows(&Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?)?;
        let rows = if self.aligns { Some(embeddings(&self.folder, weights, &self.pool)?) } else { None };
        let targets = Tensor::zeros(examples.len(), DType::U32, &Device::Cpu)?;
        Ok(self.outputs(weights, features, rows, targets)?.logits)
    }

    /// What the towers make of some examples, and of the texts of some classes where the text tower has a part in it.
    fn encoded(
        &self,
        step: usize,
        weights: &Tensors,
        examples: &[usize],
        classes: &[u32],
    ) -> std::result::Result<Encoded, TrainError> {
        let moves = weights.iter().any(|(name, tensor)| {
            let is_image = !TextTower::owns(name) && !ImageAdapter::owns(name);
            tensor.track_op() && is_image && !matches!(self.part(name), Part::Head | Part::Other)
        });
        let texts_move = weights.iter().any(|(name, tensor)| tensor.track_op() && TextTower::owns(name));
        let context = weights.get(CONTEXT);
        if weights.iter().any(|(name, tensor)| BlockPrompts::owns(name) && !tensor.track_op()) {
            let what = "the checkpoint has prompts in its blocks, and something else would train here";
            return Err(TrainError::Unfit(what.to_owned()));
        }
        if self.aligns && !moves && !texts_move && context.is_none() {
            let what = "this method leaves the head behind, and nothing else would train";
            return Err(TrainError::Unfit(what.to_owned()));
        }
        let vision = VisionTower::new(&self.folder.config, weights, Kernels::Differentiable)?;
        let text = (context.is_some() || texts_move)
            .then(|| TextTower::new(&self.folder.config, weights, Kernels::Differentiable));
        let text = text.transpose()?;
        let mut jobs: Vec<Encode<'_>> = Vec::new();
        if moves {
            for part in examples.chunks(examples.len().div_ceil(SHARDS)) {
                let vision = &vision;
                jobs.push(Box::new(move || vision.forward(&self.pool.batch_at(step, part)?)));
            }
        }
        let images = jobs.len();
        // Where no tower trains, features are known before the texts.
        let known = if moves { None } else { Some(adapted(weights, self.starting(step, examples)?)?) };
        match (&text, context) {
            (Some(tower), Some(context)) => {
                jobs.extend(self.text_jobs(tower, weights, context, known.as_ref())?);
            }
            (Some(tower), None) if !classes.is_empty() => jobs.extend(self.template_jobs(tower, classes)?),
            _ => {}
        }
        let shards = backward::encode(&jobs)?;
        let cuts = backward::cut(&shards)?;
        let join = |vars: &[Var]| Tensor::cat(&vars.iter().map(Var::as_tensor).collect::<Vec<_>>(), 0);
        let features = match known {
            Some(features) => features,
            None => normalise_rows(&join(&cuts[..images])?)?,
        };
        let texts = if cuts.len() > images { Some(join(&cuts[images..])?) } else { None };
        Ok(Encoded { shards, cuts, features, texts })
    }
}

/// What the towers gave, cut off from their graphs.
struct Encoded {
    /// Each with its graph.
    shards: Vec<Tensor>,
    /// The same as variables.
    cuts: Vec<Var>,
    /// Features of the images, of unit norm.
    features: Tensor,
    /// Rows of the texts.
    texts: Option<Tensor>,
}

/// Of each label the row of its class, among rows of the classes `of`.
fn captions(rows: &Tensor, of: &[u32], labels: &[u32]) -> Result<Tensor> {
    let place = |label: &u32| of.iter().position(|class| class == label).map(|place| place as u32);
    let places: Vec<u32> = labels.iter().filter_map(place).collect();
    rows.index_select(&Tensor::new(places, &Device::Cpu)?, 0)
}

/// Weights without prompts in blocks.
fn without_prompts(weights: &Tensors) -> std::result::Result<Tensors, TrainError> {
    let (prompts, plain): (Tensors, Tensors) =
        weights.clone().into_iter().partition(|(name, _)| BlockPrompts::owns(name));
    if !prompts.is_empty() && !weights.contains_key(CONTEXT) {
        let what = "prompts of the image tower alone are evaluated and not tuned; there is no learned context beside them";
        return Err(TrainError::Unfit(what.to_owned()));
    }
    Ok(plain)
}

/// Features of unit norm, with the adapter mixed in that is among some weights, if one is.
fn adapted(weights: &Tensors, features: Tensor) -> Result<Tensor> {
    let adapter = ImageAdapter::of(weights).map_err(candle_core::Error::wrap)?;
    normalise_rows(&match adapter {
        Some(adapter) => adapter.forward(&features)?,
        None => features,
    })
}

impl Problem for Images {
    fn start(&self) -> &Tensors {
        &self.start
    }

    fn part(&self, name: &str) -> Part {
        if name == Classifier::WEIGHT || name == Classifier::BIAS {
            return Part::Head;
        }
        if name == "visual_projection.weight" {
            return Part::Projector;
        }
        if self.aligns && TextTower::owns(name) {
            return Part::Final;
        }
        Part::of_stage(VisionTower::stage_of(&self.folder.config, name), self.blocks())
    }

    fn has_classifier(&self) -> bool {
        true
    }

    fn blocks(&self) -> usize {
        VisionTower::stages(&self.folder.config) - 2
    }

    fn examples(&self) -> &Examples {
        &self.examples
    }

    fn rng(&self) -> CounterRng {
        CounterRng::new(self.seed, "full")
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
        let weights = weights()?;
        let labels: Vec<u32> = examples.iter().map(|&i| self.pool.labels[i]).collect();
        // The head is one of its own, and the text tower is asked for captions alone.
        let apart = self.aligns && !weights.contains_key(CONTEXT);
        let classes: Vec<u32> = match (apart, terms.is_empty()) {
            (true, true) => Vec::new(),
            (true, false) => labels.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
            (false, _) => (0..self.pool.classes.len() as u32).collect(),
        };
        let encoded = self.encoded(step, &weights, examples, &classes)?;
        let rows = encoded.texts.clone().filter(|_| !apart);
        let prompted = rows.is_some();
        let targets = Tensor::new(labels.as_slice(), &Device::Cpu)?;
        let mut student = self.outputs(&weights, encoded.features, rows, targets.clone())?;
        let task = cross_entropy(&student.logits, &targets)?;
        let mut loss = task.clone();
        if !terms.is_empty() {
            let teacher = self.teacher(step, examples, &targets, prompted)?;
            student.captions = match &encoded.texts {
                Some(rows) if rows.rank() == 2 => Some(captions(&normalise_rows(rows)?, &classes, &labels)?),
                // Of each image its own.
                Some(_) => None,
                None => teacher.captions.clone(),
            };
            for term in terms {
                let value = term.sum(&student, &teacher)?;
                let divisor = if term.once() { 1.0 } else { examples.len() as f64 };
                loss = (loss + (value / divisor)?)?;
            }
        }
        let hits = student.logits.argmax(D::Minus1)?.eq(&targets)?.to_dtype(DType::F32)?.mean_all()?;
        let store = loss.backward()?;
        Ok(StepOutcome {
            loss: f64::from(loss.to_scalar::<f32>()?),
            task: f64::from(task.to_scalar::<f32>()?),
            accuracy: f64::from(hits.to_scalar::<f32>()?),
            gradients: backward::finish(store, &encoded.shards, &encoded.cuts, parameters)?,
        })
    }

    /// The image tower, and the text tower on the classes where it trains as well.
    fn observe(&self, weights: &dyn Weights, examples: &[usize]) -> std::result::Result<(), TrainError> {
        let tower = VisionTower::new(&self.folder.config, weights, Kernels::Inference)?;
        for part in examples.chunks(64) {
            tower.forward(&self.pool.batch(part)?)?;
        }
        if self.aligns {
            let texts = prompts(&self.pool.classes, &self.pool.templates);
            let tower = TextTower::new(&self.folder.config, weights, Kernels::Inference)?;
            tower.forward(&self.folder.tokenizer()?.encode(&texts)?)?;
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
        let (before, after) = (self.logits(step, before, examples)?, self.logits(step, after, examples)?);
        Ok(divergence(&before, &after)? / examples.len() as f64)
    }

    fn weights_of(&self, path: &Path) -> std::result::Result<Tensors, TrainError> {
        let folder = opened(path, &self.folder)?;
        if let Some(what) = self.folder.differs_on(&folder, None)? {
            let (a, b) = (self.folder.path.display(), path.display());
            return Err(TrainError::Unfit(format!("`{a}` and `{b}` differ in their {what}")));
        }
        let mut all = folder.weights.load_all()?;
        let (classes, templates) = (&self.pool.classes, &self.pool.templates);
        let zero_shot = || {
            let head = zero_shot(&folder, &*folder.weights, classes, templates, &mut |_| {})?;
            let what = || TrainError::Unfit(format!("the head of `{}` depends on the image", path.display()));
            head.shared().cloned().ok_or_else(what)
        };
        insert_head(&mut all, &folder, &self.pool, zero_shot)?;
        Ok(all)
    }

    fn uses_finetuned(&self) -> bool {
        self.tuned.is_some()
    }

    fn context(&self, n: usize) -> std::result::Result<Tensor, TrainError> {
        let tokens = self.folder.tokenizer()?.encode(&["a photo of a".to_owned()])?.remove(0);
        // Without the first and the last token.
        let inner = tokens.get(1..tokens.len().max(2) - 1).unwrap_or_default();
        let table = self.folder.weights.load("text_model.embeddings.token_embedding.weight")?;
        // As many as are wanted, from the beginning again where the words are too few.
        let ids: Vec<u32> = inner.iter().copied().cycle().take(n).collect();
        if ids.len() < n {
            return Err(TrainError::Unfit("its tokenizer gives nothing for \"a photo of a\"".to_owned()));
        }
        Ok(table.index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?)
    }

    fn feature_size(&self) -> std::result::Result<usize, TrainError> {
        Ok(self.folder.config.projection_dim)
    }

    fn finish(&self, mut weights: Tensors) -> std::result::Result<TunedModel, TrainError> {
        if self.aligns {
            weights.remove(Classifier::WEIGHT);
            weights.remove(Classifier::BIAS);
        }
        let classifier = (!self.aligns).then(|| Classifier { classes: self.pool.classes.clone() });
        Ok(TunedModel::Changed { from: Arc::clone(&self.folder), tensors: weights, classifier })
    }
}
