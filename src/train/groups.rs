//! Groups of weights with learning rates of their own, and a balance between two of them.
//!
//! The balance is made after CoMMIT (Li et al. 2025, arXiv:2407.20454), whose two groups are a feature encoder and a language model.
//! From it: the balance coefficient is the ratio of two Kullback-Leibler divergences, each of how much one group's step alone
//! changes what the model gives, and rates follow a running account of it. Its formula for the rates could not be had, so that
//! the rule is ours: with `s += gain / 4 ln(coefficient)` the first group's rate is multiplied by `exp(-s)` and the second's by
//! `exp(s)`, which comes to rest where both change the output equally; `gain = 1` takes an imbalance away at once, where
//! divergences grow with squares of rates. Its regularisation towards larger steps is left out.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::TrainError;
use super::outputs::Parameters;
use crate::base::config::Section;
use crate::checkpoint::Tensors;

/// Weights that have a rate of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Globs of their names.
    pub tensors: Vec<glob::Pattern>,
    /// What the learning rate is multiplied by for them.
    pub rate: f64,
}

/// How two groups are kept in balance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    /// Steps from measurement to measurement.
    pub every: usize,
    /// How much of an imbalance one measurement takes away.
    pub gain: f64,
    /// How many times larger or smaller than its own rate a group's may become.
    pub limit: f64,
}

/// Groups of a recipe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Groups {
    /// In the order of the recipe.
    pub all: Vec<Group>,
    /// Between the first two.
    pub balance: Option<Balance>,
}

/// Reads `[[group]]`, and the balance from `[train]`.
pub(super) fn read(root: &Section<'_>, train: &Section<'_>) -> Groups {
    let all = root.sections("group").iter().filter_map(group).collect::<Vec<_>>();
    let every = train.count("balance_every");
    let gain = train.number_in("balance_gain", 0.0..=1.0).map_or(0.5, |n| n.value);
    let limit = train.number_in("balance_limit", 1.0..=1e6).map_or(10.0, |n| n.value);
    let every = every.filter(|every| every.value > 0);
    if let Some(every) = every.as_ref().filter(|_| all.len() != 2) {
        let text = format!("a balance is one of two groups (`[[group]]`), not of {}", all.len());
        train.note(every.span.clone(), text, None);
    }
    Groups { all, balance: every.map(|every| Balance { every: every.value as usize, gain, limit }) }
}

fn group(section: &Section<'_>) -> Option<Group> {
    let tensors = section.globs("tensors");
    let rate = section.number_in("rate", 0.0..=1e6).map_or(1.0, |n| n.value);
    section.finish();
    if tensors.is_empty() {
        section.note(section.span.clone(), "a group needs `tensors`, a list of globs", None);
        return None;
    }
    let tensors = tensors.iter().filter_map(|text| glob::Pattern::new(text).ok()).collect();
    Some(Group { tensors, rate })
}

/// Rates at work.
pub(super) struct Rates {
    groups: Groups,
    /// Which group a trained value belongs to.
    of: BTreeMap<String, usize>,
    /// How far the rates of the two balanced groups have moved; a number that survives being written down.
    shift: f32,
    /// The last balance coefficient.
    coefficient: Option<f64>,
}

const SHIFT: &str = "shift";

impl Rates {
    /// The groups of these parameters, each of which belongs to one at most.
    pub(super) fn new(groups: &Groups, parameters: &Parameters) -> Result<Self, TrainError> {
        let mut of = BTreeMap::new();
        for (i, group) in groups.all.iter().enumerate() {
            let mut found = false;
            for name in parameters.keys().filter(|name| group.tensors.iter().any(|t| t.matches(name))) {
                found = true;
                if let Some(other) = of.insert(name.clone(), i) {
                    let (a, b) = (other + 1, i + 1);
                    return Err(TrainError::Unfit(format!("`{name}` is in group {a} and in group {b}")));
                }
            }
            if !found {
                let (globs, number) = (words(group), i + 1);
                return Err(TrainError::Unfit(format!(
                    "nothing that trains is in group {number} ({globs}); what trains is {}",
                    parameters.keys().take(5).cloned().collect::<Vec<_>>().join(", ")
                )));
            }
        }
        Ok(Self { groups: groups.clone(), of, shift: 0.0, coefficient: None })
    }

    /// What the learning rate is multiplied by for a trained value.
    pub(super) fn of(&self, name: &str) -> f64 {
        self.of.get(name).map_or(1.0, |&group| self.rate(group))
    }

    /// The same for a group.
    fn rate(&self, group: usize) -> f64 {
        let shift = match (self.groups.balance, group) {
            (Some(_), 0) => -f64::from(self.shift),
            (Some(_), _) => f64::from(self.shift),
            (None, _) => 0.0,
        };
        self.groups.all[group].rate * shift.exp()
    }

    /// Whether the balance is measured at this step, counted from 0.
    pub(super) fn is_due(&self, step: usize) -> bool {
        self.groups.balance.is_some_and(|balance| (step + 1).is_multiple_of(balance.every))
    }

    /// The weights that a step of one group alone leads to.
    pub(super) fn moved(&self, group: usize, before: &Tensors, parameters: &Parameters) -> Tensors {
        let mut all = before.clone();
        for (name, var) in parameters.iter().filter(|(name, _)| self.of.get(*name) == Some(&group)) {
            all.insert(name.clone(), var.as_tensor().detach());
        }
        all
    }

    /// Takes in how much each group's step alone changed what the model gives. Towards the end of a schedule steps may become too small to
    /// change anything: rates then stay as they are.
    ///
    /// # Errors
    /// If a group's steps never changed anything.
    pub(super) fn measured(&mut self, changes: [f64; 2]) -> Result<(), TrainError> {
        let Some(balance) = self.groups.balance else { return Ok(()) };
        if let Some(still) = changes.iter().position(|&change| change <= 0.0) {
            if self.shift != 0.0 {
                return Ok(());
            }
            return Err(TrainError::Unfit(format!(
                "a step of group {} ({}) changes nothing of what the model gives, so that there is nothing to balance",
                still + 1,
                words(&self.groups.all[still])
            )));
        }
        let coefficient = changes[0] / changes[1];
        let most = balance.limit.ln();
        let shift = f64::from(self.shift) + balance.gain / 4.0 * coefficient.ln();
        self.shift = shift.clamp(-most, most) as f32;
        self.coefficient = Some(coefficient);
        Ok(())
    }

    /// Further columns of `train.csv`.
    pub(super) fn header(&self) -> &'static str {
        if self.groups.balance.is_some() { ",balance,rate_1,rate_2" } else { "" }
    }

    /// Their values: the coefficient where it was measured, and the rates that the next step has. Taken once a step.
    pub(super) fn columns(&mut self) -> String {
        if self.groups.balance.is_none() {
            return String::new();
        }
        let coefficient = self.coefficient.take().map_or_else(String::new, |c| c.to_string());
        format!(",{coefficient},{},{}", self.rate(0), self.rate(1))
    }

    /// What it carries from step to step.
    pub(super) fn state(&self) -> Tensors {
        let shift = Tensor::new(self.shift, &Device::Cpu).map(|shift| (SHIFT.to_owned(), shift));
        shift.into_iter().collect()
    }

    /// Goes on from [`Rates::state`].
    pub(super) fn restore(&mut self, state: &Tensors) {
        self.shift = state.get(SHIFT).and_then(|t| t.to_scalar().ok()).unwrap_or(0.0);
    }
}

fn words(group: &Group) -> String {
    group.tensors.iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Var};

    fn parameters() -> Parameters {
        let one = |name: &str| (name.to_owned(), Var::zeros((), DType::F32, &Device::Cpu).unwrap());
        ["tower.a", "tower.b", "head.a", "other"].map(one).into()
    }

    fn groups(balance: Option<Balance>) -> Groups {
        let group = |glob: &str, rate| Group { tensors: vec![glob::Pattern::new(glob).unwrap()], rate };
        Groups { all: vec![group("tower.*", 0.5), group("head.*", 8.0)], balance }
    }

    #[test]
    fn a_group_has_its_rate_and_what_is_in_none_has_that_of_all() {
        let rates = Rates::new(&groups(None), &parameters()).unwrap();
        assert_eq!(["tower.b", "head.a", "other"].map(|n| rates.of(n)), [0.5, 8.0, 1.0]);
    }

    #[test]
    fn a_balance_comes_to_rest_where_both_change_the_output_equally() {
        let balance = Balance { every: 1, gain: 0.5, limit: 100.0 };
        let mut rates = Rates::new(&groups(Some(balance)), &parameters()).unwrap();
        // Changes grow with squares of rates; the head's are 30 times those of the tower at the same rate.
        for _ in 0..40 {
            rates.measured([rates.rate(0).powi(2), 30.0 * rates.rate(1).powi(2)]).unwrap();
        }
        let (first, second) = (rates.rate(0), rates.rate(1));
        assert!((first.powi(2) / (30.0 * second.powi(2)) - 1.0).abs() < 1e-3, "{first} {second}");
        assert!((first * second - 4.0).abs() < 1e-5);
        // Never further than the limit.
        let mut tight = Rates::new(&groups(Some(Balance { limit: 2.0, ..balance })), &parameters()).unwrap();
        (0..40).for_each(|_| tight.measured([1e-9, 1.0]).unwrap());
        assert!((tight.rate(0) - 1.0).abs() < 1e-6 && (tight.rate(1) - 4.0).abs() < 1e-6);
        // What has changed the output before may be too small to do so.
        tight.measured([0.0, 1.0]).unwrap();
        assert!((tight.rate(1) - 4.0).abs() < 1e-6);
        let mut never = Rates::new(&groups(Some(balance)), &parameters()).unwrap();
        assert!(never.measured([0.0, 1.0]).unwrap_err().to_string().contains("`tower.*`"));
    }

    #[test]
    fn a_value_is_in_one_group_and_a_group_has_values() {
        let mut both = groups(None);
        both.all[1].tensors = vec![glob::Pattern::new("*.a").unwrap()];
        let message = Rates::new(&both, &parameters()).err().unwrap().to_string();
        assert_eq!(message, "`tower.a` is in group 1 and in group 2");
        both.all[1].tensors = vec![glob::Pattern::new("nothing").unwrap()];
        let message = Rates::new(&both, &parameters()).err().unwrap().to_string();
        assert!(message.starts_with("nothing that trains is in group 2 (`nothing`)"), "{message}");
    }
}
