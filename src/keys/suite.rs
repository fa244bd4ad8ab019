//! Keys of a suite.

use super::Kind::{Choice, Count, Flag, Named, Number, NumberOrNumbers, Numbers, NumbersOrText, Text, Texts};
use super::{FileKeys, Table, Times, key, must};
use crate::image::corruptions::CORRUPTIONS;
use crate::merge::{COMBINES, PATHS};
use crate::metric::METRICS;

/// A suite.
pub static SUITE: FileKeys = FileKeys {
    name: "suite",
    summary: "what is evaluated on what: checkpoints, the ways between them, probes",
    tables: &[HEAD, CHECKPOINT, SWEEP, GROUP, PROBE, AGGREGATE, STATS, GATE, REFERENCES],
    language: "toml",
};

const HEAD: Table = Table {
    path: "suite",
    times: Times::Once,
    summary: "The suite itself.",
    keys: &[&[
        must("name", Text, "names the results folder; letters, digits, `-`, `_`, `.`"),
        key("track", Choice(&["clip", "lm"]), "clip", "image-text models or language models"),
        key("description", Text, "nothing", "a line for the report"),
        key(
            "corrupt",
            Choice(&["fail", "skip"]),
            "fail",
            "what an image that cannot be decoded does to the run",
        ),
        key("max_pixels", Count, "178956970", "pixels of an image at most; a larger one counts as corrupt"),
    ]],
    example: "[suite]\nname = \"study\"\ntrack = \"clip\"\ndescription = \"Photographs and what they cost\"\n",
};

const CHECKPOINT: Table = Table {
    path: "checkpoint",
    times: Times::Many,
    summary: "A model on the disk or the hub, or a combination of some above it.",
    keys: &[
        &[
            must("id", Text, "its name in tables; with `seeds`, `{seed}` stands in it"),
            must("role", Choice(&["pretrained", "finetuned"]), "whether it is the start or was tuned"),
            key(
                "source",
                Text,
                "needed without `merge`",
                "a folder or file, `hf:OWNER/NAME`, or a mergekit YAML",
            ),
            key("method", Text, "`finetuned`", "what made it: legends, colours and averages go by it"),
            key("base", Text, "none", "the checkpoint that an adapter, a head or a combination belongs to"),
            key("head_of", Text, "itself", "the checkpoint whose texts make its head (PromptKD)"),
            key("classes", Text, "the data set's", "a file with the classes of its own head, one a line"),
            key(
                "fisher",
                Text,
                "`fisher.safetensors` beside it",
                "a file with its Fisher information, for `fisher` merges",
            ),
            key(
                "gram",
                Text,
                "`gram.safetensors` beside it",
                "a file with the products of its layers' inputs, for `regmean` and `model-tailor`",
            ),
            key("seed", Count, "none", "the seed it was tuned from"),
            key(
                "seeds",
                Numbers,
                "none",
                "one checkpoint for each; `id`, and `source` or `of`, hold `{seed}`",
            ),
            key("probes", Texts, "all", "globs of the probes that it is evaluated on"),
        ],
        &[
            key("merge", Named(combines), "none", "how checkpoints are combined (`list merges`)"),
            key("of", Texts, "none", "the checkpoints that are combined"),
            key("select", Text, "none", "the selection probe that a greedy soup is chosen on"),
            key("weights", Numbers, "equal", "weight of each checkpoint of a combination"),
            key(
                "density",
                NumberOrNumbers,
                "the merge's",
                "share of the changes that is kept; for all, or for each",
            ),
            key("lambda", Number(f64::MIN, f64::MAX), "1", "factor of the combined change"),
            key(
                "gamma",
                Number(0.0, 1.0),
                "the merge's",
                "share of the largest changes that breadcrumbs drop",
            ),
            key("epsilon", Number(0.0, 1.0), "the merge's", "half the width of DELLA's drop rates"),
            key(
                "non_diagonal",
                Number(0.0, 1.0),
                "0.9",
                "factor of what lies off the diagonal of products of inputs (regmean)",
            ),
            key(
                "damp",
                Number(0.0, 1e6),
                "0.01",
                "share of the mean diagonal that is added to it (model-tailor)",
            ),
            key(
                "compensate",
                Choice(&["obs", "released", "none"]),
                "obs",
                "how other weights make up for those that are reset (model-tailor)",
            ),
            key("normalize", Flag, "the merge's", "whether weights are divided by their sum"),
            key(
                "rescale",
                Choice(&["none", "l1", "density"]),
                "the merge's",
                "how what is kept makes up for what is dropped",
            ),
        ],
    ],
    example: "[[checkpoint]]\nid = \"ties\"\nrole = \"finetuned\"\nmerge = \"ties\"\nbase = \"start\"\nof = [\"tuned\"]\n\
              density = 0.2\n",
};

const SWEEP: Table = Table {
    path: "sweep",
    times: Times::Many,
    summary: "A way from one checkpoint to others; every point of it is evaluated and none is written.",
    keys: &[&[
        must("merge", Named(paths), "the way (`list merges`)"),
        must("from", Text, "the checkpoint at alpha 0"),
        must("to", Texts, "the checkpoints at alpha 1; globs among the fine-tuned ones"),
        key("alphas", NumbersOrText, "\"0:1:0.1\"", "the grid: a list, or first:last:step"),
        key("name", Text, "the ids of its ends", "name of the curve"),
        key("seeds", Numbers, "none", "one sweep for each; `from`, `to` and `name` hold `{seed}`"),
        key("include", Texts, "all", "globs of the tensors that move"),
        key("exclude", Texts, "none", "globs of tensors that stay at `from`"),
        key(
            "head",
            Choice(&["interpolate", "from", "to"]),
            "interpolate",
            "which classifier the points have",
        ),
    ]],
    example: "[[sweep]]\nmerge = \"wise-ft\"\nfrom = \"start\"\nto = [\"tuned\"]\nalphas = \"0:1:0.1\"\n",
};

const GROUP: Table = Table {
    path: "sweep.group",
    times: Times::Many,
    summary: "Tensors that go further or less far than others, the mean alpha kept.",
    keys: &[&[
        must("tensors", Texts, "globs of tensor names"),
        key("weight", Number(1e-6, 1e6), "1", "how far they go, relative to the other groups"),
    ]],
    example: "[[sweep.group]]\ntensors = [\"visual_projection*\"]\nweight = 2.0\n\
              [[sweep.group]]\ntensors = [\"*\"]\nweight = 1.0\n",
};

const PROBE: Table = Table {
    path: "probe",
    times: Times::Many,
    summary: "Data on which all variants are measured.",
    keys: &[
        &[
            must("id", Text, "its name in tables"),
            must(
                "role",
                Choice(&["speciality", "generality", "selection"]),
                "which axis it counts for; selection probes choose alpha",
            ),
            key("dataset", Text, "needed without `task`", "a data set of the registry"),
            key("split", Text, "test", "its split"),
            key("group", Text, "none", "a heading that it shares with others"),
            key(
                "metric",
                Named(metrics),
                "top1, or the task's first",
                "the score that enters the axes (`list metrics`)",
            ),
            key(
                "classes",
                Choice(&["all", "base", "novel"]),
                "all",
                "which half of the classes is asked about",
            ),
            key("limit", Count, "all", "examples at most, the first ones"),
            key("templates", Text, "the data set's", "a file of prompts for the zero-shot head"),
            key("cluster", Text, "none", "a column whose values are drawn together in resamples"),
            key("corruption", Named(corruptions), "none", "`name:severity`, 1 to 5 (`list corruptions`)"),
        ],
        &[
            key("task", Text, "none", "a file in suites/tasks or a path to an lm-eval YAML"),
            key("few_shot", Count, "the task's", "demonstrations before each question"),
            key("chat", Flag, "false", "whether prompts are conversations in the checkpoint's template"),
            key("system", Text, "none", "the system message of such a conversation"),
            key(
                "parity",
                Choice(&["lm-eval"]),
                "none",
                "few-shot examples are drawn as that program draws them",
            ),
        ],
    ],
    example: "[[probe]]\nid = \"test\"\ndataset = \"emoji-noto\"\nrole = \"speciality\"\nlimit = 100\n",
};

const AGGREGATE: Table = Table {
    path: "aggregate",
    times: Times::AtMostOnce,
    summary: "How several probes make one axis.",
    keys: &[&[
        key("speciality", Choice(&["mean", "harmonic"]), "mean", "over the speciality probes"),
        key("generality", Choice(&["mean", "harmonic"]), "mean", "over the generality probes"),
    ]],
    example: "[aggregate]\ngenerality = \"mean\"\n",
};

const STATS: Table = Table {
    path: "stats",
    times: Times::AtMostOnce,
    summary: "Intervals.",
    keys: &[&[
        key("confidence", Number(0.5, 0.9999), "0.95", "level of all intervals"),
        key("resamples", Count, "2000", "paired resamples, 100 to 1000000"),
        key("seed", Count, "0", "what they are drawn from"),
        key("interval", Choice(&["percentile", "bca"]), "percentile", "how intervals are read off them"),
    ]],
    example: "[stats]\nconfidence = 0.95\nresamples = 2000\n",
};

const GATE: Table = Table {
    path: "gate",
    times: Times::AtMostOnce,
    summary: "What `check` fails on.",
    keys: &[&[
        key("tolerance", Number(0.0, 1.0), "0.01", "a fall up to this is let pass, as a fraction"),
        key("significance", Number(1e-6, 0.5), "0.05", "adjusted p of a fall that counts"),
        key("probes", Texts, "all", "globs of the probes that are gated"),
        key(
            "curves",
            Texts,
            "both",
            "`hypervolume`, `generality-at-equal-speciality`: what is gated of each curve",
        ),
    ]],
    example: "[gate]\ntolerance = 0.01\ncurves = [\"hypervolume\"]\n",
};

const REFERENCES: Table = Table {
    path: "references",
    times: Times::AtMostOnce,
    summary: "Published results to draw beside one's own.",
    keys: &[&[must("file", Text, "a JSON file of models and their scores by data set")]],
    example: "[references]\nfile = \"references/wise_ft.json\"\n",
};

fn combines() -> Vec<&'static str> {
    COMBINES.names().collect()
}

fn paths() -> Vec<&'static str> {
    PATHS.names().collect()
}

fn metrics() -> Vec<&'static str> {
    METRICS.names().collect()
}

fn corruptions() -> Vec<&'static str> {
    CORRUPTIONS.names().collect()
}
