"""What a sweep of eleven alphas costs on photographs at ViT-B/32.

    pip install torch==2.15.0 transformers==5.23.0 pillow==13.0.0 numpy safetensors pyarrow torchvision
    cargo build --release && cargo bench --bench rate --no-run
    python benches/sweep_cost.py FOLDER_WITH_PHOTOGRAPHS [--rounds 3]

With a frozen backbone (a head alone is fine-tuned), eleven alphas against one. With everything fine-tuned,
eleven alphas against the route of a script around `transformers`: load, merge, decode with Pillow, preprocess,
forward, alpha by alpha; forward and decoding alone are timed beside it. A second sweep with kept crops is timed
too. Random weights; programs alternate; medians.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as parquet
import torch
from against_python import forward, preprocess, report
from parity import ROOT, make
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip import CLIPImageProcessorPil

TEMPLATES = ("a photo of a {}.", "the {}.")


def lay_out(work, photos):
    """Checkpoints, data and suites."""
    model = make("ViT-B/32", work / "zero-shot")
    torch.manual_seed(1)
    state = load_file(work / "zero-shot/model.safetensors")
    tuned = {k: v + 0.01 * torch.randn_like(v) if v.is_floating_point() and v.ndim > 1 else v
             for k, v in state.items()}
    (work / "tuned").mkdir()
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json"):
        (work / "tuned" / name).write_bytes((work / "zero-shot" / name).read_bytes())
    save_file(tuned, work / "tuned/model.safetensors")
    names = [p.stem.split("_", 1)[-1].replace("_", " ") for p in photos]
    (work / "head").mkdir()
    save_file({"classifier.weight": torch.randn(len(names), model.config.projection_dim),
               "classifier.bias": torch.zeros(len(names))}, work / "head/model.safetensors")
    (work / "head/classifier.json").write_text(json.dumps({"classes": names}))
    for i, photo in enumerate(photos):
        (work / f"data/{i}").mkdir(parents=True)
        (work / f"data/{i}/{photo.name}").symlink_to(photo)
    (work / "classes.txt").write_text("\n".join(names) + "\n")
    (work / "templates.txt").write_text("\n".join(TEMPLATES) + "\n")
    (work / "datasets.toml").write_text(
        '[photos]\nsummary = "x"\nlayout = "image-folder"\nlicence = "x"\norigin = "x"\nfolders = "numeric"\n'
        'classes = "classes.txt"\ntemplates = "templates.txt"\n[photos.split.test]\nfiles = ["data"]\n')
    start = f'[[checkpoint]]\nid = "zs"\nrole = "pretrained"\nsource = "{work}/zero-shot"\n'
    sweep = '[[sweep]]\nmerge = "wise-ft"\nfrom = "zs"\nto = ["ft"]\nalphas = "0:1:0.1"\n'
    probe = '[[probe]]\nid = "photos"\ndataset = "photos"\nrole = "generality"\n[stats]\nresamples = 100\n'
    end = '[[checkpoint]]\nid = "ft"\nrole = "finetuned"\n'
    suites = {
        "one": start + probe,
        "frozen": start + end + f'base = "zs"\nsource = "{work}/head"\n' + sweep + probe,
        "full": start + end + f'source = "{work}/tuned"\n' + sweep + probe,
    }
    for name, text in suites.items():
        (work / f"{name}.toml").write_text(f'[suite]\nname = "{name}"\n' + text)
    return names


def ours(args, work, suite, *extra):
    start = time.perf_counter()
    subprocess.run([args.binary, "run", str(work / f"{suite}.toml"), "--registry", str(work / "datasets.toml"),
                    "--out", str(work / f"out-{suite}"), "--fresh", "-q", "--threads", str(args.threads), *extra],
                   check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


@torch.no_grad()
def theirs(work, names, photos):
    """The eleven alphas by hand; returns seconds and the predictions by (alpha, file)."""
    start = time.perf_counter()
    a, b = load_file(work / "zero-shot/model.safetensors"), load_file(work / "tuned/model.safetensors")
    tokenizer = Tokenizer.from_file(str(work / "zero-shot/tokenizer.json"))
    tokenizer.enable_padding()
    ids = torch.tensor([e.ids for e in tokenizer.encode_batch([t.format(n) for n in names for t in TEMPLATES])])
    processor = CLIPImageProcessorPil.from_pretrained(work / "zero-shot")
    found = {}
    for step in range(11):
        alpha = step / 10
        model = CLIPModel(CLIPConfig.from_pretrained(work / "zero-shot")).eval()
        model.load_state_dict({k: (1 - alpha) * v + alpha * b[k] for k, v in a.items()}, strict=False)
        head = model.text_projection(model.text_model(input_ids=ids).pooler_output)
        head = torch.nn.functional.normalize(head).view(len(names), len(TEMPLATES), -1).mean(1)
        head = torch.nn.functional.normalize(head) * model.logit_scale.exp()
        for i in range(0, len(photos), 32):
            batch = photos[i : i + 32]
            images = [Image.open(p).convert("RGB") for p in batch]
            pixels = processor(images=images, return_tensors="pt")["pixel_values"]
            features = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
            logits = torch.nn.functional.normalize(features) @ head.T
            for photo, row in zip(batch, logits):
                found[alpha, photo.name] = int(row.argmax())
    return time.perf_counter() - start, found


def agreement(work, found):
    same = 0
    for step in range(11):
        variant = {0: "zs", 10: "ft"}.get(step, f"ft@{step / 10}")
        rows = parquet.read_table(work / f"out-full/predictions/{variant}/photos.parquet").to_pylist()
        same += sum(found[step / 10, r["example_id"].split("/")[-1]] == r["prediction"] for r in rows)
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--binary", default=str(ROOT / "target/release/specbench"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    photos = sorted(args.photos.resolve().iterdir())
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        names = lay_out(work, photos)
        one, frozen, full, kept, script = [], [], [], [], []
        ours(args, work, "full", "--cache", str(work / "crops"))
        for round_number in range(args.rounds):
            one.append(ours(args, work, "one", "--no-cache"))
            frozen.append(ours(args, work, "frozen", "--no-cache"))
            full.append(ours(args, work, "full", "--no-cache"))
            kept.append(ours(args, work, "full", "--cache", str(work / "crops")))
            seconds, found = theirs(work, names, photos)
            script.append(seconds)
            if round_number == 0:
                same = agreement(work, found)
                print(f"same prediction on {same} of {len(found)}", flush=True)
        median = lambda v: sorted(v)[len(v) // 2]
        print(f"frozen backbone, 11 alphas: {median(frozen):.2f} s, one model {median(one):.2f} s, "
              f"ratio {median(frozen) / median(one):.2f}")
        report(f"end to end, ViT-B/32, {len(photos)} photographs, 11 alphas", full, script)
        print(f"the same with kept crops: {median(kept):.2f} s")
        shape = SimpleNamespace(rounds=args.rounds, threads=args.threads, photos=args.photos)
        forward(shape, "ViT-B/32", work / "zero-shot", 32)
        preprocess(shape)


if __name__ == "__main__":
    main()
