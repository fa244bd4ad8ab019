//! What may be left over in foreign files, with the reason: the one place for exceptions from
//! [`super::account`].

use super::account::Harmless;

/// `config.json` of `transformers`, at any level.
pub const TRANSFORMERS: &[Harmless] = &[
    Harmless {
        names: &[
            "_attn_implementation_autoset",
            "_commit_hash",
            "_name_or_path",
            "architectures",
            "auto_map",
            "dtype",
            "torch_dtype",
            "transformers_version",
            "name_or_path",
            "license",
            "model_type",
        ],
        reason: "says where the file comes from, or how weights were stored; the weights say it themselves",
    },
    Harmless {
        names: &[
            "attention_dropout",
            "dropout",
            "initializer_factor",
            "initializer_range",
            "gradient_checkpointing",
        ],
        reason: "of training and initialisation alone",
    },
    Harmless {
        names: &[
            "output_attentions",
            "output_hidden_states",
            "return_dict",
            "torchscript",
            "use_bfloat16",
            "tf_legacy_loss",
            "use_cache",
        ],
        reason: "changes what a call returns or how it is executed, not its numbers",
    },
    Harmless {
        names: &[
            "bad_words_ids",
            "begin_suppress_tokens",
            "decoder_start_token_id",
            "diversity_penalty",
            "do_sample",
            "early_stopping",
            "encoder_no_repeat_ngram_size",
            "exponential_decay_length_penalty",
            "forced_bos_token_id",
            "forced_eos_token_id",
            "length_penalty",
            "max_length",
            "min_length",
            "no_repeat_ngram_size",
            "num_beam_groups",
            "num_beams",
            "num_return_sequences",
            "output_scores",
            "prefix",
            "remove_invalid_values",
            "repetition_penalty",
            "return_dict_in_generate",
            "suppress_tokens",
            "temperature",
            "top_k",
            "top_p",
            "typical_p",
        ],
        reason: "of text generation, which an encoder does not do",
    },
    Harmless {
        names: &[
            "chunk_size_feed_forward",
            "cross_attention_hidden_size",
            "finetuning_task",
            "id2label",
            "label2id",
            "is_decoder",
            "is_encoder_decoder",
            "problem_type",
            "task_specific_params",
            "tie_encoder_decoder",
            "tie_word_embeddings",
            "tokenizer_class",
            "sep_token_id",
            "bos_token_id",
        ],
        reason: "defaults that every configuration carries and these models do not read",
    },
];

/// `config.json` of language models, besides [`TRANSFORMERS`].
pub const LANGUAGE: &[Harmless] = &[
    Harmless {
        names: &[
            "attn_pdrop",
            "embd_pdrop",
            "resid_pdrop",
            "embedding_dropout",
            "residual_dropout",
            "hidden_dropout",
            "activation_dropout",
            "classifier_dropout",
            "layerdrop",
            "init_std",
            "init_device",
        ],
        reason: "of training and initialisation alone",
    },
    Harmless {
        names: &["pad_token_id", "n_special", "predict_special_tokens", "forced_decoder_ids"],
        reason: "nothing is padded here, and tokens are the tokenizer's",
    },
    Harmless {
        names: &["reorder_and_upcast_attn", "_attn_implementation", "attn_implementation", "fused_qkv"],
        reason: "how attention is executed; softmax is in f32 here",
    },
    Harmless {
        names: &[
            "summary_*",
            "num_labels",
            "task",
            "bos_token",
            "eos_token",
            "unk_token_id",
            "_model_name_or_path",
        ],
        reason: "of heads and tokenizers that are not these",
    },
];

/// Tensors of language models.
pub const LANGUAGE_TENSORS: &[Harmless] = &[Harmless {
    names: &[
        "*rotary_emb.inv_freq",
        "*.attn.bias",
        "*.attn.masked_bias",
        "*.attention.bias",
        "*.attention.masked_bias",
    ],
    reason: "buffers of `transformers` that follow from the configuration",
}];

/// `general.` of GGUF files.
pub const GGUF_GENERAL: &[Harmless] = &[
    Harmless {
        names: &[
            "type",
            "name",
            "basename",
            "size_label",
            "finetune",
            "version",
            "author",
            "organization",
            "description",
            "license*",
            "url",
            "repo_url",
            "doi",
            "uuid",
            "source.*",
            "base_model.*",
            "dataset.*",
            "datasets",
            "tags",
            "languages",
            "quantized_by",
            "sampling.*",
        ],
        reason: "where the model comes from; generation is greedy",
    },
    Harmless {
        names: &["alignment", "file_type", "quantization_version"],
        reason: "how bytes are laid out: each tensor says its own type",
    },
];

/// Other keys of GGUF files.
pub const GGUF: &[Harmless] = &[
    Harmless { names: &["quantize.imatrix.*"], reason: "how it was quantised" },
    Harmless { names: &["split.no", "split.tensors.count"], reason: "a file of its own, by `split.count`" },
];

/// `tokenizer.` of GGUF files.
pub const GGUF_TOKENIZER: &[Harmless] = &[
    Harmless {
        names: &[
            "ggml.padding_token_id",
            "ggml.seperator_token_id",
            "ggml.mask_token_id",
            "ggml.cls_token_id",
        ],
        reason: "nothing is padded here, and no text has these",
    },
    Harmless {
        names: &["ggml.fim_*", "ggml.prefix_token_id", "ggml.suffix_token_id", "ggml.middle_token_id"],
        reason: "of infilling alone",
    },
    Harmless { names: &["ggml.add_sep_token"], reason: "of pairs of texts alone" },
    Harmless {
        names: &["ggml.remove_extra_whitespaces"],
        reason: "of Unigram vocabularies alone, which are refused",
    },
    Harmless { names: &["ggml.eom_token_id", "chat_template.*", "chat_templates"], reason: "of tools alone" },
];

/// `preprocessor_config.json` of `transformers`.
pub const PREPROCESSOR: &[Harmless] = &[
    Harmless {
        names: &[
            "feature_extractor_type",
            "processor_class",
            "_processor_class",
            "_valid_processor_keys",
            "data_format",
            "input_data_format",
            "return_tensors",
            "device",
            "disable_grouping",
            "auto_map",
            "default_to_square",
            "image_seq_length",
            "do_convert_rgb",
        ],
        reason: "names, memory layout and execution; `do_convert_rgb`: every image becomes RGB here",
    },
    Harmless { names: &["tokenizer"], reason: "the tokenizer's own files say it" },
];

/// `open_clip_config.json`.
pub const OPEN_CLIP: &[Harmless] = &[
    Harmless {
        names: &["patch_dropout", "dropout", "init_logit_scale", "cast_dtype", "logit_scale_max"],
        reason: "of training and initialisation alone; the learned scale is among the weights",
    },
    Harmless { names: &["output_tokens", "nonscalar_logit_scale"], reason: "changes what a call returns" },
    Harmless {
        names: &["fill_color", "mode"],
        reason: "`mode` is RGB or refused; filling needs `resize_mode` longest",
    },
];

/// `adapter_config.json` of PEFT.
pub const PEFT: &[Harmless] = &[
    Harmless {
        names: &[
            "auto_mapping",
            "base_model_name_or_path",
            "base_model_class",
            "parent_library",
            "peft_version",
            "revision",
            "task_type",
            "inference_mode",
            "runtime_config",
            "peft_type",
        ],
        reason: "says where the adapter comes from",
    },
    Harmless {
        names: &[
            "lora_dropout",
            "loftq_config",
            "eva_config",
            "corda_config",
            "lora_ga_config",
            "ephemeral_gpu_offload",
            "init_lora_weights",
        ],
        reason: "of training and initialisation alone; initialisations that change the base are checked apart",
    },
    Harmless {
        names: &[
            "target_modules",
            "exclude_modules",
            "layers_to_transform",
            "layers_pattern",
            "modules_to_save",
            "target_parameters",
            "trainable_token_indices",
            "ensure_weight_tying",
        ],
        reason: "says which modules are adapted; the stored tensors say it themselves",
    },
    Harmless {
        names: &["megatron_config", "megatron_core"],
        reason: "how a training was split over devices",
    },
];

/// Tensors of image-text models.
pub const TENSORS: &[Harmless] = &[
    Harmless { names: &["*position_ids"], reason: "0, 1, 2, …: a buffer of `transformers`" },
    Harmless {
        names: &["*attn_mask", "*input_resolution", "*context_length", "*vocab_size"],
        reason: "buffers of OpenAI's model that follow from its shapes",
    },
    Harmless {
        names: &["*token_prefix", "*token_suffix", "*token_prefix2", "*token_suffix2"],
        reason: "CoOp's copies of token embeddings, which follow from the class names",
    },
    Harmless {
        names: &["token_embedding", "*adapter_learner.token_embedding", "*tokenized_prompts"],
        reason: "MMA's copies of the classes' tokens, which follow from their names",
    },
    Harmless {
        names: &["*ZS_image_encoder.*"],
        reason: "PromptSRC's image tower from before tuning, which its losses need and its answers do not",
    },
    Harmless {
        names: &["*VPT_image_trans.conv1.1.num_batches_tracked"],
        reason: "how often the batch norm of PromptKD's projector was updated",
    },
];

/// Beside the weights in a training script's file.
pub const TRAINING_STATE: &[Harmless] = &[Harmless {
    names: &[
        "epoch",
        "epochs",
        "step",
        "*global_step",
        "iteration",
        "iter",
        "optimizer*",
        "*optim",
        "lr_scheduler*",
        "lr_schedulers",
        "scheduler*",
        "scaler",
        "grad_scaler",
        "amp",
        "loops",
        "callbacks",
        "rng_state",
        "*_rng_state",
        "*random_state",
        "pytorch-lightning_version",
        "hparams_name",
        "hyper_parameters",
        "hparams",
        "datamodule_hyper_parameters",
        "args",
        "config",
        "cfg",
        "opt",
        "name",
        "arch",
        "best*",
        "val_result",
        "loss*",
        "*_loss",
        "acc*",
        "*_acc*",
        "metric*",
        "early_stopping*",
        "time",
        "date",
        "version",
    ],
    reason: "state of a training, not of a model",
}];
