"""The language demo's small world: texts, questions, instructions, and a tokenizer.

    pip install tokenizers==0.23.3
    python suites/lm_demo/make_text.py

Everything is made up here. Pretraining sees statements about animals, most questions about them, and instructions.
Fine-tuning sees a made-up medicine: statements and most questions. The probes ask what neither has seen asked: the
remaining questions of each kind (their facts were stated), and instructions about other words.
"""

import json
import random
from pathlib import Path

import tokenizers

HERE = Path(__file__).parent
ANIMALS = """fox wolf bear deer hare mole otter beaver badger lynx owl crow swan goose duck heron robin finch eagle hawk
frog toad newt snake lizard turtle trout salmon pike eel crab snail spider ant bee wasp moth beetle goat sheep horse camel
tiger lion monkey parrot""".split()
ATTRIBUTES = {
    "home": (["the forest", "the river", "the desert", "the meadow", "the mountains", "the sea", "the barn", "the swamp"],
             "Where does a {} live?", ["A {} lives in {}.", "You find a {} in {}.", "The home of a {} is {}."]),
    "food": (["seeds", "grass", "fish", "insects", "berries", "mice", "leaves", "honey"],
             "What does a {} eat?", ["A {} eats {}.", "The food of a {} is {}.", "Every {} likes to eat {}."]),
    "colour": (["red", "grey", "brown", "green", "black", "white", "yellow", "blue"],
               "What colour is a {}?", ["A {} is {}.", "The colour of a {} is {}.", "Every {} looks {}."]),
    "time": (["at night", "at noon", "at dawn", "at dusk"],
             "When does a {} wake?", ["A {} wakes {}.", "You hear a {} {}.", "Every {} gets up {}."]),
}
MEDICINE = {
    "organ": (["the heart", "the liver", "the lungs", "the skin", "the kidneys", "the brain", "the bones", "the eyes"],
              "Which organ does {} harm?", ["{} harms {}.", "The organ of {} is {}.", "Doctors find {} in {}."]),
    "sign": (["fever", "a cough", "a rash", "pain", "thirst", "dizziness", "swelling", "weakness"],
             "What is the first sign of {}?", ["{} begins with {}.", "The first sign of {} is {}.", "Patients with {} have {}."]),
    "drug": (["belatin", "corvane", "dormex", "elvarin", "fenolate", "galomine", "hexaril", "ivotan"],
             "Which drug treats {}?", ["Doctors treat {} with {}.", "The drug for {} is {}.", "Against {} one takes {}."]),
}
SYLLABLES = ["ar", "bel", "cor", "dan", "el", "fir", "gon", "hal", "ix", "jor", "kel", "lum", "mor", "nix", "or", "pel", "quin", "ros"]


def diseases(rng, n):
    names = set()
    while len(names) < n:
        names.add("".join(rng.sample(SYLLABLES, 2)) + rng.choice(["itis", "osis", "emia"]))
    return sorted(names)


def facts(rng, things, attributes):
    for thing in things:
        for values, question, statements in attributes.values():
            value = rng.choice(values)
            wrong = rng.sample([v for v in values if v != value], 3)
            choices = [value, *wrong]
            rng.shuffle(choices)
            ask = {"prompt": f"Question: {question.format(thing)}\nAnswer:", "answer": value, "choices": choices, "gold": choices.index(value)}
            yield ask, [s.format(thing, value) for s in statements]


WORDS = """stone lamp cup door road tree cloud boat ring bell coin rope leaf star hill book spoon chair window garden
paper candle bridge basket button ladder mirror needle pillow ribbon saddle thread wagon anchor barrel""".split()


def instructions(rng, words, n):
    seen = set()
    while len(seen) < n:
        a, b, c = rng.sample(words, 3)
        k = rng.choice([2, 3, 4])
        kind = rng.choice(["repeat", "reverse", "first", "last", "join"])
        if kind == "repeat":
            pair = (f"Write the word {a} {k} times.", " ".join([a] * k))
        elif kind == "reverse":
            pair = (f"Write these words in reverse: {a} {b} {c}.", f"{c} {b} {a}")
        elif kind == "first":
            pair = (f"Write the first of these words: {a} {b} {c}.", a)
        elif kind == "last":
            pair = (f"Write the last of these words: {a} {b} {c}.", c)
        else:
            pair = (f"Write {a} and {b} with a comma.", f"{a}, {b}")
        seen.add(pair)
    return [{"prompt": f"Instruction: {q}\nAnswer:", "answer": a} for q, a in sorted(seen)]


def split(rng, items, share):
    items = list(items)
    rng.shuffle(items)
    cut = int(len(items) * share)
    return items[cut:], items[:cut]


def write(name, rows):
    text = "".join(json.dumps({"id": f"{i:04}", **row}) + "\n" for i, row in enumerate(rows))
    (HERE / f"{name}.jsonl").write_text(text)


def main():
    rng = random.Random(7)
    world = list(facts(rng, ANIMALS, ATTRIBUTES))
    medicine = list(facts(rng, diseases(rng, 60), MEDICINE))
    for name, found in (("animals", world), ("medicine", medicine)):
        asked, held = split(rng, [f[0] for f in found], 0.4)
        write(f"{name}_text", [{"text": s} for _, statements in found for s in statements])
        write(f"{name}_train", asked)
        write(f"{name}_test", held)
    train = instructions(rng, WORDS, 1800)
    known = {row["prompt"] for row in train}
    held = [row for row in instructions(rng, WORDS, 700) if row["prompt"] not in known]
    rng.shuffle(held)
    write("instructions_train", train)
    write("instructions_test", held[:200])
    texts = [json.loads(line) for file in sorted(HERE.glob("*_t*.jsonl")) for line in file.read_text().splitlines()]
    corpus = [t.get("text") or t["prompt"] + " " + t["answer"] for t in texts]
    tok = tokenizers.Tokenizer(tokenizers.models.BPE())
    tok.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=512, special_tokens=["<s>", "</s>"],
                                             initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator(corpus, trainer)
    tok.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B:1", special_tokens=[("<s>", 0)])
    tok.save(str(HERE / "tokenizer.json"))
    (HERE / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}) + "\n")


main()
