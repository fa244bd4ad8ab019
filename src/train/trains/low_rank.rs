//! LoRA under training (Hu et al. 2021, arXiv:2106.09685): factors by module, and the weights that they change.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Result, Tensor, Var};
use serde_json::{Value, json};

use crate::base::config::Section;
use crate::base::registry::Named;
use crate::base::rng::CounterRng;
use crate::checkpoint::Tensors;
use crate::train::TrainError;
use crate::train::outputs::Parameters;
use crate::train::parts::{Trained, Trains, TrainsKind};
use crate::train::problem::{Part, Problem};

/// The kind.
pub(super) struct LoraKind;

impl Named for LoraKind {
    fn name(&self) -> &'static str {
        "lora"
    }
    fn summary(&self) -> &'static str {
        "low-rank factors of some linear layers (`rank` 8, `lora_alpha` 16, `targets`), and a classifier's head; written as a \
         PEFT adapter for language models, merged for image-text models"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2106.09685; huggingface/peft"
    }
}

impl TrainsKind for LoraKind {
    fn read(&self, section: &Section<'_>) -> Arc<dyn Trains> {
        let targets = section.texts("targets");
        let usual = || vec!["q_proj".to_owned(), "v_proj".to_owned()];
        Arc::new(Lora {
            rank: section.count("rank").map_or(8, |c| c.value.max(1) as usize),
            alpha: section.number_in("lora_alpha", 0.0..=1e6).map_or(16.0, |n| n.value),
            targets: targets.map_or_else(usual, |t| t.into_iter().map(|t| t.value).collect()),
        })
    }
}

/// Settings.
#[derive(Clone, Debug, PartialEq)]
struct Lora {
    /// Rank of the factors.
    rank: usize,
    /// The product is multiplied by this over the rank.
    alpha: f64,
    /// Last parts of the names of adapted modules.
    targets: Vec<String>,
}

const A: &str = "lora_A";
const B: &str = "lora_B";

fn factor(module: &str, which: &str) -> String {
    format!("base_model.model.{module}.{which}.weight")
}

impl Trains for Lora {
    /// A is drawn as PEFT draws it (uniform within one over the root of its inputs), B is zero.
    fn prepare(&self, problem: &dyn Problem, seed: u64) -> std::result::Result<Box<dyn Trained>, TrainError> {
        let mut modules = Vec::new();
        let mut parameters = BTreeMap::new();
        let rng = CounterRng::new(seed, "lora");
        for (name, weight) in problem.start() {
            let part = problem.part(name);
            if part == Part::Head && problem.has_classifier() {
                parameters.insert(name.clone(), Var::from_tensor(&weight.copy()?)?);
            }
            let Some(module) = name.strip_suffix(".weight") else { continue };
            let last = module.rsplit('.').next().unwrap_or_default();
            let inside = !matches!(part, Part::Other | Part::Head);
            if !inside || weight.rank() != 2 || !self.targets.iter().any(|t| t == last) {
                continue;
            }
            let (to, from) = weight.dims2()?;
            let mut own = rng.stream(modules.len() as u64);
            let bound = (from as f64).powf(-0.5);
            let values: Vec<f32> = (0..self.rank * from).map(|_| own.range(-bound, bound) as f32).collect();
            let a = Tensor::from_vec(values, (self.rank, from), &Device::Cpu)?;
            let b = Tensor::zeros((to, self.rank), a.dtype(), &Device::Cpu)?;
            parameters.insert(factor(module, A), Var::from_tensor(&a)?);
            parameters.insert(factor(module, B), Var::from_tensor(&b)?);
            modules.push(module.to_owned());
        }
        if modules.is_empty() {
            return Err(TrainError::Unfit(format!("no module is called {}", self.targets.join(" or "))));
        }
        let whole = parameters.keys().filter(|name| problem.start().contains_key(*name)).cloned().collect();
        Ok(Box::new(Factors { spec: self.clone(), modules, whole, parameters }))
    }
}

/// Factors of the adapted modules.
struct Factors {
    spec: Lora,
    /// Names of the adapted weights.
    modules: Vec<String>,
    /// Trained weights without factors: the head.
    whole: Vec<String>,
    parameters: Parameters,
}

impl Trained for Factors {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The weights with the product added.
    fn weights(&self, start: &Tensors) -> Result<Tensors> {
        let mut all = start.clone();
        let scale = self.spec.alpha / self.spec.rank as f64;
        for module in &self.modules {
            let product = self.parameters[&factor(module, B)].matmul(&self.parameters[&factor(module, A)])?;
            let name = format!("{module}.weight");
            let changed = (&start[&name] + (product * scale)?)?;
            all.insert(name, changed);
        }
        for name in &self.whole {
            all.insert(name.clone(), self.parameters[name].as_tensor().clone());
        }
        Ok(all)
    }

    /// `adapter_config.json` as PEFT reads it.
    fn adapter(&self) -> Option<Value> {
        let config = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "r": self.spec.rank,
            "lora_alpha": self.spec.alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": false,
            "target_modules": self.spec.targets,
        });
        self.whole.is_empty().then_some(config)
    }

    fn are_weights(&self) -> bool {
        false
    }
}
