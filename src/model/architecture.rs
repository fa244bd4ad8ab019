//! The traits between the engine and the models, and the registry of model types.

use std::any::Any;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::lm::families::FAMILIES;
use super::{Head, HeadChoice, HeadRows, ModelError, Placement, clip, lm};
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::registry::{Named, Registry};
use crate::checkpoint::{Tensors, Weights};
use crate::image::Rgb;
use crate::merge::Combination;
use crate::task::{Answer, AskKind, Candidates, Question};

/// A question as a model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// An 8-bit crop of the model's size.
    Image(Rgb),
    /// Token sequences whose ends are scored.
    Score(lm::Sequences),
    /// A prompt that is continued.
    Generate(lm::Prompt),
}

/// What reading depends on besides the model.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Pixels that an image may have at most.
    pub most_pixels: u64,
    /// Pixels cut off each side of an image first.
    pub border: usize,
}

/// Inputs that may be kept between runs: images of one size.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Digest of everything that they depend on besides data and border.
    pub key: Digest,
}

/// How questions become inputs.
pub trait Reader: Send + Sync {
    /// The input of a question, or why there is none.
    fn read(&self, question: Question, reading: Reading) -> Result<Input, String>;

    /// Whatever is read alike has the same digest: one pass serves all models that share it.
    fn digest(&self) -> Digest;

    /// For the manifest.
    fn record(&self) -> serde_json::Value;

    /// What may be kept of inputs, if anything.
    fn kept(&self) -> Option<Kept>;
}

/// What a model knows of a batch after some of its stages. Opaque to everybody else.
#[derive(Clone)]
pub struct State {
    tensor: Tensor,
    /// What all stages know of the batch besides.
    extra: Option<Arc<dyn Any + Send + Sync>>,
    tokens: Tokens,
}

/// Tokens of texts that go through a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// With what questions have in common computed once.
    pub computed: usize,
    /// If every sequence went through on its own.
    pub alone: usize,
}

impl std::ops::AddAssign for Tokens {
    fn add_assign(&mut self, more: Self) {
        self.computed += more.computed;
        self.alone += more.alone;
    }
}

impl State {
    /// A state.
    #[must_use]
    pub const fn new(tensor: Tensor) -> Self {
        Self { tensor, extra: None, tokens: Tokens { computed: 0, alone: 0 } }
    }

    /// The same with what all stages know of the batch besides.
    #[must_use]
    pub fn with(self, extra: Arc<dyn Any + Send + Sync>) -> Self {
        Self { extra: Some(extra), ..self }
    }

    /// The same with the tokens that it is made of.
    #[must_use]
    pub fn counting(self, tokens: Tokens) -> Self {
        Self { tokens, ..self }
    }

    /// The same batch after some more stages.
    #[must_use]
    pub fn at(&self, tensor: Tensor) -> Self {
        Self { tensor, extra: self.extra.clone(), tokens: self.tokens }
    }

    /// The tokens that it is made of.
    #[must_use]
    pub const fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// The tensor, for models.
    #[must_use]
    pub const fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// What all stages know of the batch besides, for models.
    #[must_use]
    pub fn extra(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.extra.as_deref()
    }
}

/// A model, built and placed.
pub trait Model: Send + Sync {
    /// Runs leading stages: what variants with equal weights there share.
    fn lead(&self, state: &State, stages: Range<usize>) -> Result<State, ModelError>;

    /// Runs the stages from `from` on and answers with each of `heads`: one answer per example and head. A head is `None`
    /// where the question brings its own candidates.
    fn finish(
        &self,
        state: &State,
        from: usize,
        heads: &[Option<&Head>],
    ) -> Result<Vec<Vec<Answer>>, ModelError>;
}

/// What becomes of heads in a folder that is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct WrittenHeads<'a> {
    /// Templates of a zero-shot head that has to be computed.
    pub templates: Option<&'a [String]>,
    /// Whether heads are left out.
    pub dropped: bool,
}

/// An opened checkpoint: what can be known without loading its weights, and what can be built from it.
pub trait Architecture: Send + Sync {
    /// Name of its model type.
    fn model_type(&self) -> &'static str;

    /// The folder or file, for messages.
    fn path(&self) -> &Path;

    /// Its weights.
    fn weights(&self) -> &Arc<dyn Weights>;

    /// What `inspect` shows, in order.
    fn facts(&self) -> Result<Vec<(&'static str, String)>, ModelError>;

    /// Whether it can answer, or why not; asked when the plan is made.
    fn can(&self, ask: AskKind) -> Result<(), String>;

    /// How it reads questions.
    fn reader(&self) -> &dyn Reader;

    /// Digest of everything that answers depend on, but for the tokenizer.
    fn digest(&self, digests: &FileDigests) -> Result<Digest, ModelError>;

    /// Digest of the tokenizer, once it has been opened.
    fn tokenizer_digest(&self) -> Result<Digest, ModelError>;

    /// In what the other reads questions differently or computes differently, if it does, given what is asked.
    fn differs_from(
        &self,
        other: &dyn Architecture,
        asked: &[&Candidates],
    ) -> Result<Option<&'static str>, ModelError>;

    /// A file or folder that holds a part of the weights, on top of these. `classes` names the rows of its head.
    fn over(&self, path: &Path, classes: Option<&[String]>) -> Result<Arc<dyn Architecture>, ModelError>;

    /// The same checkpoint with a head made of the texts of `other`.
    fn headed_by(&self, other: &Arc<dyn Architecture>) -> Result<Arc<dyn Architecture>, ModelError> {
        let (own, other) = (self.path().display(), other.path().display());
        Err(ModelError::Unlike(format!(
            "`{own}` answers without a head; `{other}` cannot make one for it (`head_of`)"
        )))
    }

    /// The same model with weights combined from these and `others`, by differences to `base` if there is one.
    fn combined(
        &self,
        weights: Combination,
        others: &[Arc<dyn Architecture>],
        base: Option<&Arc<dyn Architecture>>,
    ) -> Result<Arc<dyn Architecture>, ModelError>;

    /// Tensors of these weights that `base` lacks although it answers the same questions, its head being computed; in a combination
    /// of differences to it they are combined with that head, probe by probe.
    fn heads_beyond(&self, _base: &dyn Architecture) -> Vec<String> {
        Vec::new()
    }

    /// Writes the checkpoint as a folder of its own, in the layout that it has. Weights are stored in `dtype`, if given, else
    /// in the type that they have.
    fn write(&self, out: &Path, dtype: Option<DType>, heads: WrittenHeads<'_>) -> Result<(), ModelError>;

    /// Tensors that `other` has and these weights lack, with values that leave every answer as it is: with them, these weights
    /// are an end of a path to the other's.
    fn neutral(&self, _other: &dyn Architecture) -> Result<Tensors, ModelError> {
        Ok(Tensors::new())
    }

    /// Whether a tensor belongs to a head: heads are combined candidate by candidate, not tensor by tensor.
    fn is_head(&self, _tensor: &str) -> bool {
        false
    }

    /// Number of stages.
    fn stages(&self) -> usize;

    /// The stage that a tensor belongs to, if it belongs to one.
    fn stage_of(&self, tensor: &str) -> Option<usize>;

    /// Whether a head that is not stored is computed from this tensor.
    fn makes_head(&self, _tensor: &str) -> bool {
        false
    }

    /// Builds the model from weights of its names.
    fn build(&self, weights: &dyn Weights, placement: &Placement) -> Result<Box<dyn Model>, ModelError>;

    /// Which head it uses for some candidates, if it scores candidates by a head.
    fn head_choice(&self, _candidates: &Candidates) -> Option<HeadChoice> {
        None
    }

    /// That head: stored rows as they are, or computed from `weights`; `made` hears of each so many prompts.
    fn head(
        &self,
        _weights: &dyn Weights,
        _candidates: &Candidates,
        _made: &mut dyn FnMut(usize),
    ) -> Result<HeadRows, ModelError> {
        Err(ModelError::Unlike(format!("`{}` has no heads", self.path().display())))
    }

    /// Which inputs go through the model together: all of them, in groups that `batch` examples of usual size would fill.
    fn groups(&self, inputs: &[&Input], batch: usize) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..inputs.len()).collect();
        all.chunks(batch).map(<[usize]>::to_vec).collect()
    }

    /// The state before the first stage, of some inputs. Without `share` nothing that inputs have in common is computed
    /// once; answers are the same.
    fn batch(&self, inputs: &[Input], placement: &Placement, share: bool) -> Result<State, ModelError>;

    /// For comparing with another of the same type.
    fn as_any(&self) -> &dyn Any;
}

/// A model type that can be opened.
pub trait ModelType: Named + Sync {
    /// Whether a folder holds such a model.
    fn claims(&self, folder: &Path) -> bool;

    /// Opens a folder and checks that configuration and weights fit together. `classes` names the rows of its head.
    fn open(
        &'static self,
        folder: &Path,
        classes: Option<&[String]>,
    ) -> Result<Arc<dyn Architecture>, ModelError>;
}

/// All model types: to add one, write a folder with a `ModelType` and list it here; the families of language models are
/// listed in `lm::families`.
pub static ARCHITECTURES: Registry<dyn ModelType> = Registry { kind: "model", items: &MODEL_TYPES };

const OTHERS: [&dyn ModelType; 3] = [&clip::Clip, &clip::Siglip, &lm::Gguf];

static MODEL_TYPES: [&dyn ModelType; OTHERS.len() + FAMILIES.len()] = {
    let mut all: [&dyn ModelType; OTHERS.len() + FAMILIES.len()] =
        [&clip::Clip; OTHERS.len() + FAMILIES.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = if i < OTHERS.len() { OTHERS[i] } else { FAMILIES[i - OTHERS.len()] };
        i += 1;
    }
    all
};

/// Opens a checkpoint folder as the model type that claims it. One that nobody claims is opened as the first type, whose
/// reader says what is not understood.
pub fn open(folder: &Path, classes: Option<&[String]>) -> Result<Arc<dyn Architecture>, ModelError> {
    let claimed = ARCHITECTURES.items.iter().find(|t| t.claims(folder));
    claimed.unwrap_or(&ARCHITECTURES.items[0]).open(folder, classes)
}
