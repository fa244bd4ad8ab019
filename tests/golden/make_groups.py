"""Ten steps with learning rates by group, and with a balance between two groups, in PyTorch, on the models of `training/`.

    pip install torch==2.15.0 transformers==5.24.0 safetensors tokenizers pillow numpy
    python make_groups.py

Writes `groups/`: some of the trained weights of each, and the balance coefficients. The balance: every second step, how far does the
step of one group alone move what the model gives, as KL(before || after) in nats; the first group's divided by the second's is the
coefficient; a fourth of the gain (0.5) times its logarithm is added to s; rates are multiplied by exp(-s) and exp(s).
"""

import json
import math
from pathlib import Path

import tokenizers
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file

from make_block_prompts import pixels
from make_training import CLASSES, DECAY, STEPS, TEMPLATES, TEXTS, clip_model, schedule

ROOT = Path(__file__).parent
HERE = ROOT / "groups"
EVERY, GAIN = 2, 0.5


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


def train(parameters, groups, loss, logits, balanced):
    """`groups`: prefixes and rate of each; `logits()`: what the model gives."""
    own = [[n for n in parameters if n.startswith(prefixes)] for prefixes, _ in groups]
    rest = [n for n in parameters if not any(n in names for names in own)]
    sets = [{"params": [parameters[n] for n in names]} for names in [*own, rest] if names]
    optimiser = torch.optim.AdamW(sets, weight_decay=DECAY)
    s, coefficients = 0.0, []
    for step in range(STEPS):
        rates = [groups[0][1] * math.exp(-s), groups[1][1] * math.exp(s), 1.0]
        for group, rate in zip(optimiser.param_groups, rates):
            group["lr"] = schedule(step) * rate
        optimiser.zero_grad()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
        before = {n: p.detach().clone() for n, p in parameters.items()}
        optimiser.step()
        if not balanced or (step + 1) % EVERY:
            continue
        after = {n: p.detach().clone() for n, p in parameters.items()}
        changes = []
        with torch.no_grad():
            def put(values):
                for n, p in parameters.items():
                    p.copy_(values[n])
                return F.log_softmax(logits().double(), -1)

            start = put(before)
            for names in own:
                there = put({n: after[n] if n in names else before[n] for n in parameters})
                changes.append(float((start.exp() * (start - there)).sum(-1).mean()))
            put(after)
        coefficients.append(changes[0] / changes[1])
        s += GAIN / 4 * math.log(coefficients[-1])
    return {n: p.detach() for n, p in parameters.items()}, coefficients


def main():
    HERE.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    tok = tokenizers.Tokenizer.from_file(str(ROOT / "training/clip/tokenizer.json"))
    seen = pixels()
    labels = torch.arange(len(CLASSES)).repeat_interleave(4)
    expected, coefficients = {}, {}

    def keep(case, trained, names):
        for name in names:
            expected[f"{case}/{name}"] = trained[name].contiguous()

    layer = "vision_model.encoder.layers.1.mlp.fc1.weight"
    for case in ["rates", "balance", "flyp"]:
        model = clip_model()

        def images():
            return unit(model.visual_projection(model.vision_model(seen).pooler_output))

        def text(words):
            return unit(model.text_projection(model.text_model(torch.tensor([tok.encode(words).ids])).pooler_output)[0])

        if case == "flyp":
            parameters = dict(model.named_parameters())
            captions = [TEMPLATES[0].replace("{}", CLASSES[label]) for label in labels]

            def logits():
                return model.logit_scale.exp() * images() @ torch.stack([text(c) for c in captions]).T

            def loss():
                own, z = torch.arange(len(labels)), logits()
                return (F.cross_entropy(z, own) + F.cross_entropy(z.T, own)) / 2

            groups = [(("vision_model.", "visual_projection."), 1.0), (("text_model.", "text_projection."), 2.0)]
            names = ["logit_scale", layer, "text_model.encoder.layers.0.mlp.fc1.weight"]
        else:
            with torch.no_grad():
                rows = [unit(torch.stack([text(t.replace("{}", c)) for t in TEMPLATES]).mean(0)) for c in CLASSES]
                head = torch.nn.Parameter(torch.stack(rows) * model.logit_scale.exp())
            bias = torch.nn.Parameter(torch.zeros(len(CLASSES)))
            vision = {n: p for n, p in model.named_parameters() if n.startswith(("vision_model.", "visual_projection."))}
            parameters = {**vision, "classifier.weight": head, "classifier.bias": bias}

            def logits():
                return images() @ head.T + bias

            def loss():
                return F.cross_entropy(logits(), labels)

            groups = [(("vision_model.encoder.",), 0.5), (("classifier.",), 4.0)]
            names = ["classifier.weight", layer, "visual_projection.weight"]
        trained, coefficients[case] = train(parameters, groups, loss, logits, case != "rates")
        keep(case, trained, names)

    tok = tokenizers.Tokenizer.from_file(str(ROOT / "lm/tokenizer.json"))
    sequences = []
    for prompt, target in TEXTS:
        before, whole = tok.encode(prompt).ids, tok.encode(f"{prompt} {target}").ids
        sequences.append((torch.tensor([whole]), len(before)))
    config = transformers.AutoConfig.from_pretrained(ROOT / "lm/llama")
    config._attn_implementation = "eager"
    model = transformers.LlamaForCausalLM.from_pretrained(ROOT / "lm/llama", config=config).eval().float()
    targets = torch.cat([ids[0, first:] for ids, first in sequences])

    def logits():
        return torch.cat([model(ids).logits[0, first - 1 : -1] for ids, first in sequences])

    parameters = dict(model.named_parameters())
    groups = [(("model.layers.0.",), 1.0), (("model.layers.1.",), 1.0)]
    trained, coefficients["lm"] = train(parameters, groups, lambda: F.cross_entropy(logits(), targets), logits, True)
    keep("lm", trained, ["model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"])

    save_file(expected, HERE / "expected.safetensors", {"format": "pt"})
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    (HERE / "versions.json").write_text(json.dumps({**versions, "coefficients": coefficients}, indent=1) + "\n")


if __name__ == "__main__":
    main()
