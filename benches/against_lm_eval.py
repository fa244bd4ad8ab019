"""Log-likelihoods, accuracies and time of specbench and lm-evaluation-harness on the same weights and documents.

    pip install lm-eval==0.4.13 torch transformers pyarrow
    cargo build --release
    python benches/against_lm_eval.py DATA MODEL... [--limit N]

DATA holds `lm/arc_easy_test.jsonl`, `lm/arc_easy_train.jsonl`, `lm/piqa_validation.jsonl`, `lm/medmcqa_part.jsonl` and
`pubmedqa/pqal_dev.jsonl`; MODEL is a Hugging Face folder. Both programs read the same task files, which this script writes,
compute in f32 on the CPU with as many threads as there are, and are timed one after the other, task by task. lm-eval is timed
with its model loaded; loading, starting and the report are taken off specbench's time with a run on one document, which is
taken off lm-eval's as well. With `--exact N` the first N documents are computed in f64 by transformers too, each sequence alone,
and the distance of both programs from that is printed.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import one_probe
import pyarrow.parquet as pq

QUESTION = dict(output_type="multiple_choice", doc_to_text="Question: {{question}}\nAnswer:", doc_to_target="gold",
                doc_to_choice="choices", metric_list=[{"metric": "acc"}, {"metric": "acc_norm"}])
LETTERS = dict(output_type="multiple_choice", doc_to_target="gold", doc_to_choice=["A", "B", "C", "D"], metric_list=[{"metric": "acc"}],
               doc_to_text="Question: {{question}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:")


def tasks(data):
    arc = {"test": f"{data}/lm/arc_easy_test.jsonl", "train": f"{data}/lm/arc_easy_train.jsonl"}
    yield "arc", {**QUESTION, "training_split": "train"}, arc
    yield "arc5", {**QUESTION, "training_split": "train", "num_fewshot": 5}, arc
    yield "piqa", QUESTION, {"test": f"{data}/lm/piqa_validation.jsonl"}
    yield "medmcqa", LETTERS, {"test": f"{data}/lm/medmcqa_part.jsonl"}
    yield "pubmedqa", {"output_type": "multiple_choice", "metric_list": [{"metric": "acc"}], "doc_to_target": "answer",
                       "doc_to_choice": ["yes", "no", "maybe"],
                       "doc_to_text": "Abstract: {{contexts | join('\n')}}\nQuestion: {{question}}\nAnswer:"}, {"test": f"{data}/pubmedqa/pqal_dev.jsonl"}


def ours(work, model, name, limit):
    one_probe.write(work, name, model, f'parity = "lm-eval"\nlimit = {limit}')
    out, seconds = one_probe.run(work, name)
    return pq.read_table(out / "predictions/m" / f"{name}.parquet").to_pylist(), seconds


def their_run(lm, name, manager, limit):
    from lm_eval import simple_evaluate
    start = time.time()
    result = simple_evaluate(model=lm, tasks=[name], task_manager=manager, limit=limit, log_samples=True, bootstrap_iters=0,
                             verbosity="ERROR")
    return result, time.time() - start


def exact(model, samples):
    """Log-likelihoods in f64 of lm-eval's own requests, each alone: by document, by choice."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(model)
    wide = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float64).eval()
    with torch.no_grad():
        for sample in samples:
            each = []
            for context, continuation in sample["arguments"]:
                stripped = context.rstrip()
                whole = tokenizer(context + continuation)["input_ids"]
                before = len(tokenizer(stripped)["input_ids"])
                logits = wide(torch.tensor([whole[:-1]])).logits[0].log_softmax(-1)
                each.append(sum(float(logits[i - 1, whole[i]]) for i in range(before, len(whole))))
            yield each


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--batch", type=int, default=8, help="sequences that lm-eval computes at a time")
    parser.add_argument("--only", help="one task")
    parser.add_argument("--exact", type=int, default=0, help="documents to compute in f64")
    arguments = parser.parse_args()
    import torch
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    worst_ratio = 1e9
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, config, files in tasks(arguments.data.resolve()):
            full = {"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": files}, "test_split": "test", **config}
            (work / f"{name}.yaml").write_text(json.dumps(full))
        manager = TaskManager(include_path=str(work))
        for model in arguments.models:
            lm = HFLM(pretrained=str(model), dtype="float32", batch_size=arguments.batch, device="cpu")
            for name, _, _ in tasks(arguments.data.resolve()):
                if arguments.only not in (None, name):
                    continue
                found, own = ours(work, model.resolve(), name, arguments.limit)
                result, theirs = their_run(lm, name, manager, arguments.limit)
                own -= ours(work, model.resolve(), name, 1)[1]
                theirs -= their_run(lm, name, manager, 1)[1]
                samples = sorted(result["samples"][name], key=lambda s: s["doc_id"])
                gap, wrong = 0.0, 0
                for row, sample in zip(found, samples, strict=True):
                    nats = [float(r[0][0]) for r in sample["resps"]]
                    gap = max(gap, max(abs(a - b) for a, b in zip(nats, row["loglikelihoods"], strict=True)))
                    for metric in ("acc", "acc_norm"):
                        if metric in sample and sample[metric] != row[metric]:
                            wrong += 1
                worst_ratio = min(worst_ratio, theirs / own)
                far = [0.0, 0.0]
                for right, row, sample in zip(exact(model, samples[:arguments.exact]), found, samples):
                    for i, nats in enumerate((row["loglikelihoods"], [float(r[0][0]) for r in sample["resps"]])):
                        far[i] = max(far[i], max(abs(a - b) for a, b in zip(nats, right, strict=True)))
                if arguments.exact:
                    print(f"{model.name} {name}: {arguments.exact} documents in f64: specbench within {far[0]:.1e}, lm-eval within {far[1]:.1e}")
                print(f"{model.name} {name}: {len(found)} documents, log-likelihoods within {gap:.1e}, {wrong} verdicts differ, "
                      f"{own:.1f} s against {theirs:.1f} s ({theirs / own:.2f} times)", flush=True)
    print(f"smallest ratio of times {worst_ratio:.2f}; torch {torch.__version__}, {torch.get_num_threads()} threads")


main()
