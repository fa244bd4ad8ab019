//! A model of candle-transformers, built from a point of a curve that is written nowhere.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_transformers::models::clip::text_model::{Activation, ClipTextConfig};
use candle_transformers::models::clip::vision_model::ClipVisionConfig;
use candle_transformers::models::clip::{ClipConfig, ClipModel};
use specbench::checkpoint::{Budget, Cached, var_builder};
use specbench::merge::{Ends, PATHS, TensorFilter};
use specbench::model::Kernels;
use specbench::model::clip::CheckpointFolder;
use specbench::model::clip::{Activation as Ours, VisionTower};

use crate::support::root;

#[test]
fn a_foreign_model_of_a_merge_that_is_not_written() {
    let open = |name: &str| CheckpointFolder::open(&root().join("suites/demo").join(name)).unwrap();
    let (from, to) = (open("zero-shot"), open("ft-noto"));
    let held = |f: &CheckpointFolder| Cached::new(Arc::clone(&f.weights) as _, Budget::new(1 << 30));
    let filter = TensorFilter::default();
    let ends = Ends::new(held(&from), held(&to), &filter, CheckpointFolder::is_head).unwrap();
    let point = ends.at(PATHS.get("wise-ft").unwrap(), 0.4);
    let (v, t) = (&from.config.vision_config, &from.config.text_config);
    let activation = match v.tower.hidden_act {
        Ours::QuickGelu => Activation::QuickGelu,
        other => panic!("candle-transformers' CLIP has no {other:?}"),
    };
    let config = ClipConfig {
        text_config: ClipTextConfig {
            vocab_size: t.vocab_size,
            embed_dim: t.tower.hidden_size,
            intermediate_size: t.tower.intermediate_size,
            max_position_embeddings: t.max_position_embeddings,
            pad_with: None,
            num_hidden_layers: t.tower.num_hidden_layers,
            num_attention_heads: t.tower.num_attention_heads,
            projection_dim: from.config.projection_dim,
            activation,
        },
        vision_config: ClipVisionConfig {
            embed_dim: v.tower.hidden_size,
            activation,
            intermediate_size: v.tower.intermediate_size,
            num_hidden_layers: v.tower.num_hidden_layers,
            num_attention_heads: v.tower.num_attention_heads,
            projection_dim: from.config.projection_dim,
            num_channels: 3,
            image_size: v.image_size,
            patch_size: v.patch_size,
        },
        logit_scale_init_value: 2.6592,
        image_size: v.image_size,
    };
    let foreign = ClipModel::new(var_builder(&point, DType::F32, &Device::Cpu), &config).unwrap();
    let values: Vec<f32> =
        (0..2 * 3 * v.image_size * v.image_size).map(|i| (i as f32 * 0.37).sin()).collect();
    let pixels = Tensor::from_vec(values, (2, 3, v.image_size, v.image_size), &Device::Cpu).unwrap();
    let theirs = foreign.get_image_features(&pixels).unwrap();
    let tower = VisionTower::new(&from.config, &point, Kernels::Inference).unwrap();
    let ours = tower.forward(&pixels).unwrap();
    let largest = (ours - theirs).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(largest < 1e-4, "features differ by {largest}");
}
