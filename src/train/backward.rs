//! Gradients of a batch in parallel shards.
//!
//! The encoders run on a fixed number of shards, each with its own graph, on as many threads as
//! there are. The loss is computed on the joined features, cut off from the encoders; its gradient
//! with respect to the features is then sent back through every shard (the scheme of GradCache, Gao
//! et al. 2021, for the sake of threads instead of memory). The number of shards does not depend
//! on the number of threads and sums run in shard order, so that results do not either.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};
use rayon::prelude::*;

/// Shards per encoder and batch.
pub const SHARDS: usize = 4;

/// A piece of encoder work that yields features `[rows, dim]`.
pub type Encode<'a> = Box<dyn Fn() -> Result<Tensor> + Send + Sync + 'a>;

/// Runs the encoders on all shards; each result keeps its own graph.
pub fn encode(jobs: &[Encode<'_>]) -> Result<Vec<Tensor>> {
    jobs.par_iter().map(|job| job()).collect()
}

/// Cuts features off their graphs, as variables that collect gradients.
pub fn cut(features: &[Tensor]) -> Result<Vec<Var>> {
    features.iter().map(|f| Var::from_tensor(&f.detach())).collect()
}

/// Sends the gradients that `store` holds for the cut features back through every shard and adds
/// the parameters' gradients to `store`.
pub fn finish(
    mut store: GradStore,
    features: &[Tensor],
    cuts: &[Var],
    parameters: &BTreeMap<String, Var>,
) -> Result<GradStore> {
    let upstream: Vec<Option<Tensor>> =
        cuts.iter().map(|c| store.get(c.as_tensor()).map(Tensor::detach)).collect();
    let partial: Vec<Option<GradStore>> = features
        .par_iter()
        .zip(upstream)
        .map(|(feature, gradient)| gradient.map(|g| (feature * g)?.sum_all()?.backward()).transpose())
        .collect::<Result<_>>()?;
    for var in parameters.values() {
        let mut total = store.remove(var.as_tensor());
        for shard in partial.iter().flatten() {
            if let Some(gradient) = shard.get(var.as_tensor()) {
                total = Some(match total {
                    Some(sum) => (sum + gradient)?,
                    None => gradient.clone(),
                });
            }
        }
        if let Some(total) = total {
            store.insert(var.as_tensor(), total);
        }
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn sharded_gradients_equal_those_of_the_whole() {
        let w = Var::randn(0f32, 1f32, (3, 2), &Device::Cpu).unwrap();
        let x = Tensor::randn(0f32, 1f32, (8, 3), &Device::Cpu).unwrap();
        let loss = |f: &Tensor| f.sqr()?.sum_all()?.sqrt();
        let whole = loss(&x.matmul(&w).unwrap().tanh().unwrap()).unwrap().backward().unwrap();
        let expected = whole.get(w.as_tensor()).unwrap().to_vec2::<f32>().unwrap();

        let jobs: Vec<Encode<'_>> = (0..4)
            .map(|i| -> Encode<'_> {
                Box::new({
                    let (x, w) = (&x, &w);
                    move || x.narrow(0, i * 2, 2)?.matmul(w)?.tanh()
                })
            })
            .collect();
        let features = encode(&jobs).unwrap();
        let cuts = cut(&features).unwrap();
        let joined = Tensor::cat(&cuts.iter().map(Var::as_tensor).collect::<Vec<_>>(), 0).unwrap();
        let store = loss(&joined).unwrap().backward().unwrap();
        let parameters = BTreeMap::from([("w".to_owned(), w.clone())]);
        let store = finish(store, &features, &cuts, &parameters).unwrap();
        let found = store.get(w.as_tensor()).unwrap().to_vec2::<f32>().unwrap();
        for (a, b) in expected.concat().iter().zip(found.concat()) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
