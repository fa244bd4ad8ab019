"""PEFT reads an adapter that `specbench tune` wrote.

    pip install torch transformers peft safetensors
    cargo build --release
    python tests/golden/check_peft.py

Tunes the golden Llama with LoRA, loads the adapter with PEFT, merges it, and compares every weight with W + alpha / r B A of the
stored factors (which is what specbench evaluates, `tests/it/training.rs`). Prints the largest difference; fails above 1e-6.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import peft
import transformers
from safetensors.torch import load_file

ROOT = Path(__file__).parent.parent.parent


def main():
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        base = work / "llama"
        base.mkdir()
        for file in ["config.json", "model.safetensors"]:
            shutil.copy(ROOT / "tests/golden/lm/llama" / file, base / file)
        shutil.copy(ROOT / "tests/golden/lm/tokenizer.json", base / "tokenizer.json")
        task = dict(task="facts", dataset_path="json", training_split="train", output_type="loglikelihood", doc_to_text="{{prompt}}",
                    dataset_kwargs={"data_files": {"train": str(ROOT / "tests/golden/training/texts.jsonl")}},
                    doc_to_target=" {{target}}", metric_list=[{"metric": "perplexity"}])
        (work / "facts.yaml").write_text(json.dumps(task))
        (work / "recipe.toml").write_text(f"""[recipe]
id = "adapter"
method = "lora"
from = "{base}"
out = "{work}/adapter"
[train]
steps = 20
lr = 1e-2
rank = 4
lora_alpha = 6.0
targets = ["q_proj", "v_proj", "down_proj"]
[[data]]
task = "{work}/facts.yaml"
""")
        subprocess.run([ROOT / "target/release/specbench", "tune", work / "recipe.toml", "--quiet"], check=True, cwd=ROOT)
        model = transformers.AutoModelForCausalLM.from_pretrained(base).float()
        loaded = peft.PeftModel.from_pretrained(model, work / "adapter")
        stored = load_file(work / "adapter/adapter_model.safetensors")
        held = peft.get_peft_model_state_dict(loaded)
        assert set(held) == set(stored), set(held) ^ set(stored)
        merged = dict(loaded.merge_and_unload().named_parameters())
        start = load_file(base / "model.safetensors")
        worst = changed = 0
        for name, weight in start.items():
            a = stored.get(f"base_model.model.{name.removesuffix('.weight')}.lora_A.weight")
            b = stored.get(f"base_model.model.{name.removesuffix('.weight')}.lora_B.weight")
            right = weight if a is None else weight + 6.0 / 4 * (b @ a)
            changed += a is not None
            worst = max(worst, (merged[name] - right).abs().max().item())
        assert changed == 6 and all(v.abs().max() > 0 for v in stored.values())
        print(f"peft {peft.__version__}: {len(stored)} factors, {changed} weights changed, largest difference {worst:.1e}")
        assert worst < 1e-6


main()
