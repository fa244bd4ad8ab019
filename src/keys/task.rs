//! Keys of task files: lm-eval's names.

use super::Kind::{Any, Choice, Count, Flag, Text, Texts};
use super::{FileKeys, Key, Table, Times, key, must};

/// A task file.
pub static TASK: FileKeys = FileKeys {
    name: "task",
    summary: "what a language model is asked, in lm-eval's words, as YAML: a name of `suites/tasks`, or a path in a probe's `task`",
    tables: &[TOP, DATA, FEW_SHOT, GENERATION, METRIC, FILTER, STEP],
    language: "yaml",
};

const ASKED: &[Key] = &[
    must("task", Text, "its name"),
    key("include", Any, "nothing", "a file, or a list of files, whose keys count where this one has none"),
    key(
        "output_type",
        Choice(&["multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until"]),
        "generate_until",
        "the likeliest choice, the likelihood of a continuation or of a whole text, or what is written",
    ),
    key("doc_to_text", Any, "nothing", "the question: a column, or a Jinja template over the columns"),
    must("doc_to_target", Any, "the answer: a column, a template, or a number among the choices"),
    key(
        "doc_to_choice",
        Any,
        "nothing; multiple_choice needs it",
        "the choices: a column, a template, or a list",
    ),
    key("description", Text, "nothing", "what stands before everything; a template"),
    key("target_delimiter", Text, "one space", "between question and answer"),
    key("gen_prefix", Text, "nothing", "how the answer begins"),
    key(
        "count_on",
        Text,
        "the target",
        "the text whose words and bytes are counted; a template (not lm-eval's)",
    ),
    key("process_results", Choice(&["ifeval"]), "nothing", "a scorer of this program"),
];

const DATA_AND_SHOTS: &[Key] = &[
    key("training_split", Text, "none", "the split that few-shot examples come from first"),
    key("validation_split", Text, "none", "the split that is evaluated where there is no test split"),
    key("test_split", Text, "none", "the split that is evaluated"),
    key("num_fewshot", Count, "0", "examples before the question"),
    key("fewshot_split", Text, "the first of training, validation, test", "the split that they come from"),
    key("fewshot_delimiter", Text, "an empty line", "after each"),
];

const READ_OVER: &[Key] = &[
    key(
        "dataset_path",
        Text,
        "the registry's",
        "the hub's name of the data; `json` and the like beside `dataset_kwargs`",
    ),
    key("dataset_name", Text, "none", "its configuration on the hub"),
    key("tag", Any, "none", "changes nothing"),
    key("group", Any, "none", "changes nothing"),
    key("group_alias", Text, "none", "changes nothing"),
    key("task_alias", Text, "none", "changes nothing"),
    key("metadata", Any, "none", "changes nothing"),
    key("should_decontaminate", Flag, "false", "changes nothing: overlaps are not searched for"),
    key("doc_to_decontamination_query", Any, "none", "changes nothing"),
    key("repeats", Count, "1", "only 1"),
    key("unsafe_code", Flag, "false", "only false"),
];

const TOP: Table = Table {
    path: "",
    times: Times::Once,
    summary: "What is asked, of which documents. Functions in Python are refused by name.",
    keys: &[ASKED, DATA_AND_SHOTS, READ_OVER],
    example: "task: capitals\noutput_type: multiple_choice\ndoc_to_text: \"Question: {{question}}\\nAnswer:\"\n\
              doc_to_choice: \"{{choices}}\"\ndoc_to_target: label\ntest_split: test\nnum_fewshot: 2\ntraining_split: train\n",
};

const DATA: Table = Table {
    path: "dataset_kwargs",
    times: Times::AtMostOnce,
    summary: "Local files, instead of a data set of the registry.",
    keys: &[&[
        key(
            "data_files",
            Any,
            "the registry's",
            "a file or files, or a table of them by split; relative to this file",
        ),
        key("trust_remote_code", Flag, "false", "changes nothing: no code is fetched"),
        key("streaming", Flag, "false", "changes nothing"),
        key("revision", Text, "none", "changes nothing"),
    ]],
    example: "dataset_kwargs:\n  data_files:\n    train: train.jsonl\n    test: test.jsonl\n",
};

const FEW_SHOT: Table = Table {
    path: "fewshot_config",
    times: Times::AtMostOnce,
    summary: "How examples are chosen.",
    keys: &[&[
        key("sampler", Choice(&["default", "first_n"]), "default", "a draw, or the first ones"),
        key("split", Text, "`fewshot_split`", "the split that they come from"),
        key("samples", Any, "none", "the examples themselves, a list of documents"),
        key("match", Text, "none", "a column in which they must equal the document (not lm-eval's)"),
    ]],
    example: "fewshot_config:\n  sampler: first_n\n",
};

const GENERATION: Table = Table {
    path: "generation_kwargs",
    times: Times::AtMostOnce,
    summary: "When a generation ends; it is greedy.",
    keys: &[&[
        key("until", Any, "an empty line", "a text, or texts, at which it ends"),
        key("max_gen_toks", Count, "256", "new tokens at most"),
        key("max_new_tokens", Count, "256", "the same by another name"),
        key("do_sample", Flag, "false", "only false"),
        key("temperature", Any, "0", "only 0"),
        key("num_beams", Count, "1", "only 1"),
    ]],
    example: "generation_kwargs:\n  until: [\"\\n\"]\n  max_gen_toks: 32\n",
};

const METRIC: Table = Table {
    path: "metric_list",
    times: Times::Many,
    summary: "Scores, the first being the main one; what each output type has is in `list metrics`.",
    keys: &[&[
        must("metric", Text, "its name"),
        key("ignore_case", Flag, "false", "whether upper and lower case are one (exact_match)"),
        key("ignore_punctuation", Flag, "false", "whether punctuation is taken out first (exact_match)"),
        key("ignore_numbers", Flag, "false", "whether digits are taken out first (exact_match)"),
        key("regexes_to_ignore", Texts, "none", "patterns that are taken out first (exact_match)"),
        key("aggregation", Text, "the metric's", "changes nothing: it follows from the metric"),
        key("higher_is_better", Flag, "the metric's", "changes nothing"),
        key("weight_by_size", Flag, "none", "changes nothing"),
    ]],
    example: "metric_list:\n  - metric: acc\n  - metric: acc_norm\n",
};

const FILTER: Table = Table {
    path: "filter_list",
    times: Times::Many,
    summary: "What is taken out of a generation; one filter, step by step.",
    keys: &[&[key("name", Text, "none", "changes nothing")]],
    example: "filter_list:\n  - name: number\n    filter:\n      - function: regex\n        regex_pattern: '(\\d+)'\n",
};

const STEP: Table = Table {
    path: "filter_list.filter",
    times: Times::Many,
    summary: "A step of it.",
    keys: &[&[
        must(
            "function",
            Choice(&["regex", "lowercase", "uppercase", "remove_whitespace", "take_first"]),
            "what it does",
        ),
        key("regex_pattern", Text, "#### (\\-?[0-9\\.\\,]+)", "the pattern (regex)"),
        key("group_select", Any, "0", "which match counts; -1 is the last (regex)"),
        key("fallback", Text, "[invalid]", "what counts where nothing matches (regex)"),
    ]],
    example: "",
};
