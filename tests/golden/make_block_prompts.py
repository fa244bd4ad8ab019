"""Prompts in the blocks of both towers (PromptSRC) and PromptKD's student with its projector, on tiny CLIPs, in PyTorch.

    pip install torch==2.15.0 transformers==5.24.0 safetensors tokenizers pillow numpy
    python make_block_prompts.py

Writes `block_prompts/`: a small and a large CLIP (`clip`, `large`; their tokenizer is `training/clip`'s), learned prompts for each as
PromptSRC stores them (`promptsrc.pth.tar`, `teacher.pth.tar`), a student as PromptKD stores one (`promptkd.pth.tar`), and the logits of
`training/images`: without prompts, with PromptSRC's, and of the student with the head of the large one's texts. The last blocks hold
no prompts, as there.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

ROOT = Path(__file__).parent
HERE = ROOT / "block_prompts"
CLASSES = ["red circle", "green square", "blue star"]
PROMPTS, LAYERS = 2, 3
START, END = 798, 799


def model(width, joint, image_width=None):
    def tower(width):
        return {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": LAYERS, "num_attention_heads": 2}

    text = {**tower(width), "vocab_size": 800, "max_position_embeddings": 32, "bos_token_id": START, "eos_token_id": END}
    vision = {**tower(image_width or width), "image_size": 32, "patch_size": 16}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=joint, logit_scale_init_value=1.0)
    clip = transformers.CLIPModel(config).eval()
    for name, p in clip.named_parameters():
        if name != "logit_scale":
            p.copy_(torch.randn_like(p) * 0.3 + (1.0 if "norm" in name and name.endswith("weight") else 0.0))
    return clip


def towers(clip):
    """Tensors by the names of OpenAI's code, as its `CustomCLIP` stores them."""
    state, of = {}, clip.state_dict()
    blocks = [("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"), ("self_attn.out_proj", "attn.out_proj"), ("mlp.fc1", "mlp.c_fc"),
              ("mlp.fc2", "mlp.c_proj")]
    for tower, to in [("vision_model", "image_encoder"), ("text_model", "text_encoder")]:
        for i in range(LAYERS):
            at, out = f"{tower}.encoder.layers.{i}", f"{to}.transformer.resblocks.{i}"
            for part in ("weight", "bias"):
                state[f"{out}.attn.in_proj_{part}"] = torch.cat([of[f"{at}.self_attn.{x}_proj.{part}"] for x in "qkv"])
                state.update({f"{out}.{b}.{part}": of[f"{at}.{a}.{part}"] for a, b in blocks})
    vision, text = "vision_model.embeddings", "text_model.embeddings"
    state["image_encoder.class_embedding"] = of[f"{vision}.class_embedding"]
    state["image_encoder.conv1.weight"] = of[f"{vision}.patch_embedding.weight"]
    state["image_encoder.positional_embedding"] = of[f"{vision}.position_embedding.weight"]
    state["image_encoder.proj"] = of["visual_projection.weight"].T.contiguous()
    state["text_encoder.positional_embedding"] = of[f"{text}.position_embedding.weight"]
    state["text_encoder.text_projection"] = of["text_projection.weight"].T.contiguous()
    for part in ("weight", "bias"):
        state[f"image_encoder.ln_pre.{part}"] = of[f"vision_model.pre_layrnorm.{part}"]
        state[f"image_encoder.ln_post.{part}"] = of[f"vision_model.post_layernorm.{part}"]
        state[f"text_encoder.ln_final.{part}"] = of[f"text_model.final_layer_norm.{part}"]
    state["logit_scale"] = of["logit_scale"]
    return {name: tensor.clone() for name, tensor in state.items()}


def image_prompts(clip, state):
    """Adds prompts to the image tower, and to `state`."""
    width = clip.config.vision_config.hidden_size
    first = torch.randn(PROMPTS, width)
    state["image_encoder.VPT"] = first
    clip.vision_model.embeddings.register_forward_hook(
        lambda _m, _i, out: torch.cat([out, first.expand(len(out), -1, -1)], 1))
    for i in range(1, LAYERS - 1):
        own = torch.randn(PROMPTS, width)
        state[f"image_encoder.transformer.resblocks.{i}.VPT_shallow"] = own
        clip.vision_model.encoder.layers[i].register_forward_pre_hook(
            lambda _m, args, own=own: (torch.cat([args[0][:, :-PROMPTS], own.expand(len(args[0]), -1, -1)], 1), *args[1:]))


def text_prompts(clip, state):
    """Adds prompts to the text tower, and to `state`."""
    width = clip.config.text_config.hidden_size

    def put(x, own):
        return torch.cat([x[:, :1], own.expand(len(x), -1, -1), x[:, 1 + PROMPTS:]], 1)

    context = torch.randn(PROMPTS, width)
    state["prompt_learner.ctx"] = context
    clip.text_model.embeddings.token_embedding.register_forward_hook(lambda _m, _i, out: put(out, context))
    for i in range(1, LAYERS - 1):
        own = torch.randn(PROMPTS, width)
        state[f"text_encoder.transformer.resblocks.{i}.VPT_shallow"] = own
        clip.text_model.encoder.layers[i].register_forward_pre_hook(lambda _m, args, own=own: (put(args[0], own), *args[1:]))


def pixels():
    files = [f for name in CLASSES for f in sorted((ROOT / "training/images" / name).glob("*.png"))]
    values = torch.tensor(np.stack([np.array(Image.open(f)) for f in files])).permute(0, 3, 1, 2).float() / 255
    mean, std = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    return (values - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def images(clip):
    return clip.visual_projection(clip.vision_model(pixels()).pooler_output)


def texts(clip, learned):
    """Features of the classes: in a template, or after the places of learned context."""
    tok = tokenizers.Tokenizer.from_file(str(ROOT / "training/clip/tokenizer.json"))
    rows = []
    for name in CLASSES:
        ids = tok.encode(f"{name}." if learned else f"a photo of a {name}.").ids
        ids = ids[:1] + [1] * PROMPTS + ids[1:] if learned else ids
        rows.append(clip.text_projection(clip.text_model(torch.tensor([ids])).pooler_output))
    return torch.cat(rows)


def logits(scale, image, text):
    return scale.exp() * torch.nn.functional.normalize(image, dim=-1) @ torch.nn.functional.normalize(text, dim=-1).T


def store(name, state):
    torch.save({"state_dict": state, "epoch": 20, "val_result": None}, HERE / name)


@torch.no_grad()
def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    torch.manual_seed(12)
    small, large = model(16, 12), model(24, 20)
    small.save_pretrained(HERE / "clip")
    large.save_pretrained(HERE / "large")
    golden = {"plain": logits(small.logit_scale, images(small), texts(small, False))}

    teacher = {name: t for name, t in towers(large).items() if name.startswith("text_encoder.") or name == "logit_scale"}
    text_prompts(large, teacher)
    image_prompts(large, teacher)
    store("teacher.pth.tar", teacher)

    student = {name: t for name, t in towers(small).items() if not name.startswith("text_encoder.")}
    learned = towers(small)
    image_prompts(small, learned)
    student.update({name: t for name, t in learned.items() if name.startswith("image_encoder.") and "VPT" in name})
    text_prompts(small, learned)
    learned.update({
        "prompt_learner.token_prefix": torch.zeros(3, 1, 16),
        "prompt_learner.token_suffix": torch.zeros(3, 27, 16),
        "prompt_learner.ZS_image_encoder.conv1.weight": torch.zeros(16, 3, 16, 16),
        "prompt_learner.ZS_image_encoder.ln_pre.bias": torch.zeros(16),
    })
    store("promptsrc.pth.tar", learned)
    golden["promptsrc"] = logits(small.logit_scale, images(small), texts(small, True))

    projector = torch.nn.Sequential(
        torch.nn.Conv2d(12, 20, 1), torch.nn.BatchNorm2d(20), torch.nn.ReLU(), torch.nn.Conv2d(20, 20, 1)).eval()
    projector[1].running_mean.normal_()
    projector[1].running_var.uniform_(0.5, 2.0)
    projector[1].weight.normal_()
    projector[1].bias.normal_()
    student.update({f"VPT_image_trans.conv1.{name}": t.clone() for name, t in projector.state_dict().items()})
    student["logit_scale"] = torch.tensor(1.5)
    store("promptkd.pth.tar", student)
    features = projector(images(small)[:, :, None, None])[:, :, 0, 0]
    golden["promptkd"] = logits(student["logit_scale"], features, texts(large, True))

    save_file({n: t.contiguous() for n, t in golden.items()}, HERE / "golden.safetensors")
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions) + "\n")
    print({n: t[:2].tolist() for n, t in golden.items()})


if __name__ == "__main__":
    main()
