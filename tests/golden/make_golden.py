"""Makes the golden files of this folder from the reference implementations.

    pip install torch==2.15.0 transformers==5.23.0 pillow==13.0.0 numpy safetensors
    python tests/golden/make_golden.py [FOLDER WITH PHOTOGRAPHS]

Writes two tiny random CLIP models with their inputs, features and logits (`clip-*/`), a few images
with what Pillow decodes and resizes them to (`images/`), and, if a folder of JPEG photographs is
given, the digests of their decoded and cropped pixels (`photos.json`; the photographs themselves are
not copied).
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import PIL
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

HERE = Path(__file__).parent
VERSIONS = {
    "torch": torch.__version__.split("+")[0],
    "transformers": transformers.__version__,
    "pillow": PIL.__version__,
    "numpy": np.__version__,
}

MODELS = {
    "clip-quick-gelu": dict(
        projection_dim=24,
        # The configuration of OpenAI's first checkpoints: the largest id marks the end.
        text=dict(hidden_size=32, intermediate_size=48, num_attention_heads=4, num_hidden_layers=2,
                  hidden_act="quick_gelu", vocab_size=60, max_position_embeddings=12, eos_token_id=2,
                  bos_token_id=0, pad_token_id=1),
        vision=dict(hidden_size=40, intermediate_size=64, num_attention_heads=2, num_hidden_layers=3,
                    hidden_act="quick_gelu", image_size=32, patch_size=8),
        end=59,
    ),
    "clip-gelu": dict(
        projection_dim=16,
        text=dict(hidden_size=24, intermediate_size=96, num_attention_heads=3, num_hidden_layers=3,
                  hidden_act="gelu", vocab_size=80, max_position_embeddings=9, eos_token_id=77,
                  bos_token_id=76, pad_token_id=77),
        vision=dict(hidden_size=48, intermediate_size=100, num_attention_heads=6, num_hidden_layers=2,
                    hidden_act="gelu", image_size=42, patch_size=14),
        end=77,
    ),
}


def make_model(name, spec):
    torch.manual_seed(0)
    config = CLIPConfig(text_config=spec["text"], vision_config=spec["vision"],
                        projection_dim=spec["projection_dim"])
    model = CLIPModel(config).eval()
    # Random values everywhere: fresh biases are zero and norms one, which would hide mistakes.
    with torch.no_grad():
        for key, p in model.named_parameters():
            if p.ndim == 1:
                p.add_(0.1 * torch.randn_like(p))
            elif p.ndim > 1:
                p.copy_(0.15 * torch.randn_like(p))
    size = spec["vision"]["image_size"]
    pixels = torch.randn(3, 3, size, size)
    ids = torch.randint(3, 50, (4, 7))
    for row, end in enumerate([2, 4, 5, 6]):
        ids[row, end] = spec["end"]
    with torch.no_grad():
        out = model(input_ids=ids, pixel_values=pixels)
        image = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
        text = model.text_projection(model.text_model(input_ids=ids).pooler_output)
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    full = {k: v for k, v in config.to_dict().items()}
    (folder / "config.json").write_text(json.dumps(full, indent=2, default=str) + "\n")
    state = {k: v.contiguous() for k, v in model.state_dict().items() if "position_ids" not in k}
    save_file(state, folder / "model.safetensors", metadata=VERSIONS)
    save_file({"pixels": pixels, "ids": ids.to(torch.uint32) if hasattr(torch, "uint32") else ids.int(),
               "image": image.contiguous(), "text": text.contiguous(),
               "logits_per_image": out.logits_per_image.contiguous()},
              folder / "golden.safetensors", metadata=VERSIONS)


def clip_crop(image, size):
    """CLIPImageProcessor on Pillow: RGB, shortest side, centre crop (floor)."""
    image = image.convert("RGB")
    w, h = image.size
    if w <= h:
        new = (size, int(size * h / w))
    else:
        new = (int(size * w / h), size)
    image = image.resize(new, Image.BICUBIC)
    left, top = (new[0] - size) // 2, (new[1] - size) // 2
    return image.crop((left, top, left + size, top + size))


def pattern(w, h):
    y, x = np.mgrid[0:h, 0:w].astype(float)
    r = 127 + 120 * np.sin(x / 7) * np.cos(y / 11)
    g = 127 + 120 * np.sin((x + y) / 5)
    b = (x * 3 + y * 5) % 256
    noise = np.random.default_rng(0).normal(0, 12, (h, w, 3))
    return Image.fromarray(np.clip(np.stack([r, g, b], -1) + noise, 0, 255).astype(np.uint8))


def make_images():
    folder = HERE / "images"
    folder.mkdir(exist_ok=True)
    big, tall, small = pattern(173, 120), pattern(91, 140), pattern(40, 33)
    cases = {
        "420.jpg": (big, dict(quality=90, subsampling=2)),
        "422.jpg": (tall, dict(quality=75, subsampling=1)),
        "444-progressive.jpg": (big, dict(quality=85, subsampling=0, progressive=True)),
        "grey.jpg": (tall.convert("L"), dict(quality=90)),
        "enlarged.jpg": (small, dict(quality=95)),
        "cmyk.jpg": (small.convert("CMYK"), dict(quality=90)),
        "rgba.png": (Image.merge("RGBA", (*tall.split(), tall.split()[0])), {}),
        "palette.png": (big.quantize(64), {}),
        "grey-alpha.png": (Image.merge("LA", (small.convert("L"), small.split()[1])), {}),
        "one-bit.png": (small.convert("1"), {}),
        "grey16.png": (Image.fromarray((np.arange(40 * 33).reshape(33, 40) * 3).astype(np.uint16)), {}),
        "lossless.webp": (small, dict(lossless=True)),
    }
    for name, (image, options) in cases.items():
        path = folder / name
        image.save(path, **options)
        with Image.open(path) as opened:
            opened.convert("RGB").save(folder / f"{name}.decoded.png")
            clip_crop(opened, 56).save(folder / f"{name}.crop56.png")


def digest(image):
    return hashlib.sha256(np.asarray(image, dtype=np.uint8).tobytes()).hexdigest()


def make_photos(folder):
    out = {"versions": VERSIONS, "size": 224, "photos": {}}
    for path in sorted(Path(folder).iterdir()):
        with Image.open(path) as image:
            out["photos"][path.name] = {"decoded": digest(image.convert("RGB")),
                                        "crop": digest(clip_crop(image, 224))}
    (HERE / "photos.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    for name, spec in MODELS.items():
        make_model(name, spec)
    make_images()
    if len(sys.argv) > 1:
        make_photos(sys.argv[1])
    (HERE / "versions.json").write_text(json.dumps(VERSIONS, indent=1) + "\n")
