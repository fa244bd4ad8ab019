"""Ten optimiser steps of LoRA in PEFT, on the models of `training/`.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2 safetensors tokenizers pillow numpy
    python make_lora_training.py

Writes `lora-training/`: the factors after training, of a tiny Llama and of a tiny CLIP's image tower, with the settings of
`make_training.py`, rank 3 and an alpha of 6. The first factors are drawn as this program draws them (`src/base/rng.rs`, written out
again below), uniform within one over the root of their inputs, as PEFT's are; all else is PEFT's.
"""

import json
from pathlib import Path

import numpy as np
import peft
import tokenizers
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file

from make_block_prompts import pixels
from make_training import CLASSES, TEMPLATES, TEXTS, clip_model, train

ROOT = Path(__file__).parent
HERE = ROOT / "lora-training"
RANK, ALPHA = 3, 6
MASK, GAMMA = (1 << 64) - 1, 0x9E3779B97F4A7C15


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def first(module, size):
    """Uniform numbers of the factor of the `module`-th adapted module, in the order of names; seed 0."""
    key = mix(GAMMA)
    for byte in b"lora":
        key = mix(((key + GAMMA) & MASK) ^ byte)
    key = mix(key ^ mix((module + GAMMA) & MASK))
    return [(mix((key + (i + 1) * GAMMA) & MASK) >> 11) / 2**53 for i in range(size)]


def adapt(model, targets):
    """The model with PEFT's factors, and these by the names of PEFT's files."""
    config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, lora_dropout=0.0, bias="none")
    adapted = peft.get_peft_model(model, config).eval()
    factors = {n.replace(".default", ""): p for n, p in adapted.named_parameters() if "lora_" in n}
    for i, name in enumerate(sorted(n for n in factors if ".lora_A." in n)):
        p = factors[name]
        bound = p.shape[1] ** -0.5
        with torch.no_grad():
            drawn = np.array([-bound + 2 * bound * u for u in first(i, p.numel())], dtype=np.float32)
            p.copy_(torch.from_numpy(drawn).view_as(p))
    return factors


def main():
    HERE.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    expected = {}
    config = transformers.AutoConfig.from_pretrained(ROOT / "lm/llama")
    config._attn_implementation = "eager"
    model = transformers.LlamaForCausalLM.from_pretrained(ROOT / "lm/llama", config=config).eval().float()
    tok = tokenizers.Tokenizer.from_file(str(ROOT / "lm/tokenizer.json"))
    sequences = []
    for prompt, target in TEXTS:
        before, whole = tok.encode(prompt).ids, tok.encode(f"{prompt} {target}").ids
        sequences.append((torch.tensor([whole]), len(before)))
    targets = torch.cat([ids[0, start:] for ids, start in sequences])
    factors = adapt(model, ["q_proj", "v_proj", "up_proj"])

    def tokens(_):
        return F.cross_entropy(torch.cat([model(ids).logits[0, start - 1 : -1] for ids, start in sequences]), targets)

    for name, value in train(factors, tokens, "lora").items():
        expected[f"lm/{name}"] = value.contiguous()

    model = clip_model()
    tok = tokenizers.Tokenizer.from_file(str(ROOT / "training/clip/tokenizer.json"))
    seen = pixels()
    labels = torch.arange(len(CLASSES)).repeat_interleave(4)

    def unit(x):
        return x / x.norm(dim=-1, keepdim=True)

    def text(words):
        return unit(model.text_projection(model.text_model(torch.tensor([tok.encode(words).ids])).pooler_output)[0])

    with torch.no_grad():
        rows = [unit(torch.stack([text(t.replace("{}", c)) for t in TEMPLATES]).mean(0)) for c in CLASSES]
        head = torch.nn.Parameter(torch.stack(rows) * model.logit_scale.exp())
    bias = torch.nn.Parameter(torch.zeros(len(CLASSES)))
    start = {n: p.detach().clone() for n, p in model.named_parameters()}
    factors = adapt(model, r"vision_model\..*\.(q_proj|v_proj)")
    parameters = {**factors, "classifier.weight": head, "classifier.bias": bias}

    def classes(_):
        return F.cross_entropy(unit(model.visual_projection(model.vision_model(seen).pooler_output)) @ head.T + bias, labels)

    trained = train(parameters, classes, "lora")
    expected["clip/classifier.weight"] = trained["classifier.weight"]
    # As it is stored: with the product added.
    for name in ["vision_model.encoder.layers.0.self_attn.q_proj", "vision_model.encoder.layers.1.self_attn.v_proj"]:
        a, b = (trained[f"base_model.model.{name}.lora_{which}.weight"] for which in "AB")
        expected[f"clip/{name}.weight"] = start[f"{name}.weight"] + ALPHA / RANK * b @ a
    save_file(expected, HERE / "expected.safetensors", {"format": "pt"})
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions) + "\n")


if __name__ == "__main__":
    main()
