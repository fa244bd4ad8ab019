"""Prompts, continuations and answers that lm-evaluation-harness makes of a few documents of each task.

    pip install lm-eval==0.4.13 torch transformers
    python make_prompts.py

The documents are made up here, with the columns of the published data and with what is awkward in them. Writes
`prompts.json`: by task the pools, the documents, and for 0 and 2 examples what lm-eval asks.
"""

import json
import logging
from pathlib import Path

import datasets
import lm_eval
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

logging.disable(logging.CRITICAL)
HERE = Path(__file__).parent
ROOT = Path(lm_eval.__file__).parent / "tasks"


def letters(n):
    return [chr(65 + i) for i in range(n)]


def arc(i):
    return {"id": str(i), "question": f"Which organ pumps blood {i}?", "choices": {"text": ["the heart", f"lungs {i}", "skin"], "label": letters(3) if i % 2 else ["1", "2", "3"]}, "answerKey": "A" if i % 2 else "1"}


DOCS = {
    "hellaswag": ("hellaswag/hellaswag.yaml", lambda i: {"activity_label": "Removing ice [step]", "ctx_a": f"A man [title] is  shown {i}.", "ctx_b": "he THEN scrapes", "endings": ["the [substeps] ice  off.", " a car [title] now", "é snow", "x"], "label": str(i % 4)}),
    "piqa": ("piqa/piqa.yaml", lambda i: {"goal": f"How to boil egg {i}", "sol1": "heat water", "sol2": "freeze it", "label": i % 2}),
    "winogrande": ("winogrande/default.yaml", lambda i: {"sentence": f"Ann gave Bob {i} coins because _ was kind _ really. ", "option1": "Ann", "option2": "Bob", "answer": str(i % 2 + 1)}),
    "arc_easy": ("arc/arc_easy.yaml", arc),
    "arc_challenge": ("arc/arc_challenge.yaml", arc),
    "openbookqa": ("openbookqa/openbookqa.yaml", lambda i: {"question_stem": f"Plants need {i}", "choices": {"text": ["light", "sound", "noise", "salt"], "label": letters(4)}, "answerKey": " A"}),
    "boolq": ("super_glue/boolq/default.yaml", lambda i: {"passage": f"Water boils at 100 degrees {i}. ", "question": "does water boil", "label": i % 2}),
    "commonsense_qa": ("commonsense_qa/default.yaml", lambda i: {"question": f" Where is a book {i}? ", "choices": {"text": ["shelf", "sea", "sky", "ice", "sun"], "label": letters(5)}, "answerKey": "BAC"[i % 3]}),
    "race": ("race/race.yaml", lambda i: {"article": f"Long ago {i}.", "problems": str([{"question": "He went to  _  .", "answer": "B", "options": ["a", "the \"sea\"", "c", "d"]}, {"question": "Who's there?", "answer": "A", "options": ["it's me", "b", "c", "d"]}, {"question": "The end is  _  .", "answer": "CD"[i % 2], "options": ["1", "2", "3", "four"]}])}),
    "sciq": ("sciq/sciq.yaml", lambda i: {"support": f"  Cells divide {i}.", "question": "What divides?", "distractor1": "a", "distractor2": "b", "distractor3": "c", "correct_answer": "cells"}),
    "social_iqa": ("siqa/siqa.yaml", lambda i: {"context": f"Kai fell {i}.", "question": "What next?", "answerA": "rest", "answerB": "run", "answerC": "sing", "label": str(i % 3 + 1)}),
    "lambada_openai": ("lambada/lambada_openai.yaml", lambda i: {"text": f"He opened the door {i} and saw the  cat"}),
    "medmcqa": ("medmcqa/medmcqa.yaml", lambda i: {"question": f"Vitamin {i}?", "opa": "A1", "opb": "B2", "opc": "C3", "opd": "D4", "cop": i % 4}),
    "medqa_4options": ("medqa/medqa.yaml", lambda i: {"sent1": f"A 40-year-old {i}", "ending0": "w", "ending1": "x", "ending2": "y", "ending3": "z", "label": i % 4}),
    "pubmedqa": ("pubmedqa/pubmedqa.yaml", lambda i: {"CONTEXTS": ["First.", f"Second {i}."], "QUESTION": "Does it work?", "final_decision": ["yes", "no", "maybe"][i % 3]}),
    "wikitext": ("wikitext/wikitext.yaml", lambda i: {"page": f" = Title {i} = \n\n It 's 5 @,@ 000 ( see [ note ] ) , \" so \" they ; it 5 ° C N dogs ' bowls . \n"}),
    "ifeval": ("ifeval/ifeval.yaml", lambda i: {"prompt": f"Write {i} words.", "key": i, "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}),
    "mmlu": ("mmlu/default/mmlu_anatomy.yaml", lambda i: {"question": f" Which bone {i}? ", "subject": "anatomy", "choices": ["a", "b", "c", "d"], "answer": i % 4}),
}


def main():
    out = {}
    for name, (path, make) in DOCS.items():
        config = load(ROOT / path)
        splits = {key: config.get(f"{key}_split") for key in ("training", "validation", "test", "fewshot")}
        evaluated = splits["test"] or splits["validation"]
        pools = {}
        for k, split in enumerate(dict.fromkeys(s for s in splits.values() if s)):
            pools[split] = [make(i) for i in (range(4) if split == evaluated else range(20 * (k + 1), 20 * (k + 1) + 9))]
        entry = {"pools": pools, "evaluated": evaluated, "shots": {}}
        for shots in (0, 2):
            if shots and name in ("wikitext", "ifeval", "race", "lambada_openai"):
                continue
            local = {**config, "num_fewshot": shots, "custom_dataset": lambda pools=pools, **_: {s: datasets.Dataset.from_list(d) for s, d in pools.items()}}
            task = ConfigurableTask(config=local)
            task.set_fewshot_seed(1234)
            asked = []
            for doc in task.eval_docs:
                ctx = task.fewshot_context(doc, shots)
                request = task.construct_requests(doc=doc, ctx=ctx, metadata=(name, 0, 1))
                all_ = request if isinstance(request, list) else [request]
                gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
                asked.append({"arguments": [list(r.arguments) for r in all_], "gold": gold})
            entry["shots"][str(shots)] = asked
        out[name] = entry
    versions = {"lm-eval": "0.4.13", "datasets": datasets.__version__}
    (HERE / "prompts.json").write_text(json.dumps({"versions": versions, "tasks": out}, indent=1) + "\n")


def load(path):
    return load_yaml(path, resolve_func=True)


main()
