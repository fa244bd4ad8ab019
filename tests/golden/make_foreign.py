"""Makes `foreign/`: tiny models with every option of a foreign configuration that is read, and what the reference computes.

    pip install torch==2.15.0 transformers==5.24.0 open_clip_torch==3.3.0 peft==0.21.2 safetensors pillow==13.0.0
    python tests/golden/make_foreign.py

Pixels and token ids are made from a formula that the test repeats, so that only features are stored. `bf16_error` and
`f16_error` are PyTorch's own errors against its f32 features, root mean square over root mean square.
"""

import copy
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import torch
from open_clip.model import CLIP, CustomTextCLIP
from peft import LoraConfig, get_peft_model, PeftModel
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionModel, SiglipConfig, SiglipModel

warnings.filterwarnings("ignore")
HERE = Path(__file__).parent
OUT = HERE / "foreign"
shutil.rmtree(OUT, ignore_errors=True)
torch.set_num_threads(1)
torch.manual_seed(0)


def pixels(side, batch=2):
    i = torch.arange(batch * 3 * side * side, dtype=torch.int64)
    return (((i * 7919) % 1000).float() / 500 - 1).reshape(batch, 3, side, side)


def ids(length, vocabulary, batch=3):
    i = torch.arange(batch * length, dtype=torch.int64).reshape(batch, length)
    return (i * 31 + 7) % (vocabulary - 1)


def randomise(model, seed=0, scale=0.2):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 0:
                p.fill_(1.5)
            elif p.ndim == 1:
                p.add_(0.1 * torch.randn(p.shape, generator=g))
            else:
                p.copy_(scale * torch.randn(p.shape, generator=g))
    return model.eval()


def save(name, model, config, file, weights, golden):
    folder = OUT / name
    folder.mkdir(parents=True)
    (folder / file).write_text(json.dumps(config, indent=1) + "\n")
    state = {k: v.detach().clone().contiguous() for k, v in model.state_dict().items()}
    save_file(state, folder / weights, metadata={"format": "pt"})
    save_file({k: v.detach().contiguous() for k, v in golden.items()}, folder / "golden.safetensors")


def low_error(model, encode, dtype, right):
    low = encode(copy.deepcopy(model).to(dtype), dtype).float()
    return ((low - right).square().mean() / right.square().mean()).sqrt().reshape(1)


def hugging_face(name, text, vision, projection):
    base_t = dict(hidden_size=8, intermediate_size=12, num_attention_heads=2, num_hidden_layers=2, vocab_size=40,
                  max_position_embeddings=10, eos_token_id=39, bos_token_id=38, pad_token_id=1)
    base_v = dict(hidden_size=8, intermediate_size=12, num_attention_heads=2, num_hidden_layers=2, image_size=20, patch_size=10)
    t, v = {**base_t, **text}, {**base_v, **vision}
    model = randomise(CLIPModel(CLIPConfig(text_config=t, vision_config=v, projection_dim=projection)))
    tokens = ids(t["max_position_embeddings"], t["vocab_size"])
    tokens[:, -2] = t["vocab_size"] - 1
    encode = lambda m, d: m.visual_projection(m.vision_model(pixel_values=pixels(v["image_size"]).to(d)).pooler_output)
    with torch.no_grad():
        image = encode(model, torch.float32)
        texts = model.text_projection(model.text_model(input_ids=tokens).pooler_output)
        golden = {"image": image, "text": texts}
        for key, dtype in (("bf16_error", torch.bfloat16), ("f16_error", torch.float16)):
            golden[key] = low_error(model, encode, dtype, image)
    config = dict(model_type="clip", projection_dim=projection, text_config=t, vision_config=v)
    save(name, model, config, "config.json", "model.safetensors", golden)


hugging_face("odd-projection", dict(hidden_size=12), dict(hidden_size=16, num_attention_heads=4), 20)
hugging_face("50-by-10", {}, dict(image_size=50), 8)
hugging_face("96-by-12", {}, dict(image_size=96, patch_size=12), 8)
# 65, 197, 257, 577 and 1,025 tokens, wide enough for sums to matter.
for image_size, patch_size in ((224, 16), (224, 14), (336, 14), (512, 16)):
    wide = dict(image_size=image_size, patch_size=patch_size, hidden_size=32, intermediate_size=64)
    hugging_face(f"{image_size}-by-{patch_size}", {}, wide, 8)
hugging_face("legacy-end", dict(eos_token_id=2), {}, 8)


def siglip(name, text, vision):
    t = {**dict(hidden_size=8, intermediate_size=12, num_attention_heads=2, num_hidden_layers=1, vocab_size=40,
                max_position_embeddings=9), **text}
    v = {**dict(hidden_size=8, intermediate_size=12, num_attention_heads=2, num_hidden_layers=1, image_size=32, patch_size=8), **vision}
    model = randomise(SiglipModel(SiglipConfig(text_config=t, vision_config=v)))
    with torch.no_grad():
        golden = {"image": model.vision_model(pixel_values=pixels(v["image_size"])).pooler_output,
                  "text": model.text_model(input_ids=ids(9, 40)).pooler_output}
    save(name, model, dict(model_type="siglip", text_config=t, vision_config=v), "config.json", "model.safetensors", golden)


siglip("siglip-384-by-14", {}, dict(image_size=384, patch_size=14))
siglip("siglip-projection", dict(hidden_size=12, projection_size=8), {})


def open_clip(name, vision=None, text=None, model_keys=None):
    vc = {**dict(image_size=24, layers=2, width=8, patch_size=8, head_width=4, mlp_ratio=1.5), **(vision or {})}
    tc = {**dict(context_length=9, vocab_size=40, width=8, heads=2, layers=2, mlp_ratio=1.5), **(text or {})}
    extra = model_keys or {}
    kind = CustomTextCLIP if extra.get("custom_text") else CLIP
    arguments = {k: v for k, v in extra.items() if k != "custom_text"}
    torch.manual_seed(0)
    model = randomise(kind(8, vc, tc, **arguments), 3)
    if tc.get("pool_type") == "eos":
        tokens = ids(9, 40)
        tokens[:, 5] = tc["eos_id"]
    else:
        tokens = ids(9, 40)
    with torch.no_grad():
        golden = {"image": model.encode_image(pixels(24)), "text": model.encode_text(tokens)}
    config = {"model_cfg": {"embed_dim": 8, "vision_cfg": vc, "text_cfg": tc, **extra}, "preprocess_cfg": {}}
    save(name, model, config, "open_clip_config.json", "open_clip_model.safetensors", golden)


open_clip("oc-no-causal-last", text=dict(no_causal_mask=True, pool_type="last"))
open_clip("oc-eos", text=dict(pool_type="eos", eos_id=2))
open_clip("oc-first", text=dict(pool_type="first", no_causal_mask=True))
open_clip("oc-layer-scale", dict(ls_init_value=0.1), dict(ls_init_value=0.1))
open_clip("oc-eps", dict(norm_kwargs={"eps": 1e-2}), dict(norm_kwargs={"eps": 1e-3}))
open_clip("oc-tanh", dict(act_kwargs={"approximate": "tanh"}), dict(act_kwargs={"approximate": "tanh"}))
open_clip("oc-average", dict(pool_type="avg", no_ln_pre=True, final_ln_after_pool=True))
open_clip("oc-average-norm-first", dict(pool_type="avg"))
open_clip("oc-projection-bias", text=dict(proj_bias=True))
open_clip("oc-custom-text", model_keys=dict(custom_text=True, init_logit_bias=-3.0))
open_clip("oc-sine", dict(pos_embed_type="sin_cos_2d"))

# Adapters on `clip-quick-gelu`: the same pixels and ids as its own golden file.
config = json.loads((HERE / "clip-quick-gelu" / "config.json").read_text())
base = CLIPModel.from_pretrained(HERE / "clip-quick-gelu").eval()
from safetensors.torch import load_file

inputs = load_file(HERE / "clip-quick-gelu" / "golden.safetensors")


def tidy(folder):
    """Leaves out the card, and the place of the base on this machine."""
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = "clip-quick-gelu"
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=1) + "\n")


def adapter(name, **options):
    tuned = get_peft_model(copy.deepcopy(base), LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], **options))
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for _, p in tuned.named_parameters():
            if p.requires_grad:
                p.add_(0.3 * torch.randn(p.shape, generator=g))
    folder = OUT / name
    tuned.save_pretrained(folder)
    tidy(folder)
    whole = PeftModel.from_pretrained(copy.deepcopy(base), folder).merge_and_unload().eval()
    with torch.no_grad():
        image = whole.visual_projection(whole.vision_model(pixel_values=inputs["pixels"]).pooler_output)
        text = whole.text_projection(whole.text_model(input_ids=inputs["ids"].long()).pooler_output)
    save_file({"image": image.contiguous(), "text": text.contiguous()}, folder / "golden.safetensors")


adapter("lora-patterns", alpha_pattern={r"encoder\.layers\.0\.self_attn\.q_proj": 32, "v_proj": 1}, rank_pattern={r"^vision_model\..*v_proj": 3})
adapter("lora-bias", lora_bias=True)
adapter("lora-stabilised", use_rslora=True, bias="all")
adapter("lora-gaussian", init_lora_weights="gaussian", modules_to_save=["visual_projection"])

# The vision tower alone, as `transformers` 5 names it.
vision = CLIPVisionModel.from_pretrained(HERE / "clip-quick-gelu").eval()
tuned = get_peft_model(copy.deepcopy(vision), LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"]))
g = torch.Generator().manual_seed(9)
with torch.no_grad():
    for _, p in tuned.named_parameters():
        if p.requires_grad:
            p.add_(0.3 * torch.randn(p.shape, generator=g))
folder = OUT / "lora-vision-only"
tuned.save_pretrained(folder)
tidy(folder)
merged = PeftModel.from_pretrained(copy.deepcopy(vision), folder).merge_and_unload().eval()
with torch.no_grad():
    image = base.visual_projection(merged(pixel_values=inputs["pixels"]).pooler_output)
save_file({"image": image.contiguous()}, folder / "golden.safetensors")

# A tall photograph-like image, on which Pillow 13 makes the vertical pass first.
rng = np.random.default_rng(5)
y, x = np.mgrid[0:300, 0:70].astype(float)
picture = np.stack([127 + 100 * np.sin(x / 5) * np.cos(y / 9), 127 + 90 * np.sin((x + 2 * y) / 7), (x * 3 + y) % 256], -1)
picture = Image.fromarray(np.clip(picture + rng.normal(0, 25, picture.shape), 0, 255).astype(np.uint8))
images = HERE / "images"
picture.save(images / "tall.png")
picture.save(images / "tall.png.decoded.png")
w, h = picture.size
resized = picture.resize((56, 56 * h // w), Image.BICUBIC)
top = (resized.height - 56) // 2
resized.crop((0, top, 56, top + 56)).save(images / "tall.png.crop56.png")
