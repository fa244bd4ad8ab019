"""Makes `corruptions/`: what NumPy, SciPy, scikit-image, OpenCV and Pillow make of ImageNet-C's definitions.

    pip install numpy scipy scikit-image opencv-python-headless pillow==13.0.0
    python tests/golden/make_corruptions.py

The definitions are those of Hendrycks and Dietterich (arXiv:1903.12261) for the corruptions without noise, at
severities 2 and 5, on a 72-pixel crop of a pattern. Versions are in `corruptions/versions.json`.
"""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import PIL
import scipy
import skimage
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom

from make_golden import pattern

OUT = Path(__file__).parent / "corruptions"
SIZE = 72


def pick(values, severity):
    return values[severity - 1]


def gaussian_blur(x, s):
    sigma = pick([1, 2, 3, 4, 6], s)
    return gaussian_filter(x / 255.0, sigma=(sigma, sigma, 0), mode="nearest", truncate=4.0) * 255


def defocus_blur(x, s):
    radius, alias = pick([(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)], s)
    half, k = (8, 3) if radius <= 8 else (radius, 5)
    grid = np.arange(-half, half + 1)
    a, b = np.meshgrid(grid, grid)
    disk = (a**2 + b**2 <= radius**2).astype(np.float32)
    disk = cv2.GaussianBlur(disk / disk.sum(), ksize=(k, k), sigmaX=alias)
    return np.stack([cv2.filter2D(x[..., c] / 255.0, -1, disk) for c in range(3)], -1) * 255


def zoom_blur(x, s):
    stop, step = pick([(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)], s)
    x = (x / 255.0).astype(np.float32)
    total, n = x.copy(), 1
    for z in np.arange(1, stop, step):
        cut = int(np.ceil(SIZE / z))
        start = (SIZE - cut) // 2
        big = zoom(x[start:start + cut, start:start + cut], (z, z, 1), order=1)
        trim = (big.shape[0] - SIZE) // 2
        total += big[trim:trim + SIZE, trim:trim + SIZE]
        n += 1
    return total / n * 255


def contrast(x, s):
    x = x / 255.0
    mean = x.mean(axis=(0, 1), keepdims=True)
    return ((x - mean) * pick([0.4, 0.3, 0.2, 0.1, 0.05], s) + mean).clip(0, 1) * 255


def hsv(x, f):
    x = skimage.color.rgb2hsv(x / 255.0)
    return skimage.color.hsv2rgb(f(x)).clip(0, 1) * 255


def brightness(x, s):
    def f(x):
        x[..., 2] = (x[..., 2] + pick([0.1, 0.2, 0.3, 0.4, 0.5], s)).clip(0, 1)
        return x
    return hsv(x, f)


def saturate(x, s):
    times, plus = pick([(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)], s)

    def f(x):
        x[..., 1] = (x[..., 1] * times + plus).clip(0, 1)
        return x
    return hsv(x, f)


def jpeg_compression(x, s):
    out = io.BytesIO()
    Image.fromarray(x).save(out, "JPEG", quality=pick([25, 18, 15, 10, 7], s))
    return np.array(Image.open(out))


def pixelate(x, s):
    small = int(SIZE * pick([0.6, 0.5, 0.4, 0.3, 0.25], s))
    return np.array(Image.fromarray(x).resize((small, small), Image.BOX).resize((SIZE, SIZE), Image.BOX))


OUT.mkdir(exist_ok=True)
image = np.array(pattern(SIZE, SIZE))
Image.fromarray(image).save(OUT / "input.png")
for f in [gaussian_blur, defocus_blur, zoom_blur, contrast, brightness, saturate, jpeg_compression, pixelate]:
    for severity in (2, 5):
        result = np.clip(f(image, severity), 0, 255).astype(np.uint8)
        Image.fromarray(result).save(OUT / f"{f.__name__.replace('_', '-')}-{severity}.png")
versions = {"numpy": np.__version__, "scipy": scipy.__version__, "skimage": skimage.__version__,
            "opencv": cv2.__version__, "pillow": PIL.__version__}
(OUT / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")
