"""Ten optimiser steps of a tiny CLIP and a tiny Llama in PyTorch, for every method that both are tuned with.

    pip install torch==2.15.0 transformers==5.24.0 safetensors tokenizers pillow numpy
    python make_training.py

Writes `training/`: the models, twelve images of three classes, and `expected.safetensors` with the trained weights: all of them
for full fine-tuning, some for the other methods. Every formula is written out here again, from its paper or code.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import tokenizers
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parent
HERE = ROOT / "training"
STEPS, LR, WARMUP, DECAY = 10, 2e-3, 2, 0.1
CLASSES = ["red circle", "green square", "blue star"]
TEMPLATES = ["a photo of a {}.", "a {}."]
TEXTS = [("The heart pumps", "blood"), ("A doctor listens to", "the heart."), ("Which organ filters blood?", "the kidney"),
         ("Plants make sugar from", "light, water and air"), ("12 + 30 =", "42!")]


def schedule(step):
    if step < WARMUP:
        return LR * (step + 1) / WARMUP
    return 0.5 * LR * (1 + np.cos(np.pi * (step - WARMUP) / (STEPS - WARMUP)))


def rank(x):
    if x.abs().sum() == 0:
        return torch.zeros_like(x)
    size = x.abs().double()
    spread = size.std() if size.numel() > 1 else torch.tensor(0.0)
    return torch.sigmoid((size - size.mean()) / spread).float() if spread > 0 else torch.full_like(x, 0.5)


class Spider:
    def __init__(self, parameters):
        self.start = {n: p.detach().clone() for n, p in parameters.items()}
        self.sum = {n: torch.zeros_like(p) for n, p in parameters.items()}

    def __call__(self, parameters):
        for n, p in parameters.items():
            self.sum[n] += p.grad
            before, now = rank(self.start[n]), rank(self.sum[n])
            mask = torch.where(before < now, now / (before + now), torch.zeros_like(now))
            if (mask > 0).any():
                mask = torch.clamp(mask / mask[mask > 0].mean(), max=1.0)
            p.data = (1 - mask) * self.start[n] + mask * p.data


class MagnitudeMask:
    def __init__(self, parameters):
        self.start = {n: p.detach().clone() for n, p in parameters.items()}

    def __call__(self, parameters):
        for n, p in parameters.items():
            flat = self.start[n].abs().flatten()
            frozen = torch.zeros_like(flat, dtype=torch.bool)
            frozen[torch.sort(flat, descending=True, stable=True).indices[: flat.numel() // 2]] = True
            p.data = torch.where(frozen.view_as(p), self.start[n], p.data)


def graft(parameters, start, density):
    """The largest moves of the whole model stay (base patch of the method's code)."""
    moves = torch.cat([(p - start[n]).abs().flatten() for n, p in parameters.items()])
    stays = torch.zeros_like(moves, dtype=torch.bool)
    stays[torch.topk(moves, round(density * moves.numel())).indices] = True
    done, trained = 0, {}
    for n, p in parameters.items():
        own = stays[done : done + p.numel()].view_as(p)
        trained[n] = torch.where(own, p, start[n])
        done += p.numel()
    return trained


def fisher(parameters, singles):
    """Mean squared gradient of single examples (Kirkpatrick et al. 2017)."""
    total = {n: torch.zeros_like(p) for n, p in parameters.items()}
    for single in singles:
        gradients = torch.autograd.grad(single(), list(parameters.values()), allow_unused=True)
        for n, g in zip(parameters, gradients):
            if g is not None:
                total[n] += g**2 / len(singles)
    return total


def train(parameters, loss, method, singles=(), tuned=None):
    """Ten steps; `loss(terms)` is the loss with the terms on outputs, `singles` those of one example each, `tuned` the fine-tuned
    end of a path. `loss` reads the values of `parameters` when it is called."""
    if method == "fisher":
        return fisher(parameters, singles)
    start = {n: p.detach().clone() for n, p in parameters.items()}
    tensors = list(parameters.values())
    importance = fisher(parameters, singles) if method == "ewc" else None
    if method == "mergetune":
        with torch.no_grad():
            for n, p in parameters.items():
                p.copy_(0.6 * start[n] + 0.4 * tuned[n])
    if method == "sgd":
        optimiser = torch.optim.SGD(tensors, lr=LR, momentum=0.9, weight_decay=DECAY)
    else:
        optimiser = torch.optim.AdamW(tensors, lr=LR, weight_decay=DECAY)
    after = {"spider": Spider, "magnitude-mask": MagnitudeMask}.get(method, lambda _: lambda _: None)(parameters)
    total = {n: torch.zeros_like(p) for n, p in parameters.items()}
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = schedule(step)
        optimiser.zero_grad()
        value = loss(method)
        if method == "l1":
            value = value + 0.01 * sum((p - start[n]).abs().sum() for n, p in parameters.items())
        if method == "l2-sp":
            count = sum(p.numel() for p in tensors)
            value = value + 500.0 * sum(((p - start[n]) ** 2).sum() for n, p in parameters.items()) / count
        if method == "ewc":
            value = value + 25.0 * sum((importance[n] * (p - start[n]) ** 2).sum() for n, p in parameters.items())
        if method == "mergetune":
            value = value + 0.02 * sum(((p - start[n]) ** 2).sum() for n, p in parameters.items())
        value.backward()
        if method == "mergetune":
            # Gradients at each place of the path, by the chain rule: the weights there move by the place's share.
            here = {n: p.detach().clone() for n, p in parameters.items()}
            gradients = {n: p.grad.clone() for n, p in parameters.items()}
            for place in [0.1, 0.3, 0.5, 0.7, 0.9]:
                with torch.no_grad():
                    for n, p in parameters.items():
                        p.copy_(tuned[n] + place * (here[n] - tuned[n]))
                for n, g in zip(parameters, torch.autograd.grad(loss(method), tensors)):
                    gradients[n] += 0.5 * place * g / 5
            with torch.no_grad():
                for n, p in parameters.items():
                    p.copy_(here[n])
                    p.grad = gradients[n]
        torch.nn.utils.clip_grad_norm_(tensors, 1.0)
        optimiser.step()
        after(parameters)
        for n, p in parameters.items():
            total[n] += p.detach()
    if method == "graft":
        return graft({n: p.detach() for n, p in parameters.items()}, start, 0.25)
    if method == "sma":
        return {n: t / STEPS for n, t in total.items()}
    return {n: p.detach().clone() for n, p in parameters.items()}


def kl(student, teacher, temperature):
    return temperature**2 * F.kl_div(F.log_softmax(student / temperature, -1), F.softmax(teacher / temperature, -1), reduction="batchmean")


def clip_model():
    config = transformers.CLIPConfig(
        text_config=dict(hidden_size=16, intermediate_size=32, num_attention_heads=2, num_hidden_layers=1, vocab_size=800,
                         max_position_embeddings=32, eos_token_id=799, bos_token_id=798, hidden_act="quick_gelu"),
        vision_config=dict(hidden_size=16, intermediate_size=32, num_attention_heads=2, num_hidden_layers=2, image_size=32,
                           patch_size=16, hidden_act="quick_gelu"), projection_dim=12)
    config._attn_implementation = "eager"
    torch.manual_seed(5)
    model = transformers.CLIPModel(config).eval().float()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if p.dim() > 1:
                p.copy_(torch.randn_like(p) * 0.2)
            elif key != "logit_scale" and not key.endswith("weight"):
                p.copy_(torch.randn_like(p) * 0.1)
    return model


def images():
    rng = np.random.default_rng(3)
    pixels, labels = [], []
    for label, name in enumerate(CLASSES):
        folder = HERE / "images" / name
        folder.mkdir(parents=True)
        for i in range(4):
            colour = np.zeros(3)
            colour[label] = 200
            image = np.clip(colour + rng.normal(30, 25, (4, 4, 3)), 0, 255).astype(np.uint8).repeat(8, 0).repeat(8, 1)
            Image.fromarray(image).save(folder / f"{i}.png")
            pixels.append(image)
            labels.append(label)
    # Folders are read in the order of their names.
    return torch.tensor(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255, torch.tensor(labels)


def clip_track(expected):
    folder = HERE / "clip"
    clip_model().save_pretrained(folder)
    save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors", {"format": "pt"})
    for name in ["preprocessor_config.json", "tokenizer.json"]:
        shutil.copy(ROOT.parent.parent / "suites/demo/zero-shot" / name, folder / name)
    raw, labels = images()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]))
    pixels = (raw - mean) / std
    tok = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    methods = ["full", "l1", "l2-sp", "kd-kl", "kd-logits", "kd-features", "spider", "magnitude-mask", "sma", "sgd", "linear-probe",
               "graft", "ewc", "mergetune", "fisher", "projector"]
    full = None
    for method in methods:
        model = clip_model()
        with torch.no_grad():
            rows = []
            for name in CLASSES:
                each = []
                for template in TEMPLATES:
                    ids = torch.tensor([tok.encode(template.replace("{}", name)).ids])
                    text = model.text_projection(model.text_model(ids).pooler_output)[0]
                    each.append(text / text.norm())
                row = torch.stack(each).mean(0)
                rows.append(row / row.norm())
            scale = model.logit_scale.exp()
            weight = torch.nn.Parameter(torch.stack(rows) * scale)
        bias = torch.nn.Parameter(torch.zeros(len(CLASSES)))
        parameters = {"classifier.weight": weight, "classifier.bias": bias}
        if method != "linear-probe":
            vision = {n: p for n, p in model.named_parameters() if n.startswith(("vision_model.", "visual_projection."))}
            parameters = {**vision, **parameters}
        if method == "projector":
            parameters = {"visual_projection.weight": model.visual_projection.weight}

        def features():
            out = model.visual_projection(model.vision_model(pixels).pooler_output)
            return out / out.norm(dim=-1, keepdim=True)

        with torch.no_grad():
            f0 = features().clone()
            z0 = (f0 @ weight.T + bias).clone()

        def loss(method):
            f = features()
            z = f @ weight.T + bias
            value = F.cross_entropy(z, labels)
            if method == "kd-kl":
                value = value + 0.7 * kl(z, z0, 2.0)
            if method == "kd-logits":
                value = value + 0.3 * ((z - z0) ** 2).sum(-1).mean()
            if method == "kd-features":
                value = value + 3.0 * ((f - f0) ** 2).sum(-1).mean()
            return value

        def single(i):
            def loss_of_one():
                out = model.visual_projection(model.vision_model(pixels[i : i + 1]).pooler_output)
                return F.cross_entropy(out / out.norm(dim=-1, keepdim=True) @ weight.T + bias, labels[i : i + 1])
            return loss_of_one

        trained = train(parameters, loss, method, [single(i) for i in range(len(labels))], full)
        if method == "full":
            full = trained
        for name, value in trained.items():
            if method in ("full", "projector") or name in ["classifier.weight", "vision_model.encoder.layers.1.mlp.fc1.weight"]:
                expected[f"clip/{method}/{name}"] = value.contiguous()


    prompts_track(expected, pixels, labels, tok)


def prompts_track(expected, pixels, labels, tok):
    """Learned context (CoOp, KgCoOp, MERGETUNE's code) and contrastive fine-tuning (FLYP)."""
    model = clip_model()

    def unit(x):
        return x / x.norm(dim=-1, keepdim=True)

    def texts(texts):
        return [tok.encode(t).ids for t in texts]

    def encode(ids, context=None):
        rows = []
        for one in ids:
            if context is None:
                rows.append(model.text_projection(model.text_model(torch.tensor([one])).pooler_output)[0])
                continue
            # The places after the first token are the context's.
            hook = model.text_model.embeddings.token_embedding.register_forward_hook(
                lambda _m, _i, out: torch.cat([out[:, :1], context[None], out[:, 1 + len(context) :]], 1))
            wide = [one[0]] + [0] * len(context) + one[1:]
            rows.append(model.text_projection(model.text_model(torch.tensor([wide])).pooler_output)[0])
            hook.remove()
        return torch.stack(rows)

    with torch.no_grad():
        scale = model.logit_scale.exp()
        raw = model.visual_projection(model.vision_model(pixels).pooler_output)
        f = unit(raw)
        each = [unit(encode(texts([t.replace("{}", c) for t in TEMPLATES]))) for c in CLASSES]
        zero_shot = torch.stack([unit(e.mean(0)) for e in each])
        first = model.text_model.embeddings.token_embedding.weight[torch.tensor(texts(["a photo of a"])[0][1:-1])].clone()
    names = texts([f"{c}." for c in CLASSES])
    tuned = None
    for method in ["coop", "kgcoop", "mergetune-features"]:
        context = torch.nn.Parameter((tuned if method == "mergetune-features" else first).clone())
        with torch.no_grad():
            end = encode(names, tuned) if tuned is not None else None

        def loss(method):
            rows = encode(names, context)
            value = F.cross_entropy(scale * f @ unit(rows).T, labels)
            if method != "coop":
                value = value + 8.0 * (1 - (unit(rows) * zero_shot).sum(-1).mean())
            if method == "mergetune-features":
                places = [0.1, 0.3, 0.5, 0.7, 0.9]
                value = value + sum(F.cross_entropy(scale * f @ unit(end + t * (rows - end)).T, labels) for t in places) / 5
            return value

        trained = train({"context": context}, loss, method)
        if method == "coop":
            tuned = trained["context"]
        expected[f"clip/{method}/prompt.context"] = trained["context"]
    # CoCoOp: of each image its own context. The start is stored, so that nothing is drawn twice.
    torch.manual_seed(6)
    size, width = f.shape[1], first.shape[1]
    meta = torch.nn.Sequential(torch.nn.Linear(size, max(size // 16, 1)), torch.nn.ReLU(), torch.nn.Linear(max(size // 16, 1), width))
    with torch.no_grad():
        # One unit must not be dead for all images.
        meta[0].bias.fill_(1.0)
    context = torch.nn.Parameter(first.clone())
    stored = {"ctx": first.clone(), "token_prefix": torch.zeros(3, 1, width), "token_suffix": torch.zeros(3, 4, width)}
    parameters = {"prompt.context": context}
    for place, layer in (("linear1", meta[0]), ("linear2", meta[2])):
        for part in ("weight", "bias"):
            stored[f"meta_net.{place}.{part}"] = getattr(layer, part).detach().clone()
            parameters[f"prompt.meta_net.{place}.{part}"] = getattr(layer, part)
    save_file(stored, HERE / "cocoop.safetensors", {"format": "pt"})

    def conditional():
        return torch.stack([scale * unit(encode(names, context + meta(one))) @ one for one in f])

    with torch.no_grad():
        expected["clip/cocoop-start/logits"] = conditional()
    trained = train(parameters, lambda _: F.cross_entropy(conditional(), labels), "cocoop")
    for name, value in trained.items():
        expected[f"clip/cocoop/{name}"] = value
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(trained[name])
        expected["clip/cocoop-end/logits"] = conditional()
    # CLIP-Adapter: two layers without bias, one fifth of the features.
    torch.manual_seed(5)
    size = raw.shape[1]
    layers = [torch.nn.Linear(size, size // 4, bias=False), torch.nn.Linear(size // 4, size, bias=False)]
    names = ["image_adapter.down.weight", "image_adapter.up.weight"]
    parameters = {n: layer.weight for n, layer in zip(names, layers)}
    stored = {f"fc.{2 * i}.weight": layer.weight.detach().clone() for i, layer in enumerate(layers)}
    save_file(stored, HERE / "adapter.safetensors", {"format": "pt"})

    def adapted(_):
        changed = layers[1](layers[0](raw).relu()).relu()
        return F.cross_entropy(scale * unit(0.2 * changed + 0.8 * raw) @ zero_shot.T, labels)

    for name, value in train(parameters, adapted, "clip-adapter").items():
        expected[f"clip/clip-adapter/{name}"] = value
    # One template: its captions leave nothing to be drawn.
    captions = [texts([TEMPLATES[0].replace("{}", CLASSES[label])])[0] for label in labels]
    parameters = dict(model.named_parameters())

    def contrastive(_):
        image = unit(model.visual_projection(model.vision_model(pixels).pooler_output))
        logits = model.logit_scale.exp() * image @ unit(encode(captions)).T
        own = torch.arange(len(labels))
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2

    trained = train(parameters, contrastive, "flyp")
    for name in ["logit_scale", "vision_model.encoder.layers.1.mlp.fc1.weight", "text_model.encoder.layers.0.mlp.fc1.weight"]:
        expected[f"clip/flyp/{name}"] = trained[name]


def language_track(expected):
    tok = tokenizers.Tokenizer.from_file(str(ROOT / "lm/tokenizer.json"))
    sequences = []
    for prompt, target in TEXTS:
        before, whole = tok.encode(prompt).ids, tok.encode(f"{prompt} {target}").ids
        assert whole[: len(before)] == before
        sequences.append((torch.tensor([whole]), len(before)))
    for method in ["full", "l2-sp", "kd-kl", "spider", "magnitude-mask", "graft", "ewc", "fisher"]:
        config = transformers.AutoConfig.from_pretrained(ROOT / "lm/llama")
        config._attn_implementation = "eager"
        model = transformers.LlamaForCausalLM.from_pretrained(ROOT / "lm/llama", config=config).eval().float()
        parameters = dict(model.named_parameters())

        def logits():
            all_logits, all_targets = [], []
            for ids, first in sequences:
                all_logits.append(model(ids).logits[0, first - 1 : -1])
                all_targets.append(ids[0, first:])
            return torch.cat(all_logits), torch.cat(all_targets)

        with torch.no_grad():
            z0 = logits()[0].clone()

        def loss(method):
            z, targets = logits()
            value = F.cross_entropy(z, targets)
            return value + 0.7 * kl(z, z0, 2.0) if method == "kd-kl" else value

        def single(ids, first):
            return lambda: F.cross_entropy(model(ids).logits[0, first - 1 : -1], ids[0, first:])

        trained = train(parameters, loss, method, [single(*s) for s in sequences])
        for name, value in trained.items():
            if method == "full" or name in ["model.layers.1.mlp.up_proj.weight", "model.embed_tokens.weight"]:
                expected[f"lm/{method}/{name}"] = value.contiguous()
    docs = [json.dumps({"prompt": p, "target": t}) for p, t in TEXTS]
    (HERE / "texts.jsonl").write_text("\n".join(docs) + "\n")


def main():
    torch.set_num_threads(1)
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    expected = {}
    clip_track(expected)
    language_track(expected)
    save_file(expected, HERE / "expected.safetensors", {"format": "pt"})
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")


if __name__ == "__main__":
    main()
