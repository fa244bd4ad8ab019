//! Named methods: presets of parts. To add one that is made of known parts, add a line here.

use crate::base::registry::{Registry, named_by_fields};

/// What is learned, in general.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learns {
    /// The task of the data: classes of images, or targets of texts.
    Task,
    /// The task of the data, by a head that is left behind: what is kept are both towers, made to agree on captions.
    Alignment,
    /// Which caption belongs to which image.
    Captions,
    /// Captions, by an image-text model drawn anew.
    NewCaptions,
    /// Texts, by a language model drawn anew.
    NewTexts,
}

/// A named method.
pub struct Preset {
    name: &'static str,
    summary: &'static str,
    reference: &'static str,
    /// What is learned.
    pub learns: Learns,
    /// What trains, unless the recipe says otherwise.
    pub trains: &'static str,
    /// Terms of the loss.
    pub terms: &'static [&'static str],
    /// Updates after each step.
    pub updates: &'static [&'static str],
}

named_by_fields!(Preset);

const fn preset(
    name: &'static str,
    summary: &'static str,
    reference: &'static str,
    trains: &'static str,
    terms: &'static [&'static str],
    updates: &'static [&'static str],
) -> Preset {
    Preset { name, summary, reference, learns: Learns::Task, trains, terms, updates }
}

/// All methods.
pub static METHODS: Registry<Preset> = Registry {
    kind: "method",
    items: &[
        &Preset {
            learns: Learns::NewCaptions,
            ..preset(
                "contrastive",
                "contrastive pretraining from scratch on captions made of class names and templates",
                "arXiv:2103.00020, section 2.3",
                "full",
                &[],
                &[],
            )
        },
        &preset(
            "clip-adapter",
            "two layers after the image tower, mixed into its features",
            "arXiv:2110.04544",
            "adapter",
            &[],
            &[],
        ),
        &Preset {
            learns: Learns::Alignment,
            ..preset(
                "clip-cite",
                "both towers: a head for the task, which is left behind, supervised contrast of images and captions, their \
                 similarity distilled from the start",
                "arXiv:2407.04003",
                "full",
                &["contrast", "similarity"],
                &[],
            )
        },
        &preset(
            "cocoop",
            "learned context before the class names, shifted by what two layers make of the image",
            "arXiv:2203.05557",
            "conditional-context",
            &[],
            &[],
        ),
        &preset("coop", "learned context before the class names", "arXiv:2109.01134", "context", &[], &[]),
        &preset(
            "early-stop",
            "full, the best model on the data of `[validation]`",
            "arXiv:2309.06256",
            "full",
            &[],
            &["early-stop"],
        ),
        &preset("ewc", "full, weighed squares held to the start", "arXiv:1612.00796", "full", &["ewc"], &[]),
        &Preset {
            learns: Learns::Captions,
            ..preset(
                "flyp",
                "both towers, contrastively, on captions of the classes",
                "arXiv:2212.00638",
                "full",
                &[],
                &[],
            )
        },
        &preset(
            "full",
            "every weight: image tower and head from the zero-shot head (from the checkpoint's own classifier: LP-FT), or the \
             whole language model",
            "arXiv:2109.01903, mlfoundations/wise-ft; LP-FT: arXiv:2202.10054",
            "full",
            &[],
            &[],
        ),
        &preset("graft", "full, the values that moved most", "arXiv:2302.06600", "full", &[], &["graft"]),
        &preset(
            "kd-features",
            "full, features distilled from the start",
            "arXiv:1412.6550",
            "full",
            &["kd-features"],
            &[],
        ),
        &preset(
            "kd-kl",
            "full, distributions distilled from the start (LwF)",
            "arXiv:1606.09282",
            "full",
            &["kd-kl"],
            &[],
        ),
        &preset(
            "kd-logits",
            "full, squared logits distilled from the start",
            "arXiv:2309.06256",
            "full",
            &["kd-logits"],
            &[],
        ),
        &preset(
            "kgcoop",
            "learned context, class embeddings held to the hand-written prompt's",
            "arXiv:2303.13283",
            "context",
            &["text-anchor"],
            &[],
        ),
        &preset(
            "ivlp",
            "learned tokens in the blocks of both towers, each tower its own",
            "arXiv:2307.06948, section 3.1; muzairkhattak/PromptSRC",
            "block-prompts",
            &[],
            &[],
        ),
        &preset("l1", "full, absolute distance to the start", "arXiv:2309.06256", "full", &["l1"], &[]),
        &preset("l2-sp", "full, squared distance to the start", "arXiv:1802.01483", "full", &["l2"], &[]),
        &preset(
            "last-n",
            "the last `last` blocks",
            "arXiv:2411.10928, code `tune_decoder_layer`",
            "last-n",
            &[],
            &[],
        ),
        &preset("linear-probe", "the head alone", "arXiv:2103.00020, section 3.2", "head", &[], &[]),
        &Preset {
            learns: Learns::NewTexts,
            ..preset(
                "lm-new",
                "language model from `model` (config.json) and `tokenizer`, all weights drawn anew",
                "torch cross_entropy",
                "full",
                &[],
                &[],
            )
        },
        &preset("lora", "low-rank factors", "arXiv:2106.09685; huggingface/peft", "lora", &[], &[]),
        &preset(
            "magnitude-mask",
            "the largest half of the start frozen",
            "WenkeHuang/SPIDER, Code/train/MagnitudeMask.py",
            "full",
            &[],
            &["magnitude-mask"],
        ),
        &preset(
            "maple",
            "learned tokens in the blocks of both towers, those of images made of those of texts",
            "arXiv:2210.03117; muzairkhattak/multimodal-prompt-learning",
            "coupled-prompts",
            &[],
            &[],
        ),
        &preset(
            "mergetune",
            "continued from `tau` of the way to the `finetuned` checkpoint: low loss on the path to it, squared distance to the \
             start",
            "arXiv:2601.10497",
            "full",
            &["l2", "path"],
            &[],
        ),
        &preset(
            "mergetune-features",
            "MERGETUNE as its code does it: learned context from the `finetuned` one, cosine to the hand-written prompt, path in \
             class embeddings",
            "Surrey-UP-Lab/MERGETUNE, kgcoop_coop_LMC.py",
            "context",
            &["text-anchor", "feature-path"],
            &[],
        ),
        &preset(
            "mma",
            "adapters in the blocks of both towers, with a layer in common",
            "Yang et al., CVPR 2024; ZjjConan/Multi-Modal-Adapter",
            "multimodal-adapter",
            &[],
            &[],
        ),
        &preset(
            "promptsrc",
            "learned tokens in the blocks of both towers, in agreement with the model without them, averaged along training",
            "arXiv:2307.06948; muzairkhattak/PromptSRC",
            "block-prompts",
            &["agreement"],
            &["gaussian-average"],
        ),
        &preset(
            "sma",
            "full, the mean of the weights along training",
            "arXiv:2309.06256",
            "full",
            &[],
            &["average"],
        ),
        &preset(
            "spider",
            "full, each step taken back where the start matters more",
            "arXiv:2411.10928",
            "full",
            &[],
            &["spider"],
        ),
        &preset(
            "stochastic-wise-ft",
            "full, each step's loss at a place drawn between the start and the model: what WiSE-FT evaluates is what is trained",
            "arXiv:2102.10472, algorithm 1, with one end held; arXiv:2109.01903",
            "full",
            &["drawn-path"],
            &[],
        ),
    ],
};
