"""Makes the golden files of the open_clip layout (`open-clip/`, safetensors and pickle).

    pip install torch==2.15.0 open_clip_torch==3.3.0 safetensors
    python tests/golden/make_open_clip.py
"""

import json
from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import save_file

HERE = Path(__file__).parent
CONFIG = {
    "embed_dim": 20,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 24, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 24, "heads": 2, "layers": 2},
}

torch.manual_seed(0)
model = CLIP(CONFIG["embed_dim"], CLIPVisionCfg(**CONFIG["vision_cfg"]), CLIPTextCfg(**CONFIG["text_cfg"]),
             quick_gelu=True).eval()
with torch.no_grad():
    for p in model.parameters():
        if p.ndim > 1:
            p.copy_(0.15 * torch.randn_like(p))
        elif p.ndim == 1:
            p.add_(0.1 * torch.randn_like(p))
pixels = torch.randn(3, 3, 24, 24)
ids = torch.randint(1, 40, (3, 8))
for row, end in enumerate([2, 5, 7]):
    ids[row, end] = 49
    ids[row, end + 1 :] = 0
with torch.no_grad():
    image, text = model.encode_image(pixels), model.encode_text(ids)
folder = HERE / "open-clip"
folder.mkdir(exist_ok=True)
config = {"model_cfg": CONFIG, "preprocess_cfg": {
    "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic", "resize_mode": "shortest"}}
(folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
state = {k: v.contiguous() for k, v in model.state_dict().items() if k != "attn_mask"}
versions = {"torch": torch.__version__.split("+")[0], "open_clip": open_clip.__version__}
save_file(state, folder / "open_clip_model.safetensors", metadata=versions)
(HERE / "open-clip-pickle").mkdir(exist_ok=True)
(HERE / "open-clip-pickle/open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
torch.save({"epoch": 1, "state_dict": {f"module.{k}": v for k, v in state.items()}},
           HERE / "open-clip-pickle/open_clip_pytorch_model.bin")
save_file({"pixels": pixels, "ids": ids.int(), "image": image.contiguous(), "text": text.contiguous()},
          folder / "golden.safetensors", metadata=versions)
