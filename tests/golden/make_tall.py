"""Checks which pass Pillow makes first: 500 random pairs of sizes against the rule in `src/image/resize.rs`.

    pip install pillow==13.0.0 numpy
    python tests/golden/make_tall.py        # ends with "0 of 500 differ"
"""

import random

import numpy as np
from PIL import Image


def bicubic(x):
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2 else 0.0


def taps(size, out):
    scale = size / out
    support = 2 * max(scale, 1.0)
    found = []
    for i in range(out):
        centre = (i + 0.5) * scale
        first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), size)
        w = np.array([bicubic((t - centre + 0.5) / max(scale, 1.0)) for t in range(first, last)])
        w = w / w.sum()
        found.append((first, np.trunc(np.where(w < 0, -0.5, 0.5) + w * (1 << 22)).astype(np.int64)))
    return found


def down(a, found):
    rows = [(np.tensordot(k, a[f:f + len(k)].astype(np.int64), (0, 0)) + (1 << 21)) >> 22 for f, k in found]
    return np.clip(np.stack(rows), 0, 255).astype(np.uint8)


def across(a, found):
    return down(a.transpose(1, 0, 2), found).transpose(1, 0, 2)


random.seed(1)
rng = np.random.default_rng(0)
wrong = 0
for i in range(500):
    w, h, out_w, out_h = (random.randint(12, 130) for _ in range(4))
    if i % 4 == 0:
        s = random.uniform(0.2, 0.9)
        out_w, out_h = max(1, int(w * s)), max(1, int(h * s))
    picture = rng.integers(0, 256, (h, w, 3)).astype(np.uint8)
    right = np.asarray(Image.fromarray(picture).resize((out_w, out_h), Image.BICUBIC))
    x, y = taps(w, out_w), taps(h, out_h)
    vertical_first = h > out_h and h - out_h > 2 * (w - out_w)
    found = across(down(picture, y), x) if vertical_first else down(across(picture, x), y)
    wrong += not (found == right).all()
print(wrong, "of 500 differ")
