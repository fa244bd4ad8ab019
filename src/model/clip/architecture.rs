//! CLIP and SigLIP as the engine sees them.

use std::any::Any;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::block_prompts::BlockPrompts;
use super::classifier::Classifier;
use super::combined_head::CombinedHead;
use super::config::Family;
use super::folder::CheckpointFolder;
use super::image_adapter::ImageAdapter;
use super::image_projector::ImageProjector;
use super::layout::FolderLayout;
use super::multimodal_adapter::BlockAdapter;
use super::text::TextTower;
use super::vision::VisionTower;
use super::written::NOT_NEEDED;
use super::zero_shot::{Scale, context_texts, prompts, scaled_zero_shot};
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::registry::Named;
use crate::checkpoint::{Tensors, Weights};
use crate::merge::Combination;
use crate::model::{
    Architecture, Head, HeadChoice, HeadKind, HeadRows, Input, Kernels, Model, ModelError, ModelType,
    Placement, Reader, State, WrittenHeads, normalise_rows,
};
use crate::task::{Answer, AskKind, Candidates};

/// The model type `clip`.
pub struct Clip;

/// The model type `siglip`.
pub struct Siglip;

impl Named for Clip {
    fn name(&self) -> &'static str {
        "clip"
    }
    fn summary(&self) -> &'static str {
        "CLIP, both towers, QuickGELU or exact GELU; Hugging Face, open_clip and OpenAI names"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2103.00020, huggingface/transformers"
    }
}

impl Named for Siglip {
    fn name(&self) -> &'static str {
        "siglip"
    }
    fn summary(&self) -> &'static str {
        "SigLIP, attention pooling, bias on the logits; Hugging Face names"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2303.15343, huggingface/transformers"
    }
}

impl ModelType for Clip {
    fn claims(&self, folder: &Path) -> bool {
        FolderLayout::of(folder) == FolderLayout::OpenClip
            || FolderLayout::model_type(folder).is_some_and(|t| t.starts_with("clip"))
    }

    fn open(&self, folder: &Path, classes: Option<&[String]>) -> Result<Arc<dyn Architecture>, ModelError> {
        Ok(Arc::new(CheckpointFolder::open_named(folder, classes)?))
    }
}

impl ModelType for Siglip {
    fn claims(&self, folder: &Path) -> bool {
        FolderLayout::model_type(folder).is_some_and(|t| t.starts_with("siglip"))
    }

    fn open(&self, folder: &Path, classes: Option<&[String]>) -> Result<Arc<dyn Architecture>, ModelError> {
        Ok(Arc::new(CheckpointFolder::open_named(folder, classes)?))
    }
}

impl Architecture for CheckpointFolder {
    fn model_type(&self) -> &'static str {
        if self.config.family == Family::Clip { Clip.name() } else { Siglip.name() }
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn weights(&self) -> &Arc<dyn Weights> {
        &self.weights
    }

    fn facts(&self) -> Result<Vec<(&'static str, String)>, ModelError> {
        let (c, v, t) = (&self.config, &self.config.vision_config, &self.config.text_config);
        let classes = self.classifier.as_ref().map(|k| format!("{} classes", k.classes.len()));
        let tower = |t: &super::TowerConfig| {
            format!(
                "width {}, {} blocks, {} heads, {:?}",
                t.hidden_size, t.num_hidden_layers, t.num_attention_heads, t.hidden_act
            )
        };
        let image = format!("{} pixels, patches of {}, {}", v.image_size, v.patch_size, tower(&v.tower));
        let text = format!("{} tokens of {}, {}", t.max_position_embeddings, t.vocab_size, tower(&t.tower));
        let mut all = vec![
            ("holds", self.kind()),
            ("layout", self.layout.name().to_owned()),
            ("model", c.family.name().to_owned()),
            ("image tower", image),
            ("text tower", text),
            ("joint embedding", c.projection_dim.to_string()),
            ("classifier", classes.unwrap_or_else(|| "none (zero-shot head)".to_owned())),
            ("preprocessing", format!("{:?}", self.reader.0)),
        ];
        if let Some(down) = self.weights.info(ImageAdapter::DOWN) {
            let width = down.shape.first().copied().unwrap_or_default();
            let ratio = match ImageAdapter::ratio_of(&*self.weights)? {
                Some(ratio) => format!("{ratio:.3}"),
                None => format!("{}, the released code's: it holds none", ImageAdapter::USUAL_RATIO),
            };
            all.push(("image adapter", format!("width {width}, ratio {ratio}")));
        }
        if self.weights.names().into_iter().any(BlockAdapter::owns) {
            let scale = match BlockAdapter::scale_of(&*self.weights)? {
                Some(scale) => format!("{scale}"),
                None => format!("{}, the released code's: it holds none", BlockAdapter::USUAL_SCALE),
            };
            all.push(("adapters of both towers", format!("scale {scale}")));
        }
        let names = self.weights.names();
        let prompted = names.iter().filter(|n| BlockPrompts::owns(n)).count();
        if prompted > 0 {
            all.push(("prompts in blocks", format!("{prompted} times")));
        }
        if let Some(width) = ImageProjector::width(&*self.weights) {
            all.push((
                "projector",
                format!("to {width} values, for the head of another's texts (`head_of`)"),
            ));
        }
        Ok(all)
    }

    fn can(&self, ask: AskKind) -> Result<(), String> {
        match ask {
            AskKind::Choose => match ImageProjector::width(&*self.weights) {
                Some(width) if self.borrowed_head.is_none() && self.classifier.is_none() => Err(format!(
                    "its projector brings images to {width} values of another model; name the checkpoint whose texts make \
                     its head with `head_of`"
                )),
                _ => Ok(()),
            },
            _ => {
                Err("it reads images and scores class names; it neither reads nor writes longer texts"
                    .to_owned())
            }
        }
    }

    fn reader(&self) -> &dyn Reader {
        &self.reader
    }

    fn digest(&self, digests: &FileDigests) -> Result<Digest, ModelError> {
        let parts = (self.weights.digest(digests)?, &self.config, &self.reader.0, &self.classifier);
        Ok(match &self.borrowed_head {
            Some(head) => Digest::of_value(&(parts, head.digest(digests)?)),
            None => Digest::of_value(&parts),
        })
    }

    fn tokenizer_digest(&self) -> Result<Digest, ModelError> {
        // A file that cannot be used is a mistake of the suite, not of a run.
        let texts = self.head_maker();
        texts.tokenizer()?;
        texts.tokenizer_files_digest()
    }

    fn differs_from(
        &self,
        other: &dyn Architecture,
        asked: &[&Candidates],
    ) -> Result<Option<&'static str>, ModelError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(Some("model type")) };
        match (&self.borrowed_head, &other.borrowed_head) {
            (None, None) => {}
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => {}
            _ => return Ok(Some("head (one, or each, is made of another's texts)")),
        }
        // Every text that a head is made of: tokenizers that agree on these give the same model.
        let mut texts: Vec<String> = asked
            .iter()
            .flat_map(|c| [prompts(&c.names, &c.templates), context_texts(&c.names)].concat())
            .collect();
        texts.sort();
        texts.dedup();
        self.differs_on(other, Some(&texts).filter(|t| !t.is_empty()).map(Vec::as_slice))
    }

    fn over(&self, path: &Path, classes: Option<&[String]>) -> Result<Arc<dyn Architecture>, ModelError> {
        Ok(Arc::new(Self::open_over(path, self, classes)?))
    }

    fn headed_by(&self, other: &Arc<dyn Architecture>) -> Result<Arc<dyn Architecture>, ModelError> {
        Ok(Arc::new(self.with_head_of(other)?))
    }

    fn combined(
        &self,
        weights: Combination,
        others: &[Arc<dyn Architecture>],
        base: Option<&Arc<dyn Architecture>>,
    ) -> Result<Arc<dyn Architecture>, ModelError> {
        let head = base.filter(|base| !self.heads_beyond(&***base).is_empty());
        for other in others.iter().chain(base) {
            if let Some(what) = self.differs_from(&**other, &[])? {
                let (a, b) = (self.path.display(), other.path().display());
                return Err(ModelError::Unlike(format!("`{a}` and `{b}` differ in their {what}")));
            }
            let is_headless = head.is_some_and(|base| Arc::ptr_eq(base, other));
            let other = other.as_any().downcast_ref::<Self>();
            if !is_headless && other.is_some_and(|o| o.classifier != self.classifier) {
                let text =
                    "their heads are of other classes; combine checkpoints with the same head, or with none";
                return Err(ModelError::Unlike(text.to_owned()));
            }
        }
        let weights = Arc::new(weights);
        let head = head.map(|base| {
            let others = others.iter().map(|o| Arc::clone(o.weights()));
            let of = std::iter::once(Arc::clone(&self.weights)).chain(others).collect();
            Arc::new(CombinedHead { combination: Arc::clone(&weights), base: Arc::clone(base), of })
        });
        Ok(Arc::new(self.with_weights(weights, head)))
    }

    fn heads_beyond(&self, base: &dyn Architecture) -> Vec<String> {
        match base.as_any().downcast_ref::<Self>() {
            Some(base) if base.classifier.is_none() => Classifier::tensors(&*self.weights),
            _ => Vec::new(),
        }
    }

    fn write(&self, out: &Path, dtype: Option<DType>, heads: WrittenHeads<'_>) -> Result<(), ModelError> {
        if self.borrowed_head.is_some() {
            let text = "its head is made of another checkpoint's texts, which one folder does not hold";
            return Err(ModelError::Unlike(text.to_owned()));
        }
        let classifier = self.classifier.as_ref().filter(|_| !heads.dropped);
        if heads.templates.is_some() && (classifier.is_none() || self.combined_head.is_none()) {
            return Err(ModelError::Unlike(NOT_NEEDED.to_owned()));
        }
        // What is missing is said before anything is combined.
        let head = match (&self.combined_head, classifier, heads.templates) {
            (Some(head), Some(classifier), Some(templates)) => head.whole(classifier, templates)?,
            (Some(_), Some(_), None) => {
                let text = "the base has no classifier: say with which templates (`--templates FILE`) the zero-shot head is made \
                            that takes its part, or leave heads out (`--drop-heads`)";
                return Err(ModelError::Unlike(text.to_owned()));
            }
            _ => Tensors::new(),
        };
        let mut tensors = self.weights.load_all()?;
        tensors.retain(|name, _| !(heads.dropped && Self::is_head(name)));
        tensors.extend(head);
        self.write_with(out, &tensors, classifier, dtype.unwrap_or(DType::F32))
    }

    fn neutral(&self, other: &dyn Architecture) -> Result<Tensors, ModelError> {
        let adapts = |w: &Arc<dyn Weights>| w.contains(ImageAdapter::DOWN);
        let in_blocks = |w: &Arc<dyn Weights>| w.names().into_iter().any(BlockAdapter::owns);
        let mut all = Tensors::new();
        if !adapts(&self.weights) && adapts(other.weights()) {
            all.extend(ImageAdapter::neutral(&**other.weights())?);
        }
        if !in_blocks(&self.weights) && in_blocks(other.weights()) {
            all.extend(BlockAdapter::neutral(&**other.weights())?);
        }
        Ok(all)
    }

    fn is_head(&self, tensor: &str) -> bool {
        Self::is_head(tensor)
    }

    fn stages(&self) -> usize {
        VisionTower::stages(&self.config)
    }

    fn stage_of(&self, tensor: &str) -> Option<usize> {
        VisionTower::stage_of(&self.config, tensor)
    }

    fn makes_head(&self, tensor: &str) -> bool {
        TextTower::owns(tensor) || tensor.starts_with("logit_")
    }

    fn build(&self, weights: &dyn Weights, placement: &Placement) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(VisionTower::new(&self.config, &placement.of(weights), Kernels::Inference)?))
    }

    fn head_choice(&self, candidates: &Candidates) -> Option<HeadChoice> {
        let other = if self.head_maker().has_context() { HeadKind::Context } else { HeadKind::ZeroShot };
        let rows = self.classifier.as_ref().map(|c| c.rows(&candidates.list, &candidates.places));
        Some(match rows {
            Some(Ok(rows)) => HeadChoice { kind: HeadKind::Classifier, rows, missing: Vec::new() },
            Some(Err(missing)) => HeadChoice { kind: other, rows: Vec::new(), missing },
            None => HeadChoice { kind: other, rows: Vec::new(), missing: Vec::new() },
        })
    }

    fn head(
        &self,
        weights: &dyn Weights,
        candidates: &Candidates,
        made: &mut dyn FnMut(usize),
    ) -> Result<HeadRows, ModelError> {
        let choice = self.head_choice(candidates).filter(|c| c.kind == HeadKind::Classifier);
        let Some(choice) = choice else {
            let (scale, texts) = (Scale::of(self, weights)?, self.head_maker());
            let own = self.borrowed_head.is_none();
            let weights = if own { weights } else { &*texts.weights };
            let asked = (&candidates.names[..], &candidates.templates[..]);
            return scaled_zero_shot((texts, weights), scale, asked, made);
        };
        match &self.combined_head {
            Some(combined) => combined.head(&choice.rows, candidates, made),
            None => Classifier::head(&*self.weights, &choice.rows),
        }
    }

    fn batch(&self, inputs: &[Input], placement: &Placement, _: bool) -> Result<State, ModelError> {
        let unlike = || ModelError::Unlike("a batch without images".to_owned());
        let Some(Input::Image(first)) = inputs.first() else { return Err(unlike()) };
        let (height, width) = (first.height, first.width);
        let mut values = Vec::with_capacity(inputs.len() * 3 * height * width);
        for input in inputs {
            let Input::Image(crop) = input else { return Err(unlike()) };
            self.reader.0.normalise_into(crop, &mut values);
        }
        let pixels = Tensor::from_vec(values, (inputs.len(), 3, height, width), &Device::Cpu);
        let pixels = pixels.and_then(|p| placement.input(&p));
        pixels.map(State::new).map_err(ModelError::compute("input batch"))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Model for VisionTower {
    fn lead(&self, state: &State, stages: Range<usize>) -> Result<State, ModelError> {
        self.run(state.tensor(), stages).map(State::new).map_err(ModelError::compute("image tower"))
    }

    fn finish(
        &self,
        state: &State,
        from: usize,
        heads: &[Option<&Head>],
    ) -> Result<Vec<Vec<Answer>>, ModelError> {
        let features = self.run(state.tensor(), from..self.last() + 1);
        let features = features.map_err(ModelError::compute("image tower"))?;
        let wrap = |e| ModelError::compute("logits")(e);
        let features = features.to_dtype(DType::F32).and_then(|f| normalise_rows(&f)).map_err(wrap)?;
        let answers = |head: &Option<&Head>| {
            let head = head.ok_or_else(|| ModelError::Unlike("CLIP answers with a head".to_owned()))?;
            let logits = head.logits(&features).and_then(|l| l.to_vec2::<f32>()).map_err(wrap)?;
            Ok(logits.into_iter().map(Answer::Scores).collect())
        };
        heads.iter().map(answers).collect()
    }
}
