//! Which tensors of a pickle are the model's weights.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::{Id, Pickled, Value};
use super::{Stored, tensor};
use crate::base::account::{is_harmless, some_of};
use crate::base::harmless::{TENSORS, TRAINING_STATE};

/// Where training scripts put the weights, the commonest first.
const KEYS: [&str; 6] = ["state_dict", "model_state_dict", "model", "module", "net", "weights"];

/// Modules within modules; real ones have a dozen.
const DEEPEST: usize = 64;

/// Finds the weights: the state dict at the top, below one of the usual keys, or in a pickled module.
pub fn find(all: &Pickled, root: Id) -> Result<BTreeMap<String, Stored>, String> {
    let Some(entries) = all.entries(root) else {
        let Value::Call { callee, .. } = all.get(root) else {
            return Err("holds neither a state dict nor a module".to_owned());
        };
        let found = of_module(all, root)?;
        if found.is_empty() {
            return Err(format!(
                "holds a `{}`, in which no weights are found; save its state_dict()",
                all.callee(*callee)
            ));
        }
        return Ok(found);
    };
    let direct = |id: Id| -> Result<usize, String> {
        let values = all.entries(id).unwrap_or_default();
        values.iter().try_fold(0, |n, &(_, v)| Ok(n + usize::from(tensor(all, v)?.is_some())))
    };
    let mut sets: Vec<(&str, Id)> = Vec::new();
    for &(key, value) in entries {
        let name = all.text(key).unwrap_or_default();
        let is_module = matches!(all.get(value), Value::Call { state: Some(_), .. })
            && !of_module(all, value)?.is_empty();
        if (direct(value)? > 0 || is_module)
            && (KEYS.contains(&name) || !is_harmless(name, &[TRAINING_STATE]))
        {
            sets.push((name, value));
        }
    }
    let known: Vec<&(&str, Id)> = sets.iter().filter(|s| KEYS.contains(&s.0)).collect();
    match (known[..].first(), sets.len(), direct(root)?) {
        // One set of weights below a key; tensors beside it are of the training.
        (Some((_, id)), 1, _) => of_value(all, *id),
        (None, 1, 0) => of_value(all, sets[0].1),
        (None, 0, n) if n > 0 => of_state(all, entries),
        (None, 0, _) => {
            Err("holds no tensors at the top, nor below `state_dict`, `model_state_dict` or `model`"
                .to_owned())
        }
        _ => {
            let mut names: Vec<&str> = sets.iter().map(|s| s.0).collect();
            names.sort_unstable();
            Err(format!(
                "holds several sets of weights ({}); save the one that is meant alone",
                some_of(&names)
            ))
        }
    }
}

fn of_value(all: &Pickled, id: Id) -> Result<BTreeMap<String, Stored>, String> {
    match all.entries(id) {
        Some(entries) => of_state(all, entries),
        None => of_module(all, id),
    }
}

/// The tensors of a state dict; anything else in it must be on the list of what changes nothing.
fn of_state(all: &Pickled, entries: &[(Id, Id)]) -> Result<BTreeMap<String, Stored>, String> {
    let mut found = BTreeMap::new();
    let mut others = BTreeSet::new();
    for &(key, value) in entries {
        let name = all.text(key).unwrap_or("a key that is no text");
        match tensor(all, value)? {
            Some(stored) => {
                if found.insert(name.to_owned(), stored).is_some() {
                    return Err(format!("holds `{name}` twice"));
                }
            }
            None if is_harmless(name, &[TENSORS, TRAINING_STATE]) || all.get(value) == &Value::None => {}
            None => {
                others.insert(name);
            }
        }
    }
    if others.is_empty() {
        Ok(found)
    } else {
        let names: Vec<&str> = others.into_iter().collect();
        Err(format!(
            "holds {} among its weights, which are no tensors and could change results",
            some_of(&names)
        ))
    }
}

/// The parameters and buffers of a pickled `torch.nn.Module`, by walking its own dictionaries.
fn of_module(all: &Pickled, root: Id) -> Result<BTreeMap<String, Stored>, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![(String::new(), root, 0usize)];
    let mut steps = 0usize;
    while let Some((prefix, id, depth)) = todo.pop() {
        steps += 1;
        if depth > DEEPEST || steps > 1 << 16 {
            return Err("holds modules nested without end".to_owned());
        }
        let Value::Call { state: Some(state), .. } = all.get(id) else { continue };
        let fields = match all.get(*state) {
            Value::Dict(entries) => entries.clone(),
            // (dict, slots)
            Value::Tuple(items) => items.first().and_then(|&i| all.entries(i)).unwrap_or_default().to_vec(),
            _ => continue,
        };
        let at = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        for (key, value) in fields {
            let Some(name) = all.text(key) else { continue };
            match name {
                "_parameters" | "_buffers" => {
                    for &(k, v) in all.entries(value).unwrap_or_default() {
                        if let (Some(n), Some(stored)) = (all.text(k), tensor(all, v)?) {
                            found.insert(at(n), stored);
                        }
                    }
                }
                "_modules" => {
                    for &(k, v) in all.entries(value).unwrap_or_default() {
                        todo.push((at(all.text(k).unwrap_or_default()), v, depth + 1));
                    }
                }
                // WiSE-FT's head divides its input by its length, unless this is off.
                "normalize" if all.get(value) == &Value::Bool(false) => {
                    return Err(format!(
                        "holds a head `{prefix}` that does not normalise features (`normalize` is False)"
                    ));
                }
                // TorchScript keeps tensors and modules as plain attributes.
                _ if !name.starts_with('_') => match tensor(all, value)? {
                    Some(stored) => {
                        found.insert(at(name), stored);
                    }
                    None => todo.push((at(name), value, depth + 1)),
                },
                _ => {}
            }
        }
    }
    Ok(found)
}
