"""Shows that memory does not grow with the data, and that shards, kills and resumes lose and repeat nothing.

    pip install pyarrow
    cargo build --release
    python benches/many_images.py [--images 50000]

Repeats the embedded test views to a data set of the given size, runs three variants on a tenth of it and on all of
it, and prints the peak memory of both. Then it runs the whole as two shards, kills the first one midway, runs it
again, joins, and compares the digest of every predictions file with those of the plain run.
"""

import argparse
import hashlib
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

ROOT = Path(__file__).resolve().parent.parent
SUITE = """[suite]
name = "many"
[[checkpoint]]
id = "a"
role = "pretrained"
source = "suites/demo/zero-shot"
[[checkpoint]]
id = "b"
role = "finetuned"
source = "suites/demo/ft-noto"
[[sweep]]
merge = "wise-ft"
from = "a"
to = ["b"]
alphas = [0.5]
[[probe]]
id = "many"
dataset = "many"
classes = "base"
role = "generality"
[stats]
resamples = 100
"""


def make_data(work, images):
    rows = [r for name in ("twemoji", "noto-v1", "fluent-emoji-flat")
            for r in parquet.read_table(ROOT / f"suites/emoji/{name}-test.parquet").to_pylist()]
    files = []
    for start in range(0, images, 10_000):
        part = [rows[i % len(rows)] for i in range(start, min(images, start + 10_000))]
        table = pa.table({"id": [f"{start + i}" for i in range(len(part))],
                          "label": pa.array([r["label"] for r in part], pa.uint32()),
                          "image": [r["image"] for r in part]})
        files.append(work / f"{start}.parquet")
        parquet.write_table(table, files[-1], row_group_size=1000)
    names = ", ".join(f'"{f}"' for f in files)
    (work / "datasets.toml").write_text(
        '[many]\nsummary = "x"\nlayout = "parquet"\nlicence = "x"\norigin = "x"\n'
        f'classes = "{ROOT}/suites/emoji/classes.txt"\ntemplates = "{ROOT}/suites/templates/emoji.txt"\n'
        f'[many.split.test]\nfiles = [{names}]\n')
    (work / "suite.toml").write_text(SUITE)


def command(args, work, out, *extra):
    return [args.binary, "run", str(work / "suite.toml"), "--registry", str(work / "datasets.toml"), "--out",
            str(work / out), "-q", "--no-cache", *extra]


def run(*line):
    """Runs to the end; seconds and peak memory in MB."""
    start = time.perf_counter()
    child = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, (line, status)
    return time.perf_counter() - start, usage.ru_maxrss / 1000


def digests(work, out):
    files = sorted((work / out / "predictions").rglob("*.parquet"))
    return {str(f.relative_to(work / out)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--binary", default=str(ROOT / "target/release/specbench"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        make_data(work, args.images)
        tenth = run(*command(args, work, "tenth", "--limit", str(args.images // 10)))
        whole = run(*command(args, work, "whole"))
        print(f"{args.images // 10} images: {tenth[0]:.0f} s, {tenth[1]:.0f} MB; "
              f"{args.images} images: {whole[0]:.0f} s, {whole[1]:.0f} MB", flush=True)
        first = command(args, work, "parts", "--shard", "1/2")
        child = subprocess.Popen(first, cwd=ROOT, stdout=subprocess.DEVNULL)
        time.sleep(whole[0] / 4)
        child.send_signal(signal.SIGKILL)
        child.wait()
        parts = list((work / "parts/.parts").rglob("*.parquet"))
        before = {p: p.stat().st_mtime_ns for p in parts}
        run(*first)
        again = sum(p.stat().st_mtime_ns != before[p] for p in parts)
        run(*command(args, work, "parts", "--shard", "2/2"))
        run(*command(args, work, "parts"))
        same = digests(work, "parts") == digests(work, "whole")
        print(f"killed with {len(parts)} segments finished, {again} of them evaluated again; "
              f"two shards joined {'equal' if same else 'DIFFER FROM'} the plain run byte for byte")


if __name__ == "__main__":
    main()
