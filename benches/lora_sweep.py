"""Memory and time of eleven alphas of a LoRA adapter against one and two models on their own.

    pip install torch safetensors
    cargo build --release
    python benches/lora_sweep.py MODEL [--limit N]

MODEL is a Hugging Face folder of a Llama-like language model; an adapter of rank 8 on its query and value projections is drawn
at random. The same questions (`suites/lm_demo/medicine.yaml`) are asked of one checkpoint, of two full ones, and of eleven
alphas of the adapter; printed are seconds and the peak of the program's own memory (mapped files apart).
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import peak
import torch
from safetensors import safe_open
from safetensors.torch import save_file

TARGETS = ("q_proj", "v_proj")
CHECKPOINT = """[[checkpoint]]
id = "{id}"
role = "{role}"
source = "{source}"
"""
SWEEP = """[[sweep]]
merge = "wise-ft"
from = "base"
to = ["adapter"]
alphas = "0:1:0.1"
"""


def adapter(model, folder):
    folder.mkdir()
    torch.manual_seed(0)
    tensors = {}
    with safe_open(model / "model.safetensors", "pt") as stored:
        for name in stored.keys():
            if name.endswith(tuple(f"{t}.weight" for t in TARGETS)):
                rows, columns = stored.get_slice(name).get_shape()
                at = "base_model.model." + name.removesuffix("weight")
                tensors[f"{at}lora_A.weight"] = torch.randn(8, columns) * 0.02
                tensors[f"{at}lora_B.weight"] = torch.randn(rows, 8) * 0.02
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = dict(peft_type="LORA", task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=list(TARGETS), bias="none")
    (folder / "adapter_config.json").write_text(json.dumps(settings))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--limit", type=int, default=8)
    given = parser.parse_args()
    model = given.model.resolve()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        adapter(model, work / "adapter")
        shutil.copytree(model, work / "other")
        base = CHECKPOINT.format(id="base", role="pretrained", source=model)
        other = CHECKPOINT.format(id="other", role="finetuned", source=work / "other")
        lora = CHECKPOINT.format(id="adapter", role="finetuned", source=work / "adapter") + 'base = "base"\n'
        for name, parts in {"one model": base, "two models": base + other, "eleven alphas of LoRA": base + lora + SWEEP}.items():
            suite = work / "suite.toml"
            probe = f'[[probe]]\nid = "medicine"\ntask = "{peak.ROOT}/suites/lm_demo/medicine.yaml"\nrole = "speciality"\nlimit = {given.limit}\n'
            suite.write_text(f'[suite]\nname = "lora"\ntrack = "lm"\n{parts}{probe}')
            code, seconds, own, _ = peak.measured("run", str(suite), "--out", str(work / "out"), "--fresh")
            print(f"{name}: exit {code}, {seconds:.0f} s, {own / 1e9:.2f} GB of its own", flush=True)


main()
