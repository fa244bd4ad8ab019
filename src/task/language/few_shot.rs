//! Which documents are shown as examples.

use serde_json::{Map, Value};

use super::definition::Definition;
use crate::base::python_random::PythonRandom;
use crate::base::rng::CounterRng;

/// lm-eval's `fewshot_seed`.
const SEED: u64 = 1234;

/// Draws few-shot examples.
///
/// A document is never its own example (compared by content). Under parity with lm-eval it is kept out only where pool and
/// evaluated documents are one split, and documents are drawn one after the other from Python's generator; otherwise each
/// document's draw depends on its id alone.
pub struct Sampler {
    pool: Vec<Map<String, Value>>,
    count: usize,
    first: bool,
    /// Python's generator, and whether a document is kept out of its own examples.
    parity: Option<(PythonRandom, bool)>,
    task: String,
    matching: Option<String>,
}

impl Sampler {
    /// A sampler of `count` examples.
    pub fn new(
        definition: &Definition,
        count: usize,
        parity: bool,
        pool: Vec<Map<String, Value>>,
    ) -> Result<Self, String> {
        let pool = definition.few_shot.samples.clone().unwrap_or(pool);
        if pool.len() < count {
            return Err(format!("{count} few-shot examples are wanted, there are {}", pool.len()));
        }
        // lm-eval compares what the file says: a task that names neither a few-shot split nor a test split counts as equal.
        let same = definition.few_shot.split == definition.splits[2];
        let parity = parity.then(|| (PythonRandom::new(SEED), same));
        Ok(Self {
            pool,
            count,
            first: definition.few_shot.first,
            parity,
            task: definition.name.clone(),
            matching: definition.few_shot.matching.clone(),
        })
    }

    /// The examples of one document. Under parity the order of calls matters.
    pub fn draw(&mut self, id: &str, document: &Map<String, Value>) -> Vec<Map<String, Value>> {
        let n = self.count;
        if n == 0 {
            return Vec::new();
        }
        let others = |all: Vec<usize>, pool: &[Map<String, Value>]| -> Vec<usize> {
            all.into_iter().filter(|&i| pool[i] != *document).collect()
        };
        let fits = |i: &usize| self.matching.as_ref().is_none_or(|m| self.pool[*i].get(m) == document.get(m));
        let all: Vec<usize> = (0..self.pool.len()).filter(fits).collect();
        let mut chosen = match &mut self.parity {
            Some((_, keeps_out)) if self.first => {
                if *keeps_out {
                    others(all, &self.pool)
                } else {
                    all
                }
            }
            None if self.first => others(all, &self.pool),
            Some((random, false)) => random.sample(&all, n),
            Some((random, true)) => {
                let drawn = others(random.sample(&all, n + 1), &self.pool);
                if drawn.len() < n { random.sample(&others(all, &self.pool), n) } else { drawn }
            }
            None => {
                let order =
                    CounterRng::new(SEED, &format!("few-shot/{}/{id}", self.task)).permutation(all.len());
                others(order.into_iter().map(|i| all[i]).collect(), &self.pool)
            }
        };
        chosen.truncate(n);
        chosen.into_iter().map(|i| self.pool[i].clone()).collect()
    }
}
