//! Ten steps of LoRA against PEFT; `tests/golden/make_lora_training.py` made the golden files.

use specbench::checkpoint::{StateDict, Weights as _};

use crate::support::root;
use crate::training::{against, bench, command, recipe, tuned};

#[test]
fn ten_steps_of_lora_are_pefts() {
    let expected = root().join("tests/golden/lora-training/expected.safetensors");
    let expected = StateDict::open(&expected).unwrap().load_all().unwrap();
    let bench = bench();
    let settings = |targets: &str| format!("rank = 3\nlora_alpha = 6.0\ntargets = {targets}");
    let text = recipe(&bench, "clip", "lora", "", &settings("[\"q_proj\", \"v_proj\"]"));
    let (worst, compared) = against(&expected, "clip", &tuned(&bench, &text, "clip"));
    println!("clip: {worst:.2e} over {compared} tensors");
    assert!(worst < 1e-5 && compared == 3, "{worst}, {compared}");
    // A language model's factors are stored as PEFT stores them.
    let text = recipe(&bench, "lm", "lora", "", &settings("[\"q_proj\", \"v_proj\", \"up_proj\"]"));
    command(&bench, &text, "lm").assert().success();
    let found = StateDict::open(&bench.out("lm/adapter_model.safetensors")).unwrap().load_all().unwrap();
    let (worst, compared) = against(&expected, "lm", &found);
    println!("lm: {worst:.2e} over {compared} tensors");
    assert!(worst < 1e-5 && compared == 12 && found.len() == 12, "{worst}, {compared}");
}
