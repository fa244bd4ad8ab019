//! What is learned: data, model and loss of one track.

use std::ops::Range;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};

use super::outputs::{OutputTerm, Parameters};
use super::{TrainError, TunedModel};
use crate::base::digest::Digest;
use crate::base::rng::CounterRng;
use crate::checkpoint::{Tensors, Weights};

/// Which part of a model a tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Before the first block.
    Embedding,
    /// Block number.
    Block(usize),
    /// Between the last block and the head.
    Final,
    /// The map from a tower into the space that image and text share.
    Projector,
    /// The head.
    Head,
    /// Nothing that this problem trains.
    Other,
}

impl Part {
    /// The part that a stage of a model of so many blocks is: embedding, blocks, what comes after them.
    #[must_use]
    pub const fn of_stage(stage: Option<usize>, blocks: usize) -> Self {
        match stage {
            None => Self::Other,
            Some(0) => Self::Embedding,
            Some(stage) if stage <= blocks => Self::Block(stage - 1),
            Some(_) => Self::Final,
        }
    }
}

/// Loss and gradients of one step.
pub struct StepOutcome {
    /// Value of the whole loss.
    pub loss: f64,
    /// The task's own part of it.
    pub task: f64,
    /// Share of the batch that is right.
    pub accuracy: f64,
    /// Gradients of the parameters.
    pub gradients: GradStore,
}

/// Makes all weights, under gradient, anew.
pub type Weighing<'a> = dyn Fn() -> Result<Tensors> + Sync + 'a;

/// Data, model and loss.
pub trait Problem: Send + Sync {
    /// All weights at the start, a head included.
    fn start(&self) -> &Tensors;

    /// Which part of the model a tensor is.
    fn part(&self, name: &str) -> Part;

    /// Whether its head is a classifier's, made for the classes of the data.
    fn has_classifier(&self) -> bool;

    /// Number of blocks.
    fn blocks(&self) -> usize;

    /// Training examples.
    fn examples(&self) -> &Examples;

    /// Where their order is drawn from.
    fn rng(&self) -> CounterRng;

    /// Digests of the files of the data sets, in the recipe's order.
    fn digests(&self) -> &[Digest];

    /// Loss and gradients on the examples of step `step`, with terms on outputs.
    fn step(
        &self,
        step: usize,
        weights: &Weighing<'_>,
        parameters: &Parameters,
        examples: &[usize],
        terms: &[&dyn OutputTerm],
    ) -> std::result::Result<StepOutcome, TrainError>;

    /// Lets the model see some examples as they are evaluated, with weights that want to know what their layers are given.
    fn observe(&self, weights: &dyn Weights, examples: &[usize]) -> std::result::Result<(), TrainError>;

    /// How far what some weights give lies from what others gave, for the examples of step `step`: the mean of KL(before || after)
    /// over classes, tokens or captions, in nats.
    fn divergence(
        &self,
        step: usize,
        before: &Tensors,
        after: &Tensors,
        examples: &[usize],
    ) -> std::result::Result<f64, TrainError>;

    /// Weights of another checkpoint of the same model, the head over the same outputs.
    fn weights_of(&self, path: &std::path::Path) -> std::result::Result<Tensors, TrainError>;

    /// Whether the `finetuned` checkpoint is part of what it computes.
    fn uses_finetuned(&self) -> bool {
        false
    }

    /// Learned context of `n` vectors at its start, where there is such a thing.
    fn context(&self, _n: usize) -> std::result::Result<Tensor, TrainError> {
        Err(TrainError::Unfit("learned context is of image-text models".to_owned()))
    }

    /// Numbers in a feature vector of images, where there is such a thing.
    fn feature_size(&self) -> std::result::Result<usize, TrainError> {
        Err(TrainError::Unfit("an image adapter is of image-text models".to_owned()))
    }

    /// The finished model.
    fn finish(&self, weights: Tensors) -> std::result::Result<TunedModel, TrainError>;
}

/// What the examples of a data set are for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Use {
    /// They fill what others leave of a batch.
    Rest,
    /// They have a share of each batch (experience replay).
    Share(f64),
    /// They are watched and not learned from.
    Held,
}

/// Numbers of examples, by where they come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    /// Those that have no share of their own.
    pub rest: Vec<usize>,
    /// Examples with the share of each batch that they have.
    pub shares: Vec<(f64, Vec<usize>)>,
    /// Those that are watched and not learned from.
    pub held: Vec<usize>,
}

impl Examples {
    /// Examples of one data set after another.
    #[must_use]
    pub fn new(parts: &[(Range<usize>, Use)]) -> Self {
        let mut this = Self::default();
        for (range, purpose) in parts {
            match purpose {
                Use::Share(share) => this.shares.push((*share, range.clone().collect())),
                Use::Rest => this.rest.extend(range.clone()),
                Use::Held => this.held.extend(range.clone()),
            }
        }
        this
    }

    /// How many are learned from.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rest.len() + self.shares.iter().map(|s| s.1.len()).sum::<usize>()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Examples of one step: of each source a stretch of a permutation that is drawn anew each time it is used up.
    #[must_use]
    pub fn draw(&self, rng: &CounterRng, step: usize, batch: usize) -> Vec<usize> {
        let batch = batch.min(self.len());
        let mut all = Vec::with_capacity(batch);
        let mut left = batch;
        for (i, (share, own)) in self.shares.iter().enumerate() {
            let n = ((share * batch as f64).round() as usize).min(own.len()).min(left);
            all.extend(stretch(own, &rng.stream(1 + i as u64), step, n));
            left -= n;
        }
        let n = left.min(self.rest.len());
        all.extend(stretch(&self.rest, rng, step, n));
        all
    }
}

fn stretch(all: &[usize], rng: &CounterRng, step: usize, n: usize) -> Vec<usize> {
    if n == 0 {
        return Vec::new();
    }
    let per_epoch = (all.len() / n).max(1);
    let (epoch, place) = (step / per_epoch, step % per_epoch);
    let order = rng.stream(epoch as u64).permutation(all.len());
    order[place * n..(place + 1) * n].iter().map(|&i| all[i]).collect()
}

/// Adds gradients of `more` to `sum`, times a factor.
pub(super) fn add_gradients(
    sum: &mut GradStore,
    more: &GradStore,
    parameters: &Parameters,
    factor: f64,
) -> Result<()> {
    for var in parameters.values() {
        let Some(gradient) = more.get(var.as_tensor()) else { continue };
        let scaled = if factor == 1.0 { gradient.clone() } else { (gradient * factor)? };
        add_gradient(sum, var.as_tensor(), scaled)?;
    }
    Ok(())
}

/// Adds to one gradient.
pub(super) fn add_gradient(sum: &mut GradStore, of: &Tensor, more: Tensor) -> Result<()> {
    let total = match sum.remove(of) {
        Some(gradient) => (gradient + more)?,
        None => more,
    };
    sum.insert(of, total);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_share_and_is_gone_through_before_it_repeats() {
        let examples =
            Examples::new(&[(0..60, Use::Rest), (60..100, Use::Share(0.25)), (100..120, Use::Held)]);
        let rng = CounterRng::new(3, "draw");
        let mut seen = vec![0; 100];
        for step in 0..10 {
            let batch = examples.draw(&rng, step, 8);
            assert_eq!((batch.len(), batch.iter().filter(|&&i| i >= 60).count()), (8, 2));
            batch.iter().for_each(|&i| seen[i] += 1);
        }
        assert!(seen.iter().all(|&n| n <= 1));
        assert_eq!(examples.draw(&rng, 3, 8), examples.draw(&rng, 3, 8));
        assert_eq!(Examples::new(&[(0..5, Use::Rest)]).draw(&rng, 0, 100).len(), 5);
    }
}
