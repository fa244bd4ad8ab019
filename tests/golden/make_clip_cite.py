"""Ten steps of CLIP-CITE, and of stochastic WiSE-FT at one fixed place, on the tiny CLIP of `training/`, in PyTorch.

    pip install torch==2.15.0 transformers==5.24.0 safetensors tokenizers pillow numpy
    python make_clip_cite.py

Writes `clip-cite/`: some of the trained weights of each, with the settings of `make_training.py`. CLIP-CITE is written out from its
paper (arXiv:2407.04003, equations 2 to 6), loop over loop and not as matrices: the head starts as the class texts and trains with
the image tower (3), images and captions are contrasted by class (4), and an image's distribution over the captions of the batch is
held to that of the start (5). Temperature: that of the model, everywhere.
"""

import json
from pathlib import Path

import tokenizers
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file

from make_block_prompts import pixels
from make_training import CLASSES, TEMPLATES, clip_model, train

ROOT = Path(__file__).parent
HERE = ROOT / "clip-cite"
LAMBDA, ETA = 0.7, 0.1


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


def contrast(scale, images, captions, labels, printed):
    """Equation 4 with the sign of a loss; `printed` leaves the own pair out of the denominators."""
    total = 0.0
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if labels[j] != labels[i]]
        inside = others if printed else [i, *others]
        own = torch.exp(scale * images[i] @ captions[i])
        total = total - torch.log(own / sum(torch.exp(scale * images[i] @ captions[j]) for j in inside))
        total = total - torch.log(own / sum(torch.exp(scale * images[j] @ captions[i]) for j in inside))
    return total


def similarity(scale, images, captions, images0, captions0):
    """Equation 5: KL of the model from the start."""
    total = 0.0
    for f, f0 in zip(images, images0):
        p = F.softmax(scale * captions @ f, -1)
        p0 = F.softmax(scale * captions0 @ f0, -1)
        total = total + (p * (p.log() - p0.log())).sum()
    return total


def main():
    HERE.mkdir(exist_ok=True)
    tok = tokenizers.Tokenizer.from_file(str(ROOT / "training/clip/tokenizer.json"))
    seen = pixels()
    labels = torch.arange(len(CLASSES)).repeat_interleave(4)
    n, expected = len(labels), {}
    for case, templates in [("one", TEMPLATES[:1]), ("printed", TEMPLATES[:1]), ("two", TEMPLATES), ("frozen-texts", TEMPLATES),
                            ("place", TEMPLATES)]:
        model = clip_model()
        ids = [[torch.tensor([tok.encode(t.replace("{}", c)).ids]) for t in templates] for c in CLASSES]

        def images():
            return unit(model.visual_projection(model.vision_model(seen).pooler_output))

        def texts():
            each = [[unit(model.text_projection(model.text_model(one).pooler_output)[0]) for one in own] for own in ids]
            return unit(torch.stack([torch.stack(own).mean(0) for own in each]))

        with torch.no_grad():
            scale = model.logit_scale.exp()
            images0, rows0 = images().clone(), texts().clone()
        head = torch.nn.Parameter(rows0 * scale)
        bias = torch.nn.Parameter(torch.zeros(len(CLASSES)))
        parts = ("vision_model.", "visual_projection.")
        if case in ("one", "printed", "two"):
            parts += ("text_model.", "text_projection.")
        parameters = {name: p for name, p in model.named_parameters() if name.startswith(parts)}
        parameters |= {"classifier.weight": head, "classifier.bias": bias}
        start = {name: p.detach().clone() for name, p in parameters.items()}

        def loss(_):
            f = images()
            value = F.cross_entropy(f @ head.T + bias, labels)
            captions = (rows0 if case == "frozen-texts" else texts())[labels]
            value = value + LAMBDA * contrast(scale, f, captions, labels, case == "printed") / n
            return value + ETA * similarity(scale, f, captions, images0, rows0[labels]) / n

        def at_a_place(_):
            """The loss at 0.3 of the way, with gradients for the weights at its end."""
            there = {name: 0.7 * start[name] + 0.3 * p for name, p in parameters.items()}
            body = {name: p for name, p in there.items() if not name.startswith("classifier.")}
            names = {name: p for name, p in model.named_parameters()} | body

            def forward():
                return model.visual_projection(model.vision_model(seen).pooler_output)

            class Towers(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.model = model

                def forward(self):
                    return forward()

            f = unit(torch.func.functional_call(Towers(), {f"model.{k}": v for k, v in names.items()}, ()))
            return F.cross_entropy(f @ there["classifier.weight"].T + there["classifier.bias"], labels)

        trained = train(parameters, at_a_place if case == "place" else loss, case)
        kept = ["vision_model.encoder.layers.1.mlp.fc1.weight", "text_model.encoder.layers.0.mlp.fc1.weight",
                "text_projection.weight", "visual_projection.weight"]
        if case == "one":
            kept.append("text_model.embeddings.token_embedding.weight")
        if case in ("frozen-texts", "place"):
            kept = ["classifier.weight", "vision_model.encoder.layers.1.mlp.fc1.weight"]
        for name in kept:
            expected[f"{case}/{name}"] = trained[name].contiguous()
    save_file(expected, HERE / "expected.safetensors", {"format": "pt"})
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions) + "\n")


if __name__ == "__main__":
    main()
