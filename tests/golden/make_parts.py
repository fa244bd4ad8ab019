"""Makes golden files for checkpoints other than whole CLIP models.

    pip install torch==2.15.0 transformers==5.23.0 peft safetensors
    python tests/golden/make_parts.py

Writes a tiny SigLIP (`siglip/`); a LoRA adapter made by PEFT for `clip-quick-gelu` with the features of the
adapted model (`lora/`); learned context as CoOp saves it, with class embeddings computed by `transformers`
from embedded prompts (`context/`); a classifier as WiSE-FT's state dict names it and a bare linear layer
(`heads/`).
"""

import json
from collections import OrderedDict
from pathlib import Path

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPModel, SiglipConfig, SiglipModel

HERE = Path(__file__).parent
VERSIONS = {"torch": torch.__version__.split("+")[0], "peft": peft.__version__,
            "transformers": __import__("transformers").__version__}


def randomise(model):
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.15 * torch.randn_like(p)) if p.ndim > 1 else p.add_(0.1 * torch.randn_like(p))


def siglip():
    torch.manual_seed(1)
    config = SiglipConfig(
        text_config=dict(hidden_size=40, intermediate_size=56, num_attention_heads=4, num_hidden_layers=2,
                         vocab_size=60, max_position_embeddings=11, pad_token_id=1, projection_size=40,
                         bos_token_id=2, eos_token_id=3),
        vision_config=dict(hidden_size=40, intermediate_size=64, num_attention_heads=2, num_hidden_layers=3,
                           image_size=32, patch_size=8))
    model = SiglipModel(config).eval()
    randomise(model)
    with torch.no_grad():
        model.logit_bias.fill_(-3.0)
    pixels = torch.randn(3, 3, 32, 32)
    ids = torch.full((4, 11), 1)
    for row, length in enumerate([3, 5, 8, 11]):
        ids[row, :length] = torch.randint(4, 60, (length,))
    with torch.no_grad():
        out = model(input_ids=ids, pixel_values=pixels)
        image = model.vision_model(pixel_values=pixels).pooler_output
        text = model.text_model(input_ids=ids).pooler_output
    folder = HERE / "siglip"
    folder.mkdir(exist_ok=True)
    # As the published checkpoints have it: only what differs from the defaults.
    keys = ["hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers"]
    short = {"model_type": "siglip",
             "text_config": {k: getattr(config.text_config, k) for k in keys + ["vocab_size", "max_position_embeddings"]},
             "vision_config": {k: getattr(config.vision_config, k) for k in keys + ["image_size", "patch_size"]}}
    (folder / "config.json").write_text(json.dumps(short, indent=2) + "\n")
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": "SiglipImageProcessor", "do_resize": True, "size": {"height": 32, "width": 32},
        "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, indent=2) + "\n")
    state = {k: v.contiguous() for k, v in model.state_dict().items() if "position_ids" not in k}
    save_file(state, folder / "model.safetensors", metadata=VERSIONS)
    save_file({"pixels": pixels, "ids": ids.to(torch.uint32), "image": image.contiguous(),
               "text": text.contiguous(), "logits_per_image": out.logits_per_image.contiguous()},
              folder / "golden.safetensors", metadata=VERSIONS)


def lora():
    base = CLIPModel.from_pretrained(HERE / "clip-quick-gelu").eval()
    golden = load_file(HERE / "clip-quick-gelu/golden.safetensors")
    torch.manual_seed(2)
    config = peft.LoraConfig(r=3, lora_alpha=12, target_modules=["q_proj", "v_proj", "fc1", "token_embedding"],
                             rank_pattern={"fc1": 2}, modules_to_save=["visual_projection"])
    model = peft.get_peft_model(base, config)
    with torch.no_grad():
        for key, p in model.named_parameters():
            if "lora_" in key or "modules_to_save" in key:
                p.copy_(0.1 * torch.randn_like(p))
    model.save_pretrained(HERE / "lora")
    with torch.no_grad():
        clip = model.base_model.model
        image = clip.visual_projection(clip.vision_model(pixel_values=golden["pixels"]).pooler_output)
        text = clip.text_projection(clip.text_model(input_ids=golden["ids"].long()).pooler_output)
    (HERE / "lora/README.md").unlink(missing_ok=True)
    path = HERE / "lora/adapter_config.json"
    config = {**json.loads(path.read_text()), "base_model_name_or_path": "clip-quick-gelu"}
    path.write_text(json.dumps(config, indent=2) + "\n")
    save_file({"image": image.contiguous(), "text": text.contiguous()}, HERE / "lora/golden.safetensors",
              metadata=VERSIONS)


def context():
    model = CLIPModel.from_pretrained(HERE / "clip-quick-gelu").eval()
    torch.manual_seed(3)
    n, width, end = 3, 32, 59
    ctx = 0.2 * torch.randn(n, width)
    names = [[7, 9], [11], [13, 14, 15]]
    prompts, embeddings = [], []
    embed = model.text_model.embeddings.token_embedding
    for name in names:
        ids = torch.tensor([0] + [5] * n + name + [end])
        with torch.no_grad():
            rows = embed(ids)
        rows[1:1 + n] = ctx
        prompts.append(ids)
        embeddings.append(rows)
    features = []
    with torch.no_grad():
        for ids, rows in zip(prompts, embeddings):
            t = len(ids)
            hidden = rows[None] + model.text_model.embeddings.position_embedding.weight[:t][None]
            mask = torch.full((t, t), float("-inf")).triu(1)[None, None]
            for layer in model.text_model.encoder.layers:
                hidden = layer(hidden, attention_mask=mask)
                hidden = hidden[0] if isinstance(hidden, tuple) else hidden
            last = model.text_model.final_layer_norm(hidden)[0, t - 1]
            features.append(model.text_projection(last))
    folder = HERE / "context"
    folder.mkdir(exist_ok=True)
    # As Dassl's save_checkpoint writes it; the copies of token embeddings are there as well.
    optimiser = torch.optim.SGD([torch.nn.Parameter(ctx.clone())], lr=0.002, momentum=0.9)
    torch.save({"state_dict": OrderedDict(ctx=ctx, token_prefix=torch.zeros(3, 1, width),
                                          token_suffix=torch.zeros(3, 8, width)),
                "epoch": 50, "optimizer": optimiser.state_dict(), "val_result": None},
               folder / "model.pth.tar-50")
    longest = max(len(p) for p in prompts)
    padded = torch.stack([torch.nn.functional.pad(p, (0, longest - len(p)), value=end) for p in prompts])
    save_file({"ids": padded.to(torch.uint32), "text": torch.nn.functional.normalize(torch.stack(features), dim=-1)},
              folder / "golden.safetensors", metadata=VERSIONS)


def heads():
    torch.manual_seed(4)
    folder = HERE / "heads"
    folder.mkdir(exist_ok=True)
    state = load_file(HERE / "open-clip/open_clip_model.safetensors")
    width = state["text_projection"].shape[1]
    # WiSE-FT deletes the text transformer and keeps the rest of CLIP with the head.
    kept = {"image_encoder.model." + k: v + 0.01 * torch.randn_like(v) if v.is_floating_point() else v
            for k, v in state.items() if not k.startswith("transformer.")}
    kept["classification_head.weight"] = torch.randn(3, width)
    kept["classification_head.bias"] = torch.randn(3)
    torch.save(OrderedDict(kept), folder / "classifier.pt")
    linear = torch.nn.Linear(width, 3)
    torch.save(linear.state_dict(), folder / "linear.pt")


siglip()
lora()
context()
heads()
