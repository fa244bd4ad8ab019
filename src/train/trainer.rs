//! The loop that all methods share: optimiser, schedule, clipping, resuming.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Tensor, Var};

use super::groups::Rates;
use super::observed::Observed;
use super::optimiser::Optimising;
use super::outputs::OutputTerm;
use super::parts::{Held, PathTerm, Term, Trained, Updating, WeightTerm};
use super::problem::{Problem, StepOutcome, add_gradient, add_gradients};
use super::resume::{Resume, copies, of, under};
use super::written::{LOG, Training, TrainingData, is_finished, write_model, write_training};
use super::{Recipe, Schedule, TrainError, TunedModel, fit, inputs, problems};
use crate::base::digest::Digest;
use crate::base::registry::Named as _;
use crate::catalog::Catalog;
use crate::checkpoint::{FISHER_FILE, GRAM_FILE, Tensors, write_safetensors};

/// What happens while a model is tuned.
#[derive(Clone, Debug)]
pub enum TuneEvent {
    /// It is there already, made by the same recipe.
    Kept(PathBuf),
    /// Training data is loaded.
    Ready {
        /// Trained values.
        parameters: usize,
        /// Steps of the whole training.
        steps: usize,
        /// Steps that an earlier run did.
        done: usize,
        /// Strengths of penalties on weights, by name: in words, on sum and mean.
        penalties: Vec<(&'static str, String)>,
    },
    /// A step is done.
    Step {
        /// Its number from 1.
        step: usize,
        /// Its loss.
        loss: f64,
        /// Share of its batch that is right.
        accuracy: f64,
        /// Its learning rate.
        lr: f64,
    },
    /// The checkpoint is written.
    Written(PathBuf),
}

/// How a recipe is run. Nothing here changes a weight.
#[derive(Clone, Copy, Debug, Default)]
pub struct TuneOptions {
    /// Train again what is there.
    pub fresh: bool,
}

/// Runs a recipe and writes its checkpoint. `listen` returns false to stop.
pub fn tune(
    recipe: &Recipe,
    catalog: &Catalog,
    options: TuneOptions,
    mut listen: impl FnMut(TuneEvent) -> bool,
) -> std::result::Result<(), TrainError> {
    let inputs = inputs::digests(recipe, catalog)?;
    if !options.fresh && is_finished(recipe, &inputs) {
        listen(TuneEvent::Kept(recipe.out.clone()));
        return Ok(());
    }
    let problem = problems::open(recipe, catalog)?;
    let mut training = Run::new(recipe, &*problem).map_err(|e| named(recipe, e))?;
    let resume = Resume::new(&recipe.out, Digest::of_value(&(&recipe.text, &inputs)).as_str());
    let done = if options.fresh { 0 } else { training.resume(&resume)? };
    let penalties = training.penalties();
    listen(TuneEvent::Ready { parameters: training.values, steps: recipe.steps, done, penalties });
    let mut ended = recipe.steps;
    for step in done..recipe.steps {
        let (outcome, lr) = training.step(step).map_err(|e| named(recipe, e))?;
        let event = TuneEvent::Step { step: step + 1, loss: outcome.loss, accuracy: outcome.accuracy, lr };
        let go_on = listen(event);
        let last = training.watch(step).map_err(|e| named(recipe, e))?;
        if !last && (!go_on || (step + 1) % recipe.save_every == 0) {
            resume.save(step + 1, &training.state())?;
            crate::base::fs::write_atomic(&recipe.out.join(LOG), training.log.as_bytes())?;
        }
        if last {
            ended = step + 1;
            break;
        }
        if !go_on {
            return Err(TrainError::Interrupted(step + 1));
        }
    }
    training.finish(inputs, ended)?;
    resume.clear()?;
    listen(TuneEvent::Written(recipe.out.clone()));
    Ok(())
}

/// Says which recipe does not fit its model.
fn named(recipe: &Recipe, error: TrainError) -> TrainError {
    match error {
        TrainError::Unfit(reason) => recipe.mistake(reason),
        other => other,
    }
}

/// A recipe at work.
struct Run<'a> {
    recipe: &'a Recipe,
    problem: &'a dyn Problem,
    trained: Box<dyn Trained>,
    /// Number of trained values.
    values: usize,
    optimising: Optimising,
    rates: Rates,
    updates: Vec<Box<dyn Updating>>,
    /// Importance of each weight, by penalty.
    importance: Vec<Option<Tensors>>,
    /// The fine-tuned end of a path.
    finetuned: Option<Tensors>,
    /// `train.csv` so far.
    log: String,
}

/// The first line of `train.csv`.
fn header(rates: &Rates) -> String {
    format!("step,lr,loss,task_loss,accuracy{},held_loss,held_accuracy\n", rates.header())
}

impl<'a> Run<'a> {
    fn new(recipe: &'a Recipe, problem: &'a dyn Problem) -> std::result::Result<Self, TrainError> {
        let trained = recipe.trains.prepare(problem, recipe.seed)?;
        let finetuned = recipe.finetuned.as_ref().map(|path| problem.weights_of(path)).transpose()?;
        fit::check(recipe, problem, &*trained)?;
        let parameters = trained.parameters();
        let values = parameters.values().map(|v| v.elem_count()).sum();
        let decays = |var: &Var| recipe.decay_all || var.rank() >= 2;
        let decay = |(name, var): (&String, &Var)| {
            (name.clone(), if decays(var) { recipe.weight_decay } else { 0.0 })
        };
        let optimising = Optimising::new(recipe.optimiser, parameters.iter().map(decay).collect());
        let updates: Vec<Box<dyn Updating>> =
            recipe.updates.iter().map(|u| u.prepare(parameters, recipe.steps)).collect::<Result<_>>()?;
        let watches = updates.iter().any(|u| u.watches().is_some());
        if watches != recipe.validation.is_some() {
            let what = "`[validation]` and an update that watches it (`early-stop`) go together; one of them is missing";
            return Err(TrainError::Unfit(what.to_owned()));
        }
        let rates = Rates::new(&recipe.groups, parameters)?;
        let mut this = Self {
            recipe,
            problem,
            values,
            optimising,
            updates,
            importance: Vec::new(),
            finetuned,
            trained,
            log: header(&rates),
            rates,
        };
        let importance = this.weight_terms().map(|t| t.fisher().map(|n| this.fisher(n)).transpose());
        this.importance = importance.collect::<std::result::Result<_, _>>()?;
        this.start_on_the_way()?;
        Ok(this)
    }

    fn weight_terms(&self) -> impl Iterator<Item = &'a std::sync::Arc<dyn WeightTerm>> + use<'a> {
        let recipe = self.recipe;
        recipe.terms.iter().filter_map(|t| if let Term::Weights(term) = t { Some(term) } else { None })
    }

    /// Training starts at `tau` of the way to the fine-tuned checkpoint.
    fn start_on_the_way(&self) -> std::result::Result<(), TrainError> {
        let Some(finetuned) = self.finetuned.as_ref().filter(|_| self.trained.are_weights()) else {
            return Ok(());
        };
        let tau = self.recipe.tau;
        for (name, var) in self.trained.parameters() {
            let end = finetuned.get(name).ok_or_else(|| {
                TrainError::Unfit(format!("the `finetuned` checkpoint has no tensor `{name}`"))
            })?;
            var.set(&((var.as_tensor().detach() * (1.0 - tau))? + (end * tau)?)?)?;
        }
        Ok(())
    }

    /// Mean squared gradients of so many single examples, as the weights are now.
    fn fisher(&self, count: usize) -> std::result::Result<Tensors, TrainError> {
        let examples = self.problem.examples().draw(&self.problem.rng().stream(77), 0, count);
        let parameters = self.trained.parameters();
        let mut all = Tensors::new();
        for &example in &examples {
            let weights = || self.trained.weights(self.problem.start());
            let outcome = self.problem.step(0, &weights, parameters, &[example], &[])?;
            for (name, var) in parameters {
                let Some(gradient) = outcome.gradients.get(var.as_tensor()) else { continue };
                let square = (gradient.sqr()? / examples.len() as f64)?;
                let sum = match all.get(name) {
                    Some(sum) => (sum + square)?,
                    None => square,
                };
                all.insert(name.clone(), sum);
            }
        }
        Ok(all)
    }

    /// Products of the inputs of linear layers over so many examples, as the weights are now.
    fn grams(&self, count: usize) -> std::result::Result<Tensors, TrainError> {
        let examples = self.problem.examples().draw(&self.problem.rng().stream(78), 0, count);
        let observed = Observed::new(self.trained.weights(self.problem.start())?);
        self.problem.observe(&observed, &examples)?;
        Ok(observed.grams()?)
    }

    fn penalties(&self) -> Vec<(&'static str, String)> {
        self.weight_terms().map(|t| (t.name(), t.strength().text(self.values))).collect()
    }

    fn step(&mut self, step: usize) -> std::result::Result<(StepOutcome, f64), TrainError> {
        let lr = learning_rate(self.recipe, step);
        let mut outcome = self.outcome(step)?;
        if !outcome.loss.is_finite() {
            return Err(TrainError::Diverged { step, loss: outcome.loss });
        }
        let parameters = self.trained.parameters();
        clip(&mut outcome.gradients, parameters.values(), self.recipe.clip_norm)?;
        let before = if self.rates.is_due(step) { Some(copies(parameters)?) } else { None };
        let rate = |name: &str| lr * self.rates.of(name);
        self.optimising.step(parameters, &outcome.gradients, &rate)?;
        for update in &mut self.updates {
            update.after(step + 1, parameters, &outcome.gradients)?;
        }
        if let Some(before) = before {
            self.balance(step, before)?;
        }
        self.log.push_str(&format!(
            "{},{lr},{},{},{}{},,\n",
            step + 1,
            outcome.loss,
            outcome.task,
            outcome.accuracy,
            self.rates.columns()
        ));
        Ok((outcome, lr))
    }

    /// Measures how much the step of each of two groups alone changed what the model gives for it.
    fn balance(&mut self, step: usize, before: Tensors) -> std::result::Result<(), TrainError> {
        let parameters = self.trained.parameters();
        let examples = self.problem.examples().draw(&self.problem.rng(), step, self.recipe.batch);
        let mut whole = self.problem.start().clone();
        whole.extend(before);
        let mut changes = [0.0; 2];
        for (group, change) in changes.iter_mut().enumerate() {
            let after = self.rates.moved(group, &whole, parameters);
            *change = self.problem.divergence(step, &whole, &after, &examples)?;
        }
        self.rates.measured(changes)
    }

    /// Looks at the data that are not learned from, if an update wants to; whether training ends here.
    fn watch(&mut self, step: usize) -> std::result::Result<bool, TrainError> {
        let last = step + 1 == self.recipe.stop_at.unwrap_or(usize::MAX).min(self.recipe.steps);
        let due =
            |u: &dyn Updating| u.watches().is_some_and(|every| last || (step + 1).is_multiple_of(every));
        if self.updates.iter().any(|u| due(&**u)) {
            let held = self.held()?;
            // In the two empty places of the step's line.
            self.log.truncate(self.log.len() - 2);
            self.log.push_str(&format!("{},{}\n", held.loss, held.accuracy));
            let parameters = self.trained.parameters();
            for update in self.updates.iter_mut().filter(|u| due(&***u)) {
                update.watched(held, parameters)?;
            }
        }
        Ok(last || self.updates.iter().any(|u| u.is_done()))
    }

    /// How the model does on the data that are not learned from.
    fn held(&self) -> std::result::Result<Held, TrainError> {
        let all = &self.problem.examples().held;
        let parameters = self.trained.parameters();
        let mut held = Held { loss: 0.0, accuracy: 0.0 };
        for batch in all.chunks(self.recipe.batch) {
            let weights = || self.trained.weights(self.problem.start());
            let outcome = self.problem.step(0, &weights, parameters, batch, &[])?;
            let share = batch.len() as f64 / all.len() as f64;
            held.loss += share * outcome.task;
            held.accuracy += share * outcome.accuracy;
        }
        Ok(held)
    }

    /// Loss and gradients, all terms included.
    fn outcome(&self, step: usize) -> std::result::Result<StepOutcome, TrainError> {
        let parameters = self.trained.parameters();
        let examples = self.problem.examples().draw(&self.problem.rng(), step, self.recipe.batch);
        let start = self.problem.start();
        let on_outputs: Vec<&dyn OutputTerm> = self
            .recipe
            .terms
            .iter()
            .filter_map(|t| if let Term::Outputs(term) = t { Some(&**term) } else { None })
            .collect();
        let drawn =
            self.recipe.terms.iter().find_map(|t| if let Term::Drawn(d) = t { Some(d) } else { None });
        let place = drawn.map_or(1.0, |d| d.at(&self.problem.rng().stream(79), step));
        let trained = &*self.trained;
        let weights = || on_the_way(trained, start, (start, place));
        let mut outcome = self.problem.step(step, &weights, parameters, &examples, &on_outputs)?;
        for term in &self.recipe.terms {
            if let (Term::Path(path), Some(finetuned)) = (term, &self.finetuned) {
                self.path(path, finetuned, (step, &examples), &mut outcome)?;
            }
        }
        for (term, importance) in self.weight_terms().zip(&self.importance) {
            let factor = term.strength().on_sum(self.values);
            for (name, var) in parameters {
                let importance = importance.as_ref().and_then(|all| all.get(name));
                let weight = var.as_tensor().detach();
                let (value, gradient) = term.of(&weight, &start[name], importance)?;
                outcome.loss += factor * value;
                add_gradient(&mut outcome.gradients, var.as_tensor(), (gradient * factor)?)?;
            }
        }
        Ok(outcome)
    }

    /// Adds the mean loss on the way from the fine-tuned weights.
    fn path(
        &self,
        term: &PathTerm,
        finetuned: &Tensors,
        (step, examples): (usize, &[usize]),
        outcome: &mut StepOutcome,
    ) -> std::result::Result<(), TrainError> {
        let parameters = self.trained.parameters();
        let places = term.places();
        let factor = term.factor / places.len() as f64;
        let (trained, start) = (&*self.trained, self.problem.start());
        for place in places {
            let weights = || on_the_way(trained, start, (finetuned, place));
            let there = self.problem.step(step, &weights, parameters, examples, &[])?;
            outcome.loss += factor * there.loss;
            add_gradients(&mut outcome.gradients, &there.gradients, parameters, factor)?;
        }
        Ok(())
    }

    /// Everything that the next step depends on.
    fn state(&self) -> Tensors {
        let parameters = self.trained.parameters().iter();
        let values = parameters.map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect();
        let mut all = under("parameter", &values);
        all.extend(under("optimiser", &self.optimising.state()));
        all.extend(under("rates", &self.rates.state()));
        for (i, update) in self.updates.iter().enumerate() {
            all.extend(under(&format!("update-{i}"), &update.state()));
        }
        all
    }

    /// Goes on from the last state of an earlier run; the steps that it did.
    fn resume(&mut self, resume: &Resume) -> std::result::Result<usize, TrainError> {
        let Some((done, state)) = resume.load()? else { return Ok(0) };
        let values = of("parameter", &state);
        for (name, var) in self.trained.parameters() {
            let Some(value) = values.get(name) else { return Ok(0) };
            var.set(value)?;
        }
        self.optimising.restore(&of("optimiser", &state), done);
        self.rates.restore(&of("rates", &state));
        for (i, update) in self.updates.iter_mut().enumerate() {
            update.restore(&of(&format!("update-{i}"), &state));
        }
        let earlier = std::fs::read_to_string(self.recipe.out.join(LOG)).unwrap_or_default();
        self.log.extend(earlier.lines().skip(1).take(done).flat_map(|line| [line, "\n"]));
        Ok(done)
    }

    /// Writes the result, of so many steps.
    fn finish(
        mut self,
        inputs: BTreeMap<String, String>,
        steps: usize,
    ) -> std::result::Result<(), TrainError> {
        for update in &mut self.updates {
            update.finish(self.trained.parameters())?;
        }
        let model = match self.trained.adapter() {
            Some(config) => {
                let parameters = self.trained.parameters().iter();
                let tensors = parameters.map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect();
                TunedModel::Adapter { config, tensors }
            }
            None if let Some(part) = self.trained.part() => {
                TunedModel::Part { tensors: part.into_iter().map(|(n, t)| (n, t.detach())).collect() }
            }
            None => {
                let weights = self.trained.weights(self.problem.start())?;
                self.problem.finish(weights.into_iter().map(|(n, t)| (n, t.detach())).collect())?
            }
        };
        write_model(self.recipe, model)?;
        if self.recipe.save_fisher > 0 {
            let fisher = self.fisher(self.recipe.save_fisher)?;
            write_safetensors(&self.recipe.out.join(FISHER_FILE), &fisher, DType::F32)?;
        }
        if self.recipe.save_gram > 0 {
            let grams = self.grams(self.recipe.save_gram)?;
            write_safetensors(&self.recipe.out.join(GRAM_FILE), &grams, DType::F32)?;
        }
        let data = self.recipe.data.iter().zip(self.problem.digests()).map(|(data, digest)| TrainingData {
            dataset: data.dataset.clone(),
            split: data.split.clone(),
            digest: digest.as_str().to_owned(),
        });
        let training = Training {
            specbench: env!("CARGO_PKG_VERSION").to_owned(),
            method: self.recipe.method.name().to_owned(),
            seed: self.recipe.seed,
            steps,
            parameters: self.values,
            data: data.collect(),
            inputs,
        };
        write_training(self.recipe, &training, self.log.as_bytes())
    }
}

/// All weights at a place of the way from some others (0) to those under training (1), under gradient.
fn on_the_way(trained: &dyn Trained, start: &Tensors, (from, place): (&Tensors, f64)) -> Result<Tensors> {
    let mut all = trained.weights(start)?;
    if place < 1.0 {
        for (name, tensor) in all.iter_mut().filter(|(_, tensor)| tensor.track_op()) {
            if let Some(end) = from.get(name) {
                *tensor = ((end * (1.0 - place))? + (&*tensor * place)?)?;
            }
        }
    }
    Ok(all)
}

/// Linear warm-up, then what the schedule says.
fn learning_rate(recipe: &Recipe, step: usize) -> f64 {
    if step < recipe.warmup {
        return recipe.lr * (step + 1) as f64 / recipe.warmup as f64;
    }
    match recipe.schedule {
        Schedule::Constant => recipe.lr,
        Schedule::Cosine => {
            let progress = (step - recipe.warmup) as f64 / (recipe.steps - recipe.warmup).max(1) as f64;
            0.5 * (1.0 + (std::f64::consts::PI * progress).cos()) * recipe.lr
        }
    }
}

/// Scales the gradients down to a global norm of at most `limit`.
fn clip<'a>(gradients: &mut GradStore, parameters: impl Iterator<Item = &'a Var>, limit: f64) -> Result<()> {
    let tensors: Vec<&Tensor> = parameters.map(Var::as_tensor).collect();
    let mut square = 0.0;
    for tensor in &tensors {
        if let Some(gradient) = gradients.get(tensor) {
            square += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
    }
    let norm = square.sqrt();
    if norm > limit && norm.is_finite() {
        for tensor in tensors {
            if let Some(gradient) = gradients.remove(tensor) {
                gradients.insert(tensor, (gradient * (limit / norm))?);
            }
        }
    }
    Ok(())
}
