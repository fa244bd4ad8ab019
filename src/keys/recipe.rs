//! Keys of a recipe.

use super::Kind::{Choice, Count, Flag, Named, Number, Numbers, Text, Texts};
use super::{FileKeys, Key, Table, Times, key, must};
use crate::train::{METHODS, TERMS, TRAINS, UPDATES};

/// A recipe.
pub static RECIPE: FileKeys = FileKeys {
    name: "recipe",
    summary: "how checkpoints are fine-tuned; `[[method]]` and `[grid]` make many of one file",
    tables: &[HEAD, TRAIN, DATA, VALIDATION, TERM, UPDATE, GROUP],
    language: "toml",
};

const HEAD: Table = Table {
    path: "recipe",
    times: Times::Once,
    summary: "What is made from what. In a file with `[[method]]` or `[grid]`, each method may set any of these and of `[train]`.",
    keys: &[&[
        must("id", Text, "its name; the method's where `[[method]]` says none"),
        must("method", Named(methods), "how it is tuned (`list methods`)"),
        must("out", Text, "the folder that is written; `{id}`, `{seed}` and any setting may stand in it"),
        key("from", Text, "none", "the checkpoint to start from; methods that fine-tune need it"),
        key(
            "finetuned",
            Text,
            "none",
            "the checkpoint that a path term or continued fine-tuning starts from",
        ),
        key("model", Text, "none", "`config.json` of a new model, for methods that start from scratch"),
        key("tokenizer", Text, "none", "its `tokenizer.json`"),
        key("seed", Count, "0", "what everything random is drawn from"),
        key("classes", Choice(&["all", "base", "novel"]), "all", "which half of the classes is seen"),
        key("store", Choice(&["f32", "f16"]), "f32", "type of the stored weights"),
    ]],
    example: "[recipe]\nid = \"full\"\nmethod = \"full\"\nfrom = \"start\"\nout = \"full\"\n",
};

/// Settings of the parts: in `[train]` for the method's own, in `[[term]]` and `[[update]]` for further ones.
const OF_TERMS: &[Key] = &[
    key("penalty", Number(0.0, 1e12), "needed by penalties and distillation", "factor of the term"),
    key(
        "reduction",
        Choice(&["sum", "mean"]),
        "sum",
        "whether it is on the sum or the mean over all weights",
    ),
    key("fisher", Count, "64", "examples that say how much each weight matters (ewc)"),
    key("temperature", Number(0.01, 1000.0), "the term's", "of the distributions that are distilled (kd-kl)"),
    key("beta", Number(0.0, 1e9), "the term's", "factor of the loss on the way (path terms)"),
    key("points", Count, "5", "even steps of the way (path terms)"),
    key(
        "from_alpha",
        Number(0.0, 1.0),
        "0",
        "nearest place to the start where the loss is taken (drawn-path)",
    ),
    key(
        "to_alpha",
        Number(0.0, 1.0),
        "1",
        "farthest place from the start where the loss is taken (drawn-path)",
    ),
    key("contrast", Number(0.0, 1e9), "0.7", "factor of the contrast of images and captions (clip-cite)"),
    key(
        "denominator",
        Choice(&["with-own", "printed"]),
        "with-own",
        "what a pair is told apart from: itself and other classes, or other classes alone, as the paper prints it (contrast)",
    ),
    key(
        "similarity",
        Number(0.0, 1e9),
        "0.1",
        "factor of the distilled similarity of images and captions (clip-cite)",
    ),
    key("agree_text", Number(0.0, 1e9), "25", "factor of the distance of text features (agreement)"),
    key("agree_image", Number(0.0, 1e9), "10", "factor of the distance of image features (agreement)"),
    key("anchor", Number(0.0, 1e9), "8", "factor of the distance to the first text features (kgcoop)"),
];

const OF_UPDATES: &[Key] = &[
    key("mask", Choice(&["rescaled", "selected", "none"]), "rescaled", "how far SPIDER's mask goes"),
    key("frozen", Number(0.0, 1.0), "0.5", "share of the largest weights that stay (magnitude-mask)"),
    key("density", Number(0.0, 1.0), "0.1", "share of the changes that is kept in the end (graft)"),
    key("from_step", Count, "1", "the first step that is averaged"),
    key("average_every", Count, "1", "steps from one that is averaged to the next (gaussian-average)"),
    key(
        "average_at",
        Number(0.0, 1.0),
        "0.75",
        "where in the training its weights are largest (gaussian-average)",
    ),
    key(
        "average_width",
        Number(1e-3, 1e3),
        "0.05",
        "how wide they are, as a share of all steps (gaussian-average)",
    ),
    key("by", Choice(&["loss", "accuracy"]), "loss", "what early stopping looks at, on `[validation]`"),
    key("every", Count, "10", "steps from look to look"),
    key("patience", Count, "none", "looks without a better one after which training ends"),
];

const TRAIN: Table = Table {
    path: "train",
    times: Times::Once,
    summary: "Steps, optimiser, and the settings of the method's parts.",
    keys: &[
        &[
            key("steps", Count, "1000", "optimiser steps of the schedule"),
            key("stop_at", Count, "the last", "the step after which training ends"),
            key("batch", Count, "128", "examples a step"),
            key("lr", Number(0.0, 10.0), "3e-5", "peak learning rate"),
            key("warmup", Count, "0", "steps of linear warm-up"),
            key("schedule", Choice(&["cosine", "constant"]), "cosine", "the learning rate after the warm-up"),
            key(
                "balance_every",
                Count,
                "none",
                "steps from measurement to measurement of how much each of two `[[group]]` changes what the model gives (CoMMIT)",
            ),
            key(
                "balance_gain",
                Number(0.0, 1.0),
                "0.5",
                "how much of an imbalance one measurement takes away",
            ),
            key(
                "balance_limit",
                Number(1.0, 1e6),
                "10",
                "how many times larger or smaller a group's rate may become",
            ),
            key("optimiser", Choice(&["adamw", "sgd"]), "adamw", "how steps are made"),
            key("momentum", Number(0.0, 0.9999), "0.9", "of sgd"),
            key("weight_decay", Number(0.0, 10.0), "0.1", "decoupled, as AdamW's"),
            key("decay_all", Flag, "true", "whether biases and norms decay as well"),
            key("clip_norm", Number(0.0, 1e9), "1", "largest norm of the whole gradient"),
            key("length", Count, "the model's", "tokens of a training text at most"),
            key("crop", Numbers, "none", "bounds of a random crop's share of the image, such as [0.9, 1.0]"),
            key("flip", Flag, "false", "whether half of the images are mirrored"),
            key("save_every", Count, "200", "steps between states that training goes on from"),
            key(
                "save_fisher",
                Count,
                "0",
                "training examples, with their labels, whose mean squared gradients are written beside the weights: Fisher information",
            ),
            key(
                "save_gram",
                Count,
                "0",
                "training examples of which each linear layer's X^T X is written beside the weights, X being what it is given",
            ),
            key("tau", Number(0.0, 1.0), "0.5", "how far towards `finetuned` training starts"),
        ],
        &[
            key("trains", Named(trains), "the method's", "what trains (`list trains`)"),
            key("last", Count, "the part's", "blocks that train (last-n)"),
            key("rank", Count, "8", "of LoRA's factors"),
            key("lora_alpha", Number(0.0, 1e6), "16", "LoRA's factor times its rank"),
            key("targets", Texts, "q_proj, v_proj", "modules that LoRA changes"),
            key(
                "adapter_ratio",
                Number(0.0, 1.0),
                "0.2",
                "how much of CLIP-Adapter's output the features become",
            ),
            key("adapter_reduction", Count, "4", "how much narrower CLIP-Adapter's middle is"),
            key("adapter_first", Count, "5", "the first block with one of MMA's adapters, counted from 1"),
            key("adapter_width", Count, "32", "values inside MMA's adapters"),
            key("adapter_scale", Number(0.0, 1.0), "0.001", "what MMA's adapters add is multiplied by"),
            key(
                "vectors",
                Count,
                "4",
                "learned context vectors, and prompts in each block of the text tower",
            ),
            key("image_vectors", Count, "4", "prompts in each block of the image tower (block-prompts)"),
            key(
                "prompt_depth",
                Count,
                "9",
                "blocks of each tower that have prompts (block-prompts, coupled-prompts)",
            ),
        ],
        OF_TERMS,
        OF_UPDATES,
    ],
    example: "[train]\nsteps = 60\nbatch = 128\nlr = 3e-4\n",
};

const OF_DATA: &[Key] = &[
    key("dataset", Text, "needed without `task`", "a data set of the registry"),
    key("split", Text, "train", "its split"),
    key("shots", Count, "all", "examples a class"),
    key("shots_seed", Count, "1", "what they are drawn from"),
    key("share", Number(0.0, 1.0), "what is left", "share of each batch (experience replay)"),
    key("task", Text, "none", "the task file that says what is prompt and what is target"),
    key("chat", Flag, "false", "whether prompts are conversations in the checkpoint's template"),
    key("few_shot", Count, "none", "demonstrations in each prompt"),
];

const DATA: Table = Table {
    path: "data",
    times: Times::Many,
    summary: "Data that are learned from.",
    keys: &[OF_DATA],
    example: "[[data]]\ndataset = \"emoji-noto\"\nsplit = \"val\"\nshots = 4\n",
};

const VALIDATION: Table = Table {
    path: "validation",
    times: Times::AtMostOnce,
    summary: "Data that are watched and not learned from.",
    keys: &[OF_DATA],
    example: "[validation]\ndataset = \"emoji-noto\"\nsplit = \"test\"\n",
};

const TERM: Table = Table {
    path: "term",
    times: Times::Many,
    summary: "A further term of the loss.",
    keys: &[&[must("kind", Named(terms), "which one (`list terms`)")], OF_TERMS],
    example: "[[term]]\nkind = \"l2\"\npenalty = 0.1\n",
};

const UPDATE: Table = Table {
    path: "update",
    times: Times::Many,
    summary: "A further update after each step.",
    keys: &[&[must("kind", Named(updates), "which one (`list updates`)")], OF_UPDATES],
    example: "[[update]]\nkind = \"graft\"\ndensity = 0.2\n",
};

const GROUP: Table = Table {
    path: "group",
    times: Times::Many,
    summary: "Weights that have a learning rate of their own; those in no group have `lr`.",
    keys: &[&[
        must("tensors", Texts, "globs of their names"),
        key("rate", Number(0.0, 1e6), "1", "what `lr` is multiplied by for them"),
    ]],
    example: "[[group]]\ntensors = [\"classifier.*\"]\nrate = 10.0\n",
};

fn methods() -> Vec<&'static str> {
    METHODS.names().collect()
}

fn trains() -> Vec<&'static str> {
    TRAINS.names().collect()
}

fn terms() -> Vec<&'static str> {
    TERMS.names().collect()
}

fn updates() -> Vec<&'static str> {
    UPDATES.names().collect()
}
