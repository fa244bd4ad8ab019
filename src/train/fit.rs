//! Whether what a recipe asks for means something for what trains.

use super::parts::{Term, Trained};
use super::problem::Problem;
use super::{Recipe, TrainError};

/// Refuses what would have no meaning, or no effect that anybody sees.
pub(super) fn check(recipe: &Recipe, problem: &dyn Problem, trained: &dyn Trained) -> Result<(), TrainError> {
    let has_path = recipe.terms.iter().any(|t| matches!(t, Term::Path(_)));
    if has_path && recipe.finetuned.is_none() {
        return Err(TrainError::Unfit("a path needs `finetuned`".to_owned()));
    }
    // A fine-tuned checkpoint that changes nothing would be a mistake that nobody sees.
    let used = trained.are_weights() || has_path || problem.uses_finetuned();
    if recipe.finetuned.is_some() && !used {
        let what =
            "`finetuned` is the end of a path of weights or of learned context; what trains here is neither";
        return Err(TrainError::Unfit(what.to_owned()));
    }
    let drawn = recipe.terms.iter().filter(|t| matches!(t, Term::Drawn(_))).count();
    if drawn > 1 {
        return Err(TrainError::Unfit("the loss is at one place of the way; two are drawn".to_owned()));
    }
    if drawn > 0 && !trained.are_weights() {
        let what = "a way from the start is one of weights; what trains here is none";
        return Err(TrainError::Unfit(what.to_owned()));
    }
    let penalised = recipe.terms.iter().any(|t| matches!(t, Term::Weights(_)));
    if penalised && !trained.are_weights() {
        let what = "a distance to the start is one of weights; what trains here is none";
        return Err(TrainError::Unfit(what.to_owned()));
    }
    if recipe.groups.balance.is_some() && !trained.are_weights() {
        return Err(TrainError::Unfit("a balance is one of weights; what trains here is none".to_owned()));
    }
    for (key, count) in [("save_fisher", recipe.save_fisher), ("save_gram", recipe.save_gram)] {
        if count > 0 && !trained.are_weights() {
            return Err(TrainError::Unfit(format!("`{key}` is about weights; what trains here is none")));
        }
    }
    Ok(())
}
