"""MMA's adapters (ZjjConan/Multi-Modal-Adapter) on the tiny CLIP of `training/`, in PyTorch.

    pip install torch==2.15.0 transformers==5.24.0 safetensors tokenizers pillow numpy
    python make_mma.py

Writes `mma/`: a checkpoint as Dassl stores one (`model.pth.tar-5`), and the logits of `training/images` with it. Its adapters lie in
the first block of both towers; their last layers are large, because the released scale is 0.001. `start.safetensors` has others,
with a scale of 0.5, and `trained.safetensors` what ten steps on the images make of them, with the settings of `make_training.py`.
"""

import json
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

ROOT = Path(__file__).parent
HERE = ROOT / "mma"
CLASSES = ["red circle", "green square", "blue star"]
INNER, SCALE = 5, [0.001]
STEPS, LR, WARMUP, DECAY = 10, 2e-3, 2, 0.1


def adapted(layer, down, shared, up):
    plain = layer.forward

    def forward(x, *args, **kwargs):
        added = SCALE[0] * up(torch.relu(shared(torch.relu(down(layer.layer_norm1(x))))))
        out = plain(x, *args, **kwargs)
        return (out[0] + added, *out[1:]) if isinstance(out, tuple) else out + added

    layer.forward = forward


def schedule(step):
    if step < WARMUP:
        return LR * (step + 1) / WARMUP
    return 0.5 * LR * (1 + np.cos(np.pi * (step - WARMUP) / (STEPS - WARMUP)))


@torch.enable_grad()
def train(parameters, logits):
    labels = torch.arange(len(CLASSES)).repeat_interleave(4)
    optimiser = torch.optim.AdamW(parameters, lr=LR, weight_decay=DECAY)
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = schedule(step)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits(), labels).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()


@torch.no_grad()
def main():
    HERE.mkdir(exist_ok=True)
    clip = transformers.CLIPModel.from_pretrained(ROOT / "training/clip").eval().float()
    tok = tokenizers.Tokenizer.from_file(str(ROOT / "training/clip/tokenizer.json"))
    files = [f for name in CLASSES for f in sorted((ROOT / "training/images" / name).glob("*.png"))]
    pixels = torch.tensor(np.stack([np.array(Image.open(f)) for f in files])).permute(0, 3, 1, 2).float() / 255
    mean, std = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    pixels = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    ids = [torch.tensor([tok.encode(f"a photo of a {name}.").ids]) for name in CLASSES]

    def logits():
        image = clip.visual_projection(clip.vision_model(pixels).pooler_output)
        text = torch.cat([clip.text_projection(clip.text_model(one).pooler_output) for one in ids])
        return clip.logit_scale.exp() * torch.nn.functional.normalize(image, dim=-1) @ torch.nn.functional.normalize(text, dim=-1).T

    golden = {"plain": logits()}
    torch.manual_seed(9)
    width = clip.config.vision_config.hidden_size
    shared, last, layers = torch.nn.Linear(INNER, INNER), [], {}
    state = {"token_embedding": torch.zeros(3, 32, width), "tokenized_prompts": torch.zeros(3, 32, dtype=torch.long)}
    for kind, layer in [("text", clip.text_model.encoder.layers[0]), ("visual", clip.vision_model.encoder.layers[0])]:
        down, up = torch.nn.Linear(width, INNER), torch.nn.Linear(INNER, width)
        up.weight *= 2000
        up.bias *= 500
        last.append(up)
        adapted(layer, down, shared, up)
        layers.update({f"{kind}_adapter.1.down.0": down, f"{kind}_adapter.1.up": up})
    layers["shared_adapter.1.0"] = shared
    parameters = {f"{name}.{part}": getattr(one, part) for name, one in layers.items() for part in ("weight", "bias")}
    start = {name: p.detach().clone() for name, p in parameters.items()}
    state.update(start)
    golden["adapted"] = logits()
    for up in last:
        up.weight *= 0.25
        up.bias *= 0.25
    golden["quarter"] = logits()
    for p in parameters.values():
        p.copy_(torch.randn_like(p) * 0.3)
    SCALE[0] = 0.5
    start = {name: p.detach().clone() for name, p in parameters.items()}
    save_file({**start, "multimodal_adapter.scale": torch.tensor(SCALE[0])}, HERE / "start.safetensors", {"format": "pt"})
    clip.requires_grad_(False)
    train(list(parameters.values()), logits)
    save_file({name: p.detach().clone() for name, p in parameters.items()}, HERE / "trained.safetensors")
    torch.save({"state_dict": state, "epoch": 5, "val_result": None}, HERE / "model.pth.tar-5")
    save_file({n: t.contiguous() for n, t in golden.items()}, HERE / "golden.safetensors")
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions) + "\n")


main()
