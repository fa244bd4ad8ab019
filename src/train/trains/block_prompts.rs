//! Learned tokens in the blocks of both towers, whose weights stay: each tower its own (IVLP, PromptSRC), or those of the image
//! tower made of those of the text tower (MaPLe).

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};

use super::context;
use super::learned::Learned;
use crate::base::config::Section;
use crate::base::registry::named_by_fields;
use crate::base::rng::CounterRng;
use crate::checkpoint::Tensors;
use crate::model::clip::{BlockPrompts, CONTEXT};
use crate::train::TrainError;
use crate::train::outputs::Parameters;
use crate::train::parts::{Trained, Trains, TrainsKind};
use crate::train::problem::Problem;

/// A kind of prompts.
pub(super) struct BlockPromptsKind {
    name: &'static str,
    summary: &'static str,
    reference: &'static str,
    coupled: bool,
}

/// Each tower its own.
pub(super) static INDEPENDENT: BlockPromptsKind = BlockPromptsKind {
    name: "block-prompts",
    summary: "`vectors` (4) context vectors from \"a photo of a\", `image_vectors` (4) tokens behind those of an image, and as many in \
              the blocks of both towers up to the `prompt_depth`-th (9)",
    reference: "arXiv:2307.06948; muzairkhattak/PromptSRC, `trainers/independentVL.py`",
    coupled: false,
};
/// Those of the image tower made of those of the text tower.
pub(super) static COUPLED: BlockPromptsKind = BlockPromptsKind {
    name: "coupled-prompts",
    summary: "`vectors` (4) context vectors from \"a photo of a\", as many in the blocks of the text tower up to the `prompt_depth`-th (9), \
              and a linear layer for each that makes those of the image tower",
    reference: "arXiv:2210.03117; muzairkhattak/multimodal-prompt-learning, `trainers/maple.py`",
    coupled: true,
};

named_by_fields!(BlockPromptsKind);

impl TrainsKind for BlockPromptsKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Trains> {
        let size = |key: &'static str, usual| section.count(key).map_or(usual, |c| c.value.max(1) as usize);
        let vectors = size("vectors", 4);
        Arc::new(Prompts {
            coupled: self.coupled,
            vectors,
            image_vectors: if self.coupled { vectors } else { size("image_vectors", 4) },
            depth: size("prompt_depth", 9),
        })
    }
}

#[derive(Debug)]
struct Prompts {
    coupled: bool,
    vectors: usize,
    image_vectors: usize,
    /// Blocks with prompts, the first of which has what enters its tower.
    depth: usize,
}

impl Trains for Prompts {
    /// Those that the checkpoint has are trained on; else tokens are normal with a deviation of 0.02 and layers uniform within one over
    /// the root of their inputs, the same in all blocks, as the released codes.
    fn prepare(&self, problem: &dyn Problem, seed: u64) -> std::result::Result<Box<dyn Trained>, TrainError> {
        let start = problem.start();
        let mut parameters: Parameters = Parameters::new();
        let stored = start.iter().filter(|(name, _)| BlockPrompts::owns(name) || *name == CONTEXT);
        for (name, tensor) in stored.clone() {
            parameters.insert(name.clone(), Var::from_tensor(&tensor.copy()?)?);
        }
        if !parameters.keys().any(|name| BlockPrompts::owns(name)) {
            parameters = self.drawn(problem, seed)?;
        } else if parameters.keys().any(|name| BlockPrompts::is_projection(name)) != self.coupled {
            let what = "the checkpoint's prompts are of the other kind: `block-prompts` of each tower, `coupled-prompts` of both";
            return Err(TrainError::Unfit(what.to_owned()));
        }
        let mut copies = Vec::new();
        if self.coupled {
            // One value each for both towers, under the text tower's name.
            for name in parameters.keys().filter(|name| !BlockPrompts::is_projection(name)) {
                if let Some(copy) = BlockPrompts::of_image(name, CONTEXT) {
                    copies.push((name.clone(), copy));
                }
            }
            copies.iter().for_each(|(_, copy)| drop(parameters.remove(copy)));
        }
        Ok(Box::new(Learned { parameters, fixed: Tensors::new(), copies }))
    }
}

impl Prompts {
    fn drawn(&self, problem: &dyn Problem, seed: u64) -> std::result::Result<Parameters, TrainError> {
        let start = problem.start();
        let width = |tower: &str, block: usize| {
            let norm = format!("{tower}.encoder.layers.{block}.layer_norm1.bias");
            start.get(&norm).map(Tensor::elem_count)
        };
        let (Some(image), Some(text)) = (width("vision_model", 0), width("text_model", 0)) else {
            return Err(TrainError::Unfit("prompts in blocks are of image-text models".to_owned()));
        };
        let rng = CounterRng::new(seed, "block-prompts");
        let mut made = 0;
        let mut drawn = |shape: &[usize], uniform: Option<f64>| -> candle_core::Result<Var> {
            made += 1;
            let mut own = rng.stream(made);
            let mut one = || match uniform {
                Some(bound) => own.range(-bound, bound),
                None => 0.02 * own.normal(),
            };
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| one() as f32).collect();
            Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)
        };
        let first = context::start_of(problem, self.vectors)?;
        let mut parameters = Parameters::from([(CONTEXT.to_owned(), Var::from_tensor(&first)?)]);
        let bound = Some((text as f64).powf(-0.5));
        let layers = [drawn(&[image, text], bound)?, drawn(&[image], bound)?];
        for block in 0..self.depth {
            let (of_text, of_image) = BlockPrompts::names(block);
            let (in_text, in_image) =
                (width("text_model", block).is_some(), width("vision_model", block).is_some());
            if let Some(name) = of_text.filter(|_| in_text && (in_image || !self.coupled)) {
                parameters.insert(name, drawn(&[self.vectors, text], None)?);
            }
            if !in_image || self.coupled && !in_text {
                continue;
            }
            if self.coupled {
                let of_layer = |part: &str| BlockPrompts::projection_of(&of_image, part);
                for (part, layer) in ["weight", "bias"].into_iter().zip(&layers) {
                    parameters.insert(of_layer(part), Var::from_tensor(&layer.as_tensor().copy()?)?);
                }
            } else {
                parameters.insert(of_image, drawn(&[self.image_vectors, image], None)?);
            }
        }
        Ok(parameters)
    }
}
