"""Combinations of small tensors by mergekit's own code, and SLERP.

    pip install mergekit==0.1.5 torch safetensors
    python make_merges.py

Writes `merges/`: three fine-tuned checkpoints and their base, and `expected.safetensors` with one tensor a method, setting and
name. mergekit draws its random masks from PyTorch's global generator; here they are drawn as this program draws them
(SplitMix64 of the first eight bytes of SHA-256 of [seed, tensor, checkpoint], and a counter): a number for each value where
chances differ, and where they are one, 64 numbers at a time, digit by digit. Everything else is mergekit's.
"""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from mergekit.merge_methods import registry
from mergekit.merge_methods.base import TensorGroup
from mergekit.merge_methods.slerp import slerp
from safetensors.torch import save_file

HERE = Path(__file__).parent / "merges"
SEED = 7
CASES = {
    "task-arithmetic": ("task_arithmetic", dict(weight=[0.5, 0.3, -0.2], **{"lambda": 0.7})),
    "ties": ("ties", dict(weight=[1.0, 0.5, 0.8], density=0.4)),
    "ties-plain": ("ties", dict(weight=[1.0, 1.0, 1.0], density=0.2, normalize=False, **{"lambda": 1.3})),
    "ties-each": ("ties", dict(weight=[1.0, 0.5, 0.8], density=[0.5, 0.3, 0.8])),
    "dare-linear": ("dare_linear", dict(weight=[0.6, 0.4, 0.5], density=0.5)),
    "dare-ties": ("dare_ties", dict(weight=[0.6, 0.4, 0.5], density=0.3)),
    "breadcrumbs": ("breadcrumbs", dict(weight=[0.6, 0.4, 0.5], density=0.5, gamma=0.1)),
    "breadcrumbs-ties": ("breadcrumbs_ties", dict(weight=[0.6, 0.4, 0.5], density=0.5, gamma=0.02)),
    "della": ("della", dict(weight=[0.6, 0.4, 0.5], density=0.5, epsilon=0.2)),
    "della-linear": ("della_linear", dict(weight=[0.6, 0.4, 0.5], density=0.6, epsilon=0.1)),
    "model-stock": ("model_stock", {}),
}


class Masks:
    """What `torch.bernoulli` gives, tensor by tensor and checkpoint by checkpoint."""

    def __init__(self, name):
        self.name, self.checkpoint = name, 0

    def __call__(self, chances):
        text = json.dumps([SEED, self.name, self.checkpoint], separators=(",", ":"))
        key = int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)
        self.checkpoint += 1
        numbers = self.drawn(key, chances.numel(), bool((chances == chances.flatten()[0]).all()))
        return (torch.from_numpy(numbers).reshape(chances.shape) < chances.double()).float()

    @staticmethod
    def drawn(key, count, one):
        if not one:
            return (bits(key, np.arange(1, count + 1)) >> np.uint64(11)).astype(np.float64) / 2.0**53
        words = -(-count // 64)
        digits = bits(key, np.arange(words)[:, None] * 64 + np.arange(1, 54))
        coins = (digits[:, :, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
        return (coins * 0.5 ** np.arange(1, 54)[:, None]).sum(1).flatten()[:count]


def bits(key, counters):
    with np.errstate(over="ignore"):
        z = np.uint64(key) + counters.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    torch.manual_seed(11)
    shapes = {"a.weight": (24, 40), "a.bias": (40,), "b.weight": (7, 3, 5), "scale": (1,)}
    base = {n: torch.randn(s) for n, s in shapes.items()}
    tuned = [{n: t + 0.1 * torch.randn_like(t) for n, t in base.items()} for _ in range(3)]
    save_file(base, HERE / "base.safetensors")
    for i, one in enumerate(tuned):
        save_file(one, HERE / f"tuned-{i}.safetensors")
    expected = {}
    for case, (name, settings) in CASES.items():
        method = registry.get(name)
        for tensor in shapes:
            group = TensorGroup.from_tensors([base[tensor]] + [t[tensor] for t in tuned], base_index=0, name=tensor)
            given = {}
            for spec in method.spec.parameters:
                value = settings.get(spec.name, None if spec.name == "weight" else spec.default)
                if spec.name in ("weight", "density", "gamma", "epsilon"):
                    each = value if isinstance(value, list) else [value] * 3
                    value = dict(zip([e.id for e in group.non_base], each))
                given[spec.name] = value
            torch.bernoulli = Masks(tensor)
            expected[f"{case}/{tensor}"] = method.merge_group(group, **given).contiguous()
    # Weighed by how much each value matters: the mean of all, and the way from the first to the second, as formulas say.
    matters = [{n: torch.rand_like(t) ** 4 for n, t in base.items()} for _ in range(3)]
    matters[0]["a.bias"][:9] = 0
    for i, one in enumerate(matters):
        save_file(one, HERE / f"fisher-{i}.safetensors")
    for tensor in shapes:
        factors = [w * m[tensor].clamp(min=1e-8).double() for w, m in zip([0.6, 0.4, 0.5], matters)]
        total = sum(f * t[tensor].double() for f, t in zip(factors, tuned))
        expected[f"fisher/{tensor}"] = (total / sum(factors)).float()
        for t in (0.25, 0.9):
            f, g = [(s * m[tensor].clamp(min=1e-8)).double() for s, m in ((1 - t, matters[0]), (t, matters[1]))]
            between = (f * tuned[0][tensor] + g * tuned[1][tensor]) / (f + g)
            expected[f"fisher-path-{t}/{tensor}"] = between.float()
    for t in (0.25, 0.5, 0.9):
        for tensor in shapes:
            a, b = base[tensor][None], tuned[0][tensor][None]
            # Far apart as well: the fine-tuned one turned.
            expected[f"slerp-{t}/{tensor}"] = slerp(torch.tensor([t]), a, b)[0].contiguous()
            expected[f"slerp-far-{t}/{tensor}"] = slerp(torch.tensor([t]), a, b.flip(-1) * 2)[0].contiguous()
    save_file(expected, HERE / "expected.safetensors")
    (HERE / "versions.json").write_text(json.dumps({"mergekit": "0.1.5", "torch": torch.__version__}, indent=1) + "\n")


main()
