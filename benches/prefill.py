"""Tokens per second of specbench and transformers through the same model and texts, f32, every position's log-probability.

    pip install torch transformers
    cargo build --release
    python benches/prefill.py MODEL TEXTS [--rounds N] [--texts N]

MODEL is a Hugging Face folder, TEXTS a JSONL file with a field `text`, of which the first eight (or N; one is a case of its own) of
2,000 to 6,000 characters are taken. The two take turns; the median of the rounds counts. Loading is taken off specbench's time with a run on a text of a few
words; transformers is timed with its model loaded and warm.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import one_probe
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def suite(work, name, model, texts):
    (work / f"{name}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    task = dict(task=name, dataset_path="json", dataset_kwargs={"data_files": {"test": f"{work}/{name}.jsonl"}}, test_split="test",
                output_type="loglikelihood_rolling", doc_to_text="", doc_to_target="{{text}}",
                metric_list=[{"metric": "word_perplexity"}])
    (work / f"{name}.yaml").write_text(json.dumps(task))
    one_probe.write(work, name, model)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", type=Path)
    arguments.add_argument("texts", type=Path)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--texts", type=int, default=8, dest="count")
    given = arguments.parse_args()
    texts = [json.loads(line)["text"] for line in given.texts.open()]
    texts = [t for t in texts if 2000 <= len(t) <= 6000][: given.count]
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32).eval()
    inputs = [tokenizer(t, return_tensors="pt")["input_ids"] for t in texts]
    tokens = sum(i.shape[1] for i in inputs)
    with tempfile.TemporaryDirectory() as work, torch.no_grad():
        work = Path(work)
        suite(work, "all", given.model.resolve(), texts)
        suite(work, "load", given.model.resolve(), ["A few words."])
        model(inputs[0])
        theirs, whole, load = [], [], []
        for _ in range(given.rounds):
            start = time.time()
            for i in inputs:
                model(i).logits.log_softmax(-1)
            theirs.append(time.time() - start)
            whole.append(one_probe.run(work, "all")[1])
            load.append(one_probe.run(work, "load")[1])
        a, b, c = (statistics.median(times) for times in (theirs, whole, load))
        print(f"{len(inputs)} texts, {tokens} tokens, {given.rounds} rounds: transformers {tokens / a:.0f} tokens/s, "
              f"specbench {tokens / (b - c):.0f} (whole {b:.1f} s, of which loading {c:.1f} s)")


if __name__ == "__main__":
    main()
