//! Products with weights that are not trained.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// `x W^T` for a weight `[out, in]` without a gradient of its own: candle's product would compute that of the weight as well,
/// which costs as much again and as much memory as the model. The value is computed beforehand.
struct FrozenProduct {
    weight: Tensor,
    value: Tensor,
}

impl CustomOp1 for FrozenProduct {
    fn name(&self) -> &'static str {
        "frozen product"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let values = self.value.flatten_all()?.to_vec1::<f32>()?;
        Ok((CpuStorage::F32(values), self.value.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.matmul(&self.weight).map(Some)
    }
}

/// `value`, which is `x W^T` computed apart from the graph, with the gradient that goes back to `x` alone.
pub fn frozen_product(x: &Tensor, weight: &Tensor, value: Tensor) -> Result<Tensor> {
    x.apply_op1(FrozenProduct { weight: weight.detach(), value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers::Linear;
    use candle_core::{Device, Var};

    #[test]
    fn gradients_are_those_of_the_product() {
        let x = Var::from_vec(vec![0.5f32, -1.0, 2.0, 0.25, 1.5, -0.75], (2, 3), &Device::Cpu).unwrap();
        let w: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin()).collect();
        let frozen = Tensor::from_vec(w.clone(), (4, 3), &Device::Cpu).unwrap();
        let trained = Var::from_vec(w, (4, 3), &Device::Cpu).unwrap();
        let run = |weight: &Tensor| {
            let y = Linear::new(weight.clone(), None).forward(&x).unwrap();
            let store = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let gradient = store.get(x.as_tensor()).unwrap().to_vec2::<f32>().unwrap();
            (y.to_vec2::<f32>().unwrap(), gradient, store.get(weight).is_some())
        };
        let (found, whole) = (run(&frozen), run(trained.as_tensor()));
        assert_eq!((found.0, found.2, whole.2), (whole.0, false, true));
        for (a, b) in found.1.concat().iter().zip(whole.1.concat()) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
