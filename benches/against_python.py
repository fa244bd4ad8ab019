"""Times this program against the route a user has today, on the same images and weights.

    pip install torch==2.15.0 transformers==5.23.0 pillow==13.0.0 numpy safetensors pyarrow
    cargo build --release && cargo bench --bench rate --no-run
    python benches/against_python.py

The Python route loads both checkpoints, merges, and evaluates alpha by alpha: decode with Pillow,
`CLIPImageProcessor`, `CLIPModel`'s image tower, WiSE-FT's interpolated head. Both sides run the demo
suite; their accuracies are compared before any time is printed. Programs alternate, medians are
reported, with the ratio (above 1: this program is faster).
"""

import argparse
import glob
import io
import json
import statistics
import subprocess
import tempfile
import time
import tomllib
from pathlib import Path

import pyarrow.parquet as parquet
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip import CLIPImageProcessor, CLIPImageProcessorPil
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parent.parent


def lines(path):
    text = (ROOT / path).read_text().splitlines()
    return [x.strip() for x in text if x.strip() and not x.startswith("#")]


class PythonRoute:
    """What a script around `transformers` does."""

    def __init__(self, suite, processor):
        self.suite = tomllib.loads((ROOT / suite).read_text())
        self.registry = tomllib.loads((ROOT / "datasets.toml").read_text())
        self.sources = {c["id"]: ROOT / c["source"] for c in self.suite["checkpoint"]}
        self.processor_class = processor

    def model(self, folder, alpha, sweep):
        config = CLIPConfig.from_pretrained(folder)
        start = load_file(self.sources[sweep["from"]] / "model.safetensors")
        end = load_file(self.sources[sweep["to"][0]] / "model.safetensors")
        state = {k: (1 - alpha) * v.float() + alpha * end[k].float() for k, v in start.items()}
        model = CLIPModel(config).eval()
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert not unexpected and all("position_ids" in m for m in missing), (missing, unexpected)
        return model, {k: end[k].float() for k in ("classifier.weight", "classifier.bias")}

    @torch.no_grad()
    def zero_shot(self, model, folder, names, templates):
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_padding()
        texts = [t.replace("{}", n) for n in names for t in templates]
        ids = torch.tensor([e.ids for e in tokenizer.encode_batch(texts)])
        out = model.text_projection(model.text_model(input_ids=ids).pooler_output)
        out = out / out.norm(dim=-1, keepdim=True)
        out = out.view(len(names), len(templates), -1).mean(1)
        return out / out.norm(dim=-1, keepdim=True) * model.logit_scale.exp()

    @torch.no_grad()
    def accuracies(self, limit=None):
        sweep = self.suite["sweep"][0]
        folder = self.sources[sweep["from"]]
        fine = self.sources[sweep["to"][0]]
        known = json.loads((fine / "classifier.json").read_text())["classes"]
        processor = self.processor_class.from_pretrained(folder)
        found = {}
        for step in range(11):
            alpha = step / 10
            model, classifier = self.model(folder, alpha, sweep)
            for probe in self.suite["probe"]:
                entry = self.registry[probe["dataset"]]
                names, templates = lines(entry["classes"]), lines(entry["templates"])
                half = -(-len(names) // 2)
                low, high = {"all": (0, len(names)), "base": (0, half), "novel": (half, len(names))}[
                    probe.get("classes", "all")]
                files = entry["split"][probe.get("split", "test")]["files"]
                rows = [r for f in files for r in parquet.read_table(ROOT / f).to_pylist()]
                rows = [r for r in rows if low <= r["label"] < high][:limit]
                names = names[low:high]
                head, bias = self.zero_shot(model, folder, names, templates), torch.zeros(len(names))
                if all(n in known for n in names):
                    index = torch.tensor([known.index(n) for n in names])
                    head = (1 - alpha) * head + alpha * classifier["classifier.weight"][index]
                    bias = alpha * classifier["classifier.bias"][index]
                hits = 0
                for i in range(0, len(rows), 64):
                    batch = rows[i : i + 64]
                    images = [Image.open(io.BytesIO(r["image"])).convert("RGB") for r in batch]
                    pixels = processor(images=images, return_tensors="pt")["pixel_values"]
                    features = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
                    features = features / features.norm(dim=-1, keepdim=True)
                    predicted = (features @ head.T + bias).argmax(-1)
                    labels = torch.tensor([r["label"] - low for r in batch])
                    hits += int((predicted == labels).sum())
                found[alpha, probe["id"]] = hits / len(rows)
        return found


def ours(binary, suite, out, threads, extra=()):
    command = [binary, "run", suite, "--out", out, "--fresh", "--threads", str(threads), "-q", *extra]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def our_accuracies(out, suite):
    found = {}
    fine = suite["sweep"][0]["to"][0]
    import csv

    for row in csv.DictReader(open(Path(out) / "scores.csv")):
        if row["metric"] == "top1" and row["curve"] == fine:
            found[float(row["alpha"]), row["probe"]] = float(row["value"])
    return found


def report(name, here, there, unit="s"):
    a, b = statistics.median(here), statistics.median(there)
    ratio = b / a if unit == "s" else a / b
    print(f"{name}: specbench {a:.2f} {unit}, Python {b:.2f} {unit}, ratio {ratio:.2f}", flush=True)


def end_to_end(args):
    route = PythonRoute(args.suite, args.processor)
    here, there = [], []
    with tempfile.TemporaryDirectory() as out:
        for round_number in range(args.rounds):
            start = time.perf_counter()
            ours(args.binary, args.suite, out, args.threads)
            here.append(time.perf_counter() - start)
            start = time.perf_counter()
            expected = route.accuracies()
            there.append(time.perf_counter() - start)
            if round_number == 0:
                found = our_accuracies(out, route.suite)
                worst = max(abs(found[k] - v) for k, v in expected.items())
                print(f"largest difference of {len(expected)} accuracies: {worst:.6f}", flush=True)
    report("end to end, demo, 11 alphas", here, there)


def rate(*arguments):
    """One measurement by `benches/rate.rs`, which must be built (`cargo bench --bench rate --no-run`)."""
    found = glob.glob(str(ROOT / "target/release/deps/rate-*"))
    program = max((p for p in found if "." not in Path(p).name), key=lambda p: Path(p).stat().st_mtime)
    environment = {"RAYON_NUM_THREADS": "1", "CANDLE_NUM_THREADS": "1"}
    return float(subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True,
                                env=environment).stdout)


def forward(args, name, folder, batch):
    model = CLIPModel.from_pretrained(folder).eval().float()
    size = model.config.vision_config.image_size
    pixels = torch.randn(batch, 3, size, size)
    here, there = [], []
    for _ in range(args.rounds):
        here.append(rate("forward", folder, "--batch", batch, "--threads", args.threads, "--rounds", 5))
        rates = []
        with torch.no_grad():
            model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
            for _ in range(5):
                start = time.perf_counter()
                model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
                rates.append(batch / (time.perf_counter() - start))
        there.append(statistics.median(rates))
    report(f"forward alone, {name}, batch {batch}, f32", here, there, "images/s")


def preprocess(args):
    """Per core: JPEG bytes to normalised input, against Pillow with torchvision's transforms."""
    from torchvision import transforms as t

    way = t.Compose([t.Resize(224, t.InterpolationMode.BICUBIC), t.CenterCrop(224), t.ToTensor(),
                     t.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))])
    files = [p.read_bytes() for p in sorted(Path(args.photos).iterdir())]
    here, there = [], []
    torch.set_num_threads(1)
    for _ in range(args.rounds):
        here.append(rate("preprocess", args.photos, "--threads", 1, "--rounds", 5))
        rates = []
        for _ in range(3):
            start = time.perf_counter()
            for data in files:
                way(Image.open(io.BytesIO(data)).convert("RGB"))
            rates.append(len(files) / (time.perf_counter() - start))
        there.append(statistics.median(rates))
    torch.set_num_threads(args.threads)
    report(f"decode and preprocess to 224 pixels, {len(files)} photographs, one core", here, there, "images/s")


SHAPES = {
    "ViT-B/32": dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12,
                     image_size=224, patch_size=32),
    "ViT-B/16": dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12,
                     image_size=224, patch_size=16),
}


def random_model(shape, folder):
    """A random model of a real shape; the text tower is small, it is not timed."""
    torch.manual_seed(0)
    text = dict(hidden_size=64, intermediate_size=64, num_attention_heads=1, num_hidden_layers=1)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config={**SHAPES[shape], "hidden_act": "quick_gelu"},
                                 projection_dim=512))
    model.save_pretrained(folder)
    source = json.loads((ROOT / "suites/demo/zero-shot/preprocessor_config.json").read_text())
    source["size"], source["crop_size"] = {"shortest_edge": 224}, {"height": 224, "width": 224}
    (Path(folder) / "preprocessor_config.json").write_text(json.dumps(source))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=str(ROOT / "target/release/specbench"))
    parser.add_argument("--suite", default="suites/demo.toml")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shapes", nargs="*", default=[], choices=list(SHAPES), help="also time these towers")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--fast-processor", action="store_true", help="torchvision's processor instead of Pillow's")
    parser.add_argument("--photos", help="also time decoding and preprocessing of this folder's JPEGs")
    parser.add_argument("--forward-only", action="store_true")
    args = parser.parse_args()
    args.processor = CLIPImageProcessor if args.fast_processor else CLIPImageProcessorPil
    torch.set_num_threads(args.threads)
    forward(args, "demo tower", ROOT / "suites/demo/zero-shot", 64)
    for shape in args.shapes:
        with tempfile.TemporaryDirectory() as folder:
            random_model(shape, folder)
            forward(args, shape, folder, args.batch)
    if args.photos:
        preprocess(args)
    if not args.forward_only:
        end_to_end(args)


if __name__ == "__main__":
    main()
