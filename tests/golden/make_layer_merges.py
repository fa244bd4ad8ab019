"""RegMean and Model Tailor on one linear layer, by least squares and by the definition of the optimal brain surgeon.

    pip install torch==2.15.0 transformers==5.24.0 safetensors tokenizers pillow numpy
    python make_layer_merges.py

Writes `layer-merges/`: a base, three fine-tuned checkpoints, the products of their inputs, and what should come out.
RegMean with all products is the least-squares fit to all outputs at once. Model Tailor is done here without any factorisation:
when a weight is reset, the inverse of the products of the inputs that are left says how the others move (Hassibi and Stork 1992).
`inputs.safetensors` holds X^T X / rows of what the linear layers of the models of `training/` and `lm/` are given there.
"""

import json
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from transformers.pytorch_utils import Conv1D

ROOT = Path(__file__).parent
HERE = ROOT / "layer-merges"
OUTPUTS, INPUTS, ROWS, BLOCK = 12, 132, 400, 128
WEIGHTS = [0.6, 0.4, 0.5]


def standardised(x):
    return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)


def tailored(base, tuned, gram, density, damp, sign):
    gram = gram.clone()
    gram += damp * gram.diagonal().mean() * torch.eye(INPUTS, dtype=gram.dtype)
    left = [torch.linalg.inv(gram[i:, i:])[0] for i in range(INPUTS)]
    now = tuned.clone()
    for first in range(0, INPUTS, BLOCK):
        columns = slice(first, min(first + BLOCK, INPUTS))
        cost = now[:, columns] ** 2 / torch.stack([row[0] for row in left[columns]])
        score = 0.5 * standardised((tuned - base).abs()[:, columns]) + 0.5 * standardised(cost)
        bound = score.flatten().sort()[0][int(score.numel() * (1 - density))]
        for i in range(columns.start, columns.stop):
            for row in torch.nonzero(score[:, i - first] <= bound).flatten():
                moved = (now[row, i] - base[row, i]) / left[i][0]
                now[row, i] = base[row, i]
                now[row, i + 1:] += sign * moved * left[i][1:]
    return now


class Inputs:
    """Sums of products of what linear layers are given."""

    def __init__(self, model, skip):
        self.sums = {}
        for name, module in model.named_modules():
            if isinstance(module, (torch.nn.Linear, Conv1D)) and not any(s in name for s in skip):
                tail = "@inputs-first" if isinstance(module, Conv1D) else ""
                module.register_forward_pre_hook(self.hook(f"{name}.weight{tail}"))

    def hook(self, name):
        def see(_, given):
            x = given[0].reshape(-1, given[0].shape[-1]).double()
            total, rows = self.sums.get(name, (0, 0))
            self.sums[name] = (total + x.T @ x, rows + len(x))
        return see

    def means(self, track):
        return {f"{track}/{name}": (total / rows).float() for name, (total, rows) in self.sums.items()}


@torch.no_grad()
def inputs_of_layers():
    clip = transformers.CLIPModel.from_pretrained(ROOT / "training/clip").eval().float()
    files = sorted((ROOT / "training/images").glob("*/*.png"))
    pixels = torch.tensor(np.stack([np.array(Image.open(f)) for f in files])).permute(0, 3, 1, 2).float() / 255
    mean, std = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    seen = Inputs(clip, ["text"])
    pixels = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    clip.visual_projection(clip.vision_model(pixels).pooler_output)
    made = seen.means("clip")
    tok = tokenizers.Tokenizer.from_file(str(ROOT / "lm/tokenizer.json"))
    docs = [json.loads(line) for line in (ROOT / "training/texts.jsonl").read_text().splitlines()]
    for track in ["llama", "gpt2"]:
        model = transformers.AutoModelForCausalLM.from_pretrained(ROOT / "lm" / track).eval().float()
        seen = Inputs(model, ["lm_head"])
        for doc in docs:
            # The last token is only predicted.
            model(torch.tensor([tok.encode(f"{doc['prompt']} {doc['target']}").ids[:-1]]))
        made.update(seen.means(track))
    save_file(made, HERE / "inputs.safetensors")


def main():
    torch.manual_seed(5)
    base = torch.randn(OUTPUTS, INPUTS)
    tuned = [base + 0.3 * torch.randn_like(base) for _ in range(3)]
    biases = [torch.randn(OUTPUTS) for _ in range(3)]
    mixing = torch.randn(INPUTS, INPUTS) / INPUTS**0.5 + torch.eye(INPUTS)
    inputs = [(torch.randn(ROWS, INPUTS) @ mixing * (0.5 + torch.rand(INPUTS))) for _ in range(3)]
    grams = [(x.double().T @ x.double() / ROWS).float() for x in inputs]
    save_file({"l.weight": base, "l.bias": torch.zeros(OUTPUTS)}, HERE / "base.safetensors")
    for i in range(3):
        save_file({"l.weight": tuned[i], "l.bias": biases[i]}, HERE / f"tuned-{i}.safetensors")
        save_file({"l.weight": grams[i]}, HERE / f"gram-{i}.safetensors")

    expected = {}
    scaled = [(w / ROWS) ** 0.5 * x.double() for w, x in zip(WEIGHTS, inputs)]
    outputs = [x @ w.double().T for x, w in zip(scaled, tuned)]
    expected["regmean-whole"] = torch.linalg.lstsq(torch.cat(scaled), torch.cat(outputs)).solution.T
    eye = torch.eye(INPUTS, dtype=torch.double)
    reduced = [w * (0.9 * g.double() + 0.1 * g.double() * eye) for w, g in zip(WEIGHTS, grams)]
    right = sum(g @ w.double().T for g, w in zip(reduced, tuned))
    expected["regmean"] = torch.linalg.solve(sum(reduced), right).T
    expected["bias"] = sum(w * b.double() for w, b in zip(WEIGHTS, biases)) / sum(WEIGHTS)
    for name, density, damp, sign in [("obs", 0.1, 0.01, -1), ("released", 0.1, 0.01, 1), ("none", 0.3, 0.05, 0)]:
        made = tailored(base.double(), tuned[0].double(), grams[0].double(), density, damp, sign)
        expected[f"tailor-{name}"] = made
    save_file({n: t.float().contiguous() for n, t in expected.items()}, HERE / "expected.safetensors")
    inputs_of_layers()
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions) + "\n")


main()
