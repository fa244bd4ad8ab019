"""Ten optimiser steps of prompts in the blocks of both towers (IVLP, MaPLe, PromptSRC) on the CLIP of `maple/`, in PyTorch.

    pip install torch==2.15.0 transformers==5.24.0 safetensors tokenizers pillow numpy
    python make_prompt_training.py

Writes `prompt-training/`: where each starts, in the names of the released codes (`ivlp.safetensors`, `maple.safetensors`), and what
training made of it under the names of this program (`expected.safetensors`), with the settings of `make_training.py`. PromptSRC's
loss is written out from its `trainers/promptsrc.py`, for one template; its aggregation takes every step for an epoch.
"""

import json
import math
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file

import make_training
from make_block_prompts import LAYERS, PROMPTS, images, texts
from make_maple import IMAGE, TEXT, learner

ROOT = Path(__file__).parent
HERE = ROOT / "prompt-training"
STEPS = make_training.STEPS
BLOCKS = range(1, LAYERS - 1)


def unit(x):
    return F.normalize(x, dim=-1)


def put(x, own):
    return torch.cat([x[:, :1], own.expand(len(x), -1, -1), x[:, 1 + PROMPTS :]], 1)


def behind(x, own, drop):
    return torch.cat([x[:, : x.shape[1] - drop], own.expand(len(x), -1, -1)], 1)


def prompted(clip, context, text, image):
    """Features of images and texts with prompts: `text` and `image` give those of a block, `image(0)` those that enter."""
    hooks = [
        clip.vision_model.embeddings.register_forward_hook(lambda _m, _i, out: behind(out, image(0), 0)),
        clip.text_model.embeddings.token_embedding.register_forward_hook(lambda _m, _i, out: put(out, context)),
    ]
    for i in BLOCKS:
        hooks.append(clip.vision_model.encoder.layers[i].register_forward_pre_hook(
            lambda _m, args, i=i: (behind(args[0], image(i), PROMPTS), *args[1:])))
        hooks.append(clip.text_model.encoder.layers[i].register_forward_pre_hook(
            lambda _m, args, i=i: (put(args[0], text(i)), *args[1:])))
    found = unit(images(clip)), unit(texts(clip, True))
    for hook in hooks:
        hook.remove()
    return found


def gaussian(parameters, states):
    """PromptSRC's aggregation of the states after each step."""
    weights = [math.exp(-0.5 * (((i + 1) / STEPS - 0.75) / 0.05) ** 2) for i in range(STEPS)]
    return {n: sum(w * s[n] for w, s in zip(weights, states)) / sum(weights) for n in parameters}


def train(parameters, loss):
    """Ten steps; the states after each."""
    tensors, states = list(parameters.values()), []
    optimiser = torch.optim.AdamW(tensors, lr=make_training.LR, weight_decay=make_training.DECAY)
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = make_training.schedule(step)
        optimiser.zero_grad()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(tensors, 1.0)
        optimiser.step()
        states.append({n: p.detach().clone() for n, p in parameters.items()})
    return states


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    torch.set_num_threads(1)
    clip = transformers.CLIPModel.from_pretrained(ROOT / "maple/clip").eval().float()
    for p in clip.parameters():
        p.requires_grad_(False)
    scale = clip.logit_scale.exp()
    labels = torch.arange(3).repeat_interleave(4)
    images0, texts0 = unit(images(clip)), unit(texts(clip, False))
    zero_shot = scale * images0 @ texts0.T
    expected = {}

    torch.manual_seed(31)
    start = {"ctx": torch.randn(PROMPTS, TEXT), "visual.VPT": torch.randn(PROMPTS, IMAGE)}
    for i in BLOCKS:
        start[f"visual.transformer.resblocks.{i}.VPT_shallow"] = torch.randn(PROMPTS, IMAGE)
        start[f"transformer.resblocks.{i}.VPT_shallow"] = torch.randn(PROMPTS, TEXT)
    save_file(start, HERE / "ivlp.safetensors", {"format": "pt"})
    for method in ["ivlp", "promptsrc"]:
        own = {n: torch.nn.Parameter(t.clone()) for n, t in start.items()}
        names = {"ctx": "prompt.context", "visual.VPT": "vision_model.embeddings.prompts"}
        for i in BLOCKS:
            names[f"visual.transformer.resblocks.{i}.VPT_shallow"] = f"vision_model.encoder.layers.{i}.prompts"
            names[f"transformer.resblocks.{i}.VPT_shallow"] = f"text_model.encoder.layers.{i}.prompts"

        def loss():
            image = lambda i: own[f"visual.transformer.resblocks.{i}.VPT_shallow"] if i else own["visual.VPT"]
            f, t = prompted(clip, own["ctx"], lambda i: own[f"transformer.resblocks.{i}.VPT_shallow"], image)
            logits = scale * f @ t.T
            value = F.cross_entropy(logits, labels)
            if method == "promptsrc":
                value = value + 25 * F.l1_loss(t, texts0) + 10 * F.l1_loss(f, images0)
                value = value + F.kl_div(F.log_softmax(logits, 1), F.log_softmax(zero_shot, 1), reduction="sum",
                                         log_target=True) / logits.numel()
            return value

        states = train(own, loss)
        trained = gaussian(own, states) if method == "promptsrc" else states[-1]
        expected.update({f"{method}/{names[n]}": t for n, t in trained.items()})

    start = learner()
    save_file(start, HERE / "maple.safetensors", {"format": "pt"})
    own = {n: torch.nn.Parameter(t.clone()) for n, t in start.items()}

    def projected(name, x):
        return x @ own[f"{name}.weight"].T + own[f"{name}.bias"]

    def coupled():
        text = lambda i: own[f"compound_prompts_text.{i - 1}"]
        image = lambda i: projected(f"compound_prompt_projections.{i - 1}", text(i)) if i else projected("proj", own["ctx"])
        f, t = prompted(clip, own["ctx"], text, image)
        return F.cross_entropy(scale * f @ t.T, labels)

    trained = train(own, coupled)[-1]
    names = {"ctx": "prompt.context"}
    for part in ["weight", "bias"]:
        names[f"proj.{part}"] = f"vision_model.embeddings.prompt_projection.{part}"
    for i in BLOCKS:
        names[f"compound_prompts_text.{i - 1}"] = f"text_model.encoder.layers.{i}.prompts"
        for part in ["weight", "bias"]:
            names[f"compound_prompt_projections.{i - 1}.{part}"] = f"vision_model.encoder.layers.{i}.prompt_projection.{part}"
    expected.update({f"maple/{names[n]}": t for n, t in trained.items()})
    save_file({n: t.contiguous() for n, t in expected.items()}, HERE / "expected.safetensors", {"format": "pt"})
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions) + "\n")


if __name__ == "__main__":
    main()
