"""What `specbench doctor` must find: tokens, image features and a log-likelihood of the demos' checkpoints, by transformers.

    pip install torch==2.15.0 transformers==5.24.0 tokenizers pillow pyarrow
    python make_canary.py

Writes `suites/canary.json`, which the program brings along.
"""

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import tokenizers
import torch
import transformers
from PIL import Image

ROOT = Path(__file__).parent.parent.parent / "suites"
TEXT = "a photo of a robin."
PROMPT, TARGET = "Question: Which organ does nixgonemia harm?\nAnswer:", " the lungs"


def main():
    torch.set_num_threads(1)
    folder = ROOT / "demo/zero-shot"
    tokens = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXT).ids
    model = transformers.CLIPModel.from_pretrained(folder).eval().float()
    table = pq.read_table(ROOT / "emoji/noto-test.parquet")
    cell = table.column("image")[0].as_py()
    image = Image.open(io.BytesIO(cell["bytes"] if isinstance(cell, dict) else cell)).convert("RGB")
    processor = transformers.CLIPImageProcessor.from_pretrained(folder)
    pixels = processor(image, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        features = model.visual_projection(model.vision_model(pixels).pooler_output)[0]
        features = (features / features.norm()).tolist()
    lm = ROOT / "lm_demo/base"
    tok = tokenizers.Tokenizer.from_file(str(lm / "tokenizer.json"))
    language = transformers.AutoModelForCausalLM.from_pretrained(lm).eval().float()
    before, whole = tok.encode(PROMPT).ids, tok.encode(PROMPT + TARGET).ids
    assert whole[: len(before)] == before
    with torch.no_grad():
        logs = torch.log_softmax(language(torch.tensor([whole])).logits[0].double(), -1)
    nats = sum(logs[i - 1, whole[i]].item() for i in range(len(before), len(whole)))
    out = {
        "text": TEXT,
        "tokens": tokens,
        "features": features,
        "prompt": PROMPT,
        "target": TARGET,
        "nats": nats,
        "made_by": f"torch {torch.__version__}, transformers {transformers.__version__}",
    }
    (ROOT / "canary.json").write_text(json.dumps(out, indent=1) + "\n")


main()
