"""Compares logits with PyTorch's through the whole path, from JPEG files to logits.

    pip install torch==2.15.0 transformers==5.23.0 pillow==13.0.0 safetensors pyarrow
    cargo build --release
    python benches/parity.py FOLDER_WITH_PHOTOGRAPHS [--shapes ViT-B/32 ViT-B/16 ViT-L/14]

Makes random CLIP models of real shapes, evaluates them with `specbench run` on the photographs, and
compares the five largest logits of every example with those of `transformers` on Pillow images.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import pyarrow.parquet as parquet
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip import CLIPImageProcessorPil

ROOT = Path(__file__).resolve().parent.parent
SHAPES = {
    "ViT-B/32": (768, 3072, 12, 12, 32, 512),
    "ViT-B/16": (768, 3072, 12, 12, 16, 512),
    "ViT-L/14": (1024, 4096, 16, 24, 14, 768),
}


def make(shape, folder):
    width, inner, heads, layers, patch, dim = SHAPES[shape]
    torch.manual_seed(0)
    text = dict(hidden_size=64, intermediate_size=128, num_attention_heads=2, num_hidden_layers=2, vocab_size=800,
                max_position_embeddings=32, eos_token_id=799, bos_token_id=798, pad_token_id=0)
    vision = dict(hidden_size=width, intermediate_size=inner, num_attention_heads=heads, num_hidden_layers=layers,
                  image_size=224, patch_size=patch, hidden_act="quick_gelu")
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim)).eval()
    with torch.no_grad():
        model.logit_scale.fill_(4.6052)
    model.save_pretrained(folder)
    source = json.loads((ROOT / "suites/demo/zero-shot/preprocessor_config.json").read_text())
    source["size"], source["crop_size"] = {"shortest_edge": 224}, {"height": 224, "width": 224}
    (folder / "preprocessor_config.json").write_text(json.dumps(source))
    (folder / "tokenizer.json").write_bytes((ROOT / "suites/demo/tokenizer.json").read_bytes())
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--binary", default=str(ROOT / "target/release/specbench"))
    args = parser.parse_args()
    photos = sorted(args.photos.resolve().iterdir())
    for shape in args.shapes:
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            model = make(shape, work / "model")
            names = [p.stem.split("_", 1)[-1].replace("_", " ") for p in photos]
            for i, photo in enumerate(photos):
                (work / f"data/{i}").mkdir(parents=True)
                (work / f"data/{i}/{photo.name}").symlink_to(photo)
            (work / "classes.txt").write_text("\n".join(names) + "\n")
            (work / "templates.txt").write_text("a photo of a {}.\nthe {}.\n")
            (work / "datasets.toml").write_text(
                '[photos]\nsummary = "x"\nlayout = "image-folder"\nlicence = "x"\norigin = "x"\nfolders = "numeric"\n'
                'classes = "classes.txt"\ntemplates = "templates.txt"\n[photos.split.test]\nfiles = ["data"]\n')
            (work / "suite.toml").write_text(
                f'[suite]\nname = "parity"\n[[checkpoint]]\nid = "m"\nrole = "pretrained"\nsource = "{work}/model"\n'
                '[[probe]]\nid = "photos"\ndataset = "photos"\nrole = "generality"\n')
            subprocess.run([args.binary, "run", str(work / "suite.toml"), "--registry", str(work / "datasets.toml"),
                            "--out", str(work / "out"), "-q"], check=True, stdout=subprocess.DEVNULL)
            rows = parquet.read_table(work / "out/predictions/m/photos.parquet").to_pylist()

            tokenizer = Tokenizer.from_file(str(work / "model/tokenizer.json"))
            tokenizer.enable_padding()
            texts = [t.format(n) for n in names for t in ("a photo of a {}.", "the {}.")]
            ids = torch.tensor([e.ids for e in tokenizer.encode_batch(texts)])
            processor = CLIPImageProcessorPil.from_pretrained(work / "model")
            with torch.no_grad():
                head = model.text_projection(model.text_model(input_ids=ids).pooler_output)
                head = torch.nn.functional.normalize(head).view(len(names), 2, -1).mean(1)
                head = torch.nn.functional.normalize(head) * model.logit_scale.exp()
                worst, same, sure = 0.0, 0, 0
                by_name = {p.name: p for p in photos}
                for row in rows:
                    image = Image.open(by_name[row["example_id"].split("/")[-1]]).convert("RGB")
                    pixels = processor(images=[image], return_tensors="pt")["pixel_values"]
                    feature = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
                    logits = (torch.nn.functional.normalize(feature) @ head.T)[0]
                    for c, v in zip(row["top_classes"], row["top_logits"]):
                        worst = max(worst, abs(float(logits[c]) - v))
                    top = logits.topk(2).values
                    if float(top[0] - top[1]) > 1e-3:
                        sure += 1
                        same += int(int(logits.argmax()) == row["prediction"])
            print(f"{shape}: {len(rows)} photographs, largest difference of the five largest logits {worst:.2e} "
                  f"(scale {float(model.logit_scale.exp()):.0f}); same top-1 on {same} of {sure} with a margin "
                  f"over 1e-3", flush=True)


if __name__ == "__main__":
    main()
