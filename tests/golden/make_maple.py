"""MaPLe's learner (muzairkhattak/multimodal-prompt-learning, `trainers/maple.py`) on a tiny CLIP, in PyTorch.

    pip install torch==2.15.0 transformers==5.24.0 safetensors tokenizers pillow numpy
    python make_maple.py

Writes `maple/`: a CLIP whose towers differ in width (`clip`; its tokenizer is `training/clip`'s), two learners as Dassl stores them
(`first.pth.tar`, `second.pth.tar`), and the logits of `training/images` without prompts, with each, and half-way between them: the images with the mean of their tensors, and the mean
of the heads that their texts make. Prompts enter the first block and the second; the third has none.
"""

import json
import shutil
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

import make_block_prompts as blocks
from make_block_prompts import LAYERS, PROMPTS, images, logits, texts

ROOT = Path(__file__).parent
HERE = ROOT / "maple"
TEXT, IMAGE, JOINT = 16, 24, 12


def learner():
    state = {"ctx": torch.randn(PROMPTS, TEXT), "proj.weight": torch.randn(IMAGE, TEXT) * 0.3, "proj.bias": torch.randn(IMAGE) * 0.3}
    for i in range(LAYERS - 2):
        state[f"compound_prompts_text.{i}"] = torch.randn(PROMPTS, TEXT)
        state[f"compound_prompt_projections.{i}.weight"] = torch.randn(IMAGE, TEXT) * 0.3
        state[f"compound_prompt_projections.{i}.bias"] = torch.randn(IMAGE) * 0.3
    return state


def with_prompts(clip, state):
    """Features of the images, and rows of the head, with a learner at work."""
    def projected(name, x):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def put(x, own):
        return torch.cat([x[:, :1], own.expand(len(x), -1, -1), x[:, 1 + PROMPTS :]], 1)

    def behind(x, own, drop):
        return torch.cat([x[:, : x.shape[1] - drop], own.expand(len(x), -1, -1)], 1)

    first = projected("proj", state["ctx"])
    hooks = [
        clip.vision_model.embeddings.register_forward_hook(lambda _m, _i, out: behind(out, first, 0)),
        clip.text_model.embeddings.token_embedding.register_forward_hook(lambda _m, _i, out: put(out, state["ctx"])),
    ]
    for i in range(LAYERS - 2):
        text = state[f"compound_prompts_text.{i}"]
        image = projected(f"compound_prompt_projections.{i}", text)
        hooks.append(clip.vision_model.encoder.layers[i + 1].register_forward_pre_hook(
            lambda _m, args, own=image: (behind(args[0], own, PROMPTS), *args[1:])))
        hooks.append(clip.text_model.encoder.layers[i + 1].register_forward_pre_hook(
            lambda _m, args, own=text: (put(args[0], own), *args[1:])))
    unit = torch.nn.functional.normalize
    found = unit(images(clip), dim=-1), clip.logit_scale.exp() * unit(texts(clip, True), dim=-1)
    for hook in hooks:
        hook.remove()
    return found


@torch.no_grad()
def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    torch.manual_seed(21)
    clip = blocks.model(TEXT, JOINT, IMAGE)
    clip.save_pretrained(HERE / "clip")
    golden = {"plain": logits(clip.logit_scale, images(clip), texts(clip, False))}
    both, heads = {name: learner() for name in ["first", "second"]}, {}
    for name, state in both.items():
        features, heads[name] = with_prompts(clip, state)
        golden[name] = features @ heads[name].T
        # The fixed vectors of the classes are stored too; what loads them leaves them out.
        fixed = {"token_prefix": torch.zeros(3, 1, TEXT), "token_suffix": torch.zeros(3, 27, TEXT)}
        stored = {f"prompt_learner.{n}": t for n, t in {**state, **fixed}.items()}
        if name == "first":
            # Dassl stores the towers as well, as they were.
            stored.update(blocks.towers(clip))
        torch.save({"state_dict": stored, "epoch": 5, "val_result": None}, HERE / f"{name}.pth.tar")
    features, _ = with_prompts(clip, {n: (both["first"][n] + both["second"][n]) / 2 for n in both["first"]})
    golden["middle"] = features @ (heads["first"] + heads["second"]).T / 2
    save_file({n: t.contiguous() for n, t in golden.items()}, HERE / "golden.safetensors")
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions) + "\n")


if __name__ == "__main__":
    main()
