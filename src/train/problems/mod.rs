//! What is learned, by track. To add a problem, write a file with a `Problem` and let [`open`] make it.

mod captions;
mod heads;
mod images;
mod texts;

use captions::Captions;
use images::Images;
use texts::Texts;

use super::TrainError;
use super::presets::Learns;
use super::problem::Problem;
use super::recipe::Recipe;
use crate::catalog::Catalog;

/// Data, model and loss of a recipe.
pub(super) fn open(recipe: &Recipe, catalog: &Catalog) -> Result<Box<dyn Problem>, TrainError> {
    let starts_anew = matches!(recipe.method.learns, Learns::NewCaptions | Learns::NewTexts);
    for (key, given) in [("model", recipe.model.is_some()), ("tokenizer", recipe.tokenizer.is_some())] {
        if given && !starts_anew {
            return Err(recipe.mistake(format!("this method takes its `{key}` from `from`")));
        }
    }
    let texts = recipe.data.iter().any(|d| d.task.is_some());
    if texts && !matches!(recipe.method.learns, Learns::Task | Learns::NewTexts) {
        return Err(
            recipe.mistake("this method learns from images of classes; a `task` makes texts of its data")
        );
    }
    Ok(match recipe.method.learns {
        Learns::Task if texts => Box::new(Texts::load(recipe, catalog)?),
        Learns::Task | Learns::Alignment => Box::new(Images::load(recipe, catalog)?),
        Learns::Captions => Box::new(Captions::load(recipe, catalog)?),
        Learns::NewCaptions => Box::new(Captions::new(recipe, catalog)?),
        Learns::NewTexts => Box::new(Texts::new(recipe, catalog)?),
    })
}
