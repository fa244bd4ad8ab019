//! Language models of every family against `transformers`; `tests/golden/make_language.py` made the golden files.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{DType, Device};
use serde::Deserialize;
use specbench::checkpoint::{StateDict, Weights as _, write_safetensors};
use specbench::model::lm::{
    Decoder, Forest, LanguageFolder, Positions, Prompt, Scene, Scored, Sequences, Stretch, families,
};
use specbench::model::{Architecture as _, Busy, Input, Kernels, Numerics, Placement};
use specbench::task::Answer;

use crate::support::{root, specbench};

#[derive(Deserialize)]
struct Golden {
    ids: Vec<Vec<u32>>,
    logits: Vec<Vec<Vec<f32>>>,
    greedy: Vec<Vec<u32>>,
}

fn folder(name: &str) -> PathBuf {
    root().join("tests/golden/lm").join(name)
}

fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder("")).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<String> =
        entries.filter(|p| p.is_dir()).map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    all.sort();
    assert!(all.len() >= 14, "{all:?}");
    all
}

/// A copy of a model's folder with the shared tokenizer beside it.
fn model(name: &str) -> (tempfile::TempDir, LanguageFolder, Golden) {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(folder(name).join(file), dir.path().join(file)).unwrap();
    }
    std::fs::copy(folder("tokenizer.json"), dir.path().join("tokenizer.json")).unwrap();
    std::fs::write(dir.path().join("tokenizer_config.json"), r#"{"bos_token": "<s>", "eos_token": "</s>"}"#)
        .unwrap();
    let opened = open(dir.path());
    let golden = std::fs::read(folder(name).join("golden.json")).unwrap();
    (dir, opened, serde_json::from_slice(&golden).unwrap())
}

fn open(path: &std::path::Path) -> LanguageFolder {
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap();
    let kind = json["model_type"].as_str().unwrap();
    let family = families::FAMILIES.into_iter().find(|f| f.model_types.contains(&kind)).unwrap();
    LanguageFolder::open(path, family).unwrap()
}

fn placement() -> Placement {
    Placement::new(&Numerics::default()).unwrap()
}

#[test]
fn logits_of_every_family_agree() {
    for name in names() {
        let (_dir, opened, golden) = model(&name);
        for kernels in [Kernels::Inference, Kernels::Differentiable] {
            let decoder = Decoder::new(&opened.config, &*opened.weights, kernels).unwrap();
            let forest = Forest::chains(golden.ids.iter().map(Vec::as_slice));
            let scene = Scene::new(&opened.config, forest, &[], DType::F32, &Device::Cpu).unwrap();
            let x = decoder.embed(&scene, DType::F32).unwrap();
            let x = decoder.blocks(&x, &scene, 0..opened.config.layers, None).unwrap();
            let ours = decoder.logits(&x).unwrap().to_vec2::<f32>().unwrap();
            let theirs: Vec<&Vec<f32>> = golden.logits.iter().flatten().collect();
            let worst = ours
                .iter()
                .flatten()
                .zip(theirs.into_iter().flatten())
                .map(|(a, b)| (a - b).abs())
                .fold(0.0f32, f32::max);
            assert!(worst < 1e-4, "{name}, {kernels:?}: logits differ by {worst}");
        }
    }
}

/// Models of `tests/golden/gguf`, the others' files apart.
fn gguf_names() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("tests/golden/gguf")).unwrap();
    let files = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let all: Vec<String> = files.filter_map(|f| f.strip_suffix(".gguf").map(str::to_owned)).collect();
    let all: Vec<String> =
        all.into_iter().filter(|n| !n.starts_with("pieces") && !n.starts_with("blocks")).collect();
    assert_eq!(all.len(), 22, "{all:?}");
    all
}

/// `tests/golden/make_gguf.py` wrote the same weights in llama.cpp's layout.
#[test]
fn gguf_files_give_the_logits_of_the_folders_that_they_were_made_from() {
    for name in &gguf_names() {
        let (_dir, folder, golden) = model(name);
        let path = root().join("tests/golden/gguf").join(format!("{name}.gguf"));
        let mut opened = LanguageFolder::open_any(&path).unwrap();
        if name == "smollm3" {
            // Every fourth block of three, which GGUF cannot say otherwise; the tiny model leaves out the second.
            assert!(opened.config.unturned.is_empty());
            opened.config.unturned.clone_from(&folder.config.unturned);
        }
        if name == "gemma2" {
            // The tiny model's scale is not its head's, which GGUF cannot say.
            opened.config.scale = folder.config.scale;
        }
        if let (Positions::Rotary(stored), Positions::Rotary(said)) =
            (&mut opened.config.positions, &folder.config.positions)
        {
            // f32 in the file.
            if let (Stretch::Each { factors, .. }, Stretch::Each { factors: right, .. }) =
                (&mut stored.stretch, &said.stretch)
            {
                assert!(factors.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-6), "{factors:?}");
                factors.clone_from(right);
            }
            assert!((stored.scale - said.scale).abs() < 1e-6, "{name}: {}", stored.scale);
            stored.scale = said.scale;
        }
        assert_eq!(format!("{:?}", opened.config), format!("{:?}", folder.config), "{name}");
        for text in ["The heart pumps 42 times.", "Question: which\nAnswer: the kidney!"] {
            let tokens = |f: &LanguageFolder| f.reader.tokenizer.encode(text).unwrap();
            assert_eq!(tokens(&opened), tokens(&folder), "{name}");
        }
        let decoder = Decoder::new(&opened.config, &*opened.weights, Kernels::Inference).unwrap();
        let forest = Forest::chains(golden.ids.iter().map(Vec::as_slice));
        let scene = Scene::new(&opened.config, forest, &[], DType::F32, &Device::Cpu).unwrap();
        let x = decoder.embed(&scene, DType::F32).unwrap();
        let x = decoder.blocks(&x, &scene, 0..opened.config.layers, None).unwrap();
        let ours = decoder.logits(&x).unwrap().to_vec2::<f32>().unwrap();
        let theirs = golden.logits.iter().flatten().flatten();
        let worst = ours.iter().flatten().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
        assert!(worst < 1e-4, "{name}: logits differ by {worst}");
    }
}

#[test]
fn a_folder_tuned_from_a_gguf_file_reads_back() {
    for name in gguf_names() {
        let path = root().join("tests/golden/gguf").join(format!("{name}.gguf"));
        let opened = LanguageFolder::open_any(&path).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in opened.files().unwrap() {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        let tensors = opened.weights.load_all().unwrap();
        write_safetensors(&dir.path().join("model.safetensors"), &tensors, DType::F32).unwrap();
        let back = LanguageFolder::open_any(dir.path()).unwrap();
        assert_eq!(format!("{:?}", back.config), format!("{:?}", opened.config), "{name}");
        assert_eq!(back.ends, opened.ends, "{name}");
        let tokens = |f: &LanguageFolder| f.reader.tokenizer.encode("The heart pumps 42 times.").unwrap();
        assert_eq!(tokens(&back), tokens(&opened), "{name}");
    }
}

#[test]
fn a_gguf_file_that_says_one_thing_and_holds_another_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    // The number behind a key: its type comes first.
    let refused = |name: &str, key: &str, value: u32| {
        let mut bytes =
            std::fs::read(root().join("tests/golden/gguf").join(name).with_extension("gguf")).unwrap();
        let at = bytes.windows(key.len()).position(|w| w == key.as_bytes()).unwrap() + key.len() + 4;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        LanguageFolder::open_any(&path).err().expect("a refusal").to_string()
    };
    for (name, key, value, message) in [
        ("mixtral", "llama.expert_count", 3, "holds 4 experts; `expert_count` is 3"),
        ("mixtral", "llama.expert_count", 0, "`llama.expert_used_count` is `2`"),
        ("qwen3-moe", "qwen3moe.expert_feed_forward_length", 13, "its configuration says [16, 13]"),
        ("gpt2", "gpt2.context_length", 63, "its configuration says [63, 16]"),
        ("gpt-neox", "gptneox.attention.head_count", 0, "`gptneox.attention.head_count` is 0"),
    ] {
        let found = refused(name, key, value);
        assert!(found.contains(message), "{name}: {found}");
    }
}

#[test]
fn greedy_generation_of_every_family_is_equal_token_by_token() {
    for name in names() {
        let (_dir, mut opened, golden) = model(&name);
        // The golden continuations go on after an end token.
        opened.ends.clear();
        let prompt =
            |ids: &Vec<u32>| Input::Generate(Prompt { tokens: ids.clone(), until: Vec::new(), limit: 12 });
        let inputs: Vec<Input> = golden.ids.iter().map(prompt).collect();
        let built = opened.build(&*opened.weights, &placement()).unwrap();
        let state = opened.batch(&inputs, &placement(), true).unwrap();
        let answers = built.finish(&state, 0, &[None]).unwrap().remove(0);
        for (answer, right) in answers.iter().zip(&golden.greedy) {
            let Answer::Text(text) = answer else { panic!("{answer:?}") };
            assert_eq!(text.tokens as usize, right.len());
            assert_eq!(text.text, opened.reader.tokenizer.decode(right), "{name}");
        }
    }
}

/// Questions with shared contexts, in several batches.
fn questions(golden: &Golden) -> Vec<Input> {
    let sequence = |ids: &[u32], tail: &[u32]| Scored { tokens: [ids, tail].concat(), scored: tail.len() };
    golden
        .ids
        .iter()
        .enumerate()
        .map(|(i, ids)| {
            let all = vec![
                sequence(ids, &[3, 4]),
                sequence(ids, &[3, 5, 6]),
                sequence(ids, &[7]),
                sequence(ids, &[]),
            ];
            let all = all.into_iter().filter(|s| s.scored > 0).collect();
            Input::Score(Sequences { all, prefix: if i == 0 { 0 } else { 4 } })
        })
        .collect()
}

#[test]
fn threads_without_other_work_change_no_score() {
    for name in names() {
        let (_dir, opened, golden) = model(&name);
        let built = opened.build(&*opened.weights, &placement()).unwrap();
        let length = opened.config.length.min(64);
        let tokens: Vec<u32> = golden.ids.concat().into_iter().cycle().take(length).collect();
        let input = Input::Score(Sequences { all: vec![Scored { tokens, scored: length - 1 }], prefix: 0 });
        let score = || {
            let state = opened.batch(std::slice::from_ref(&input), &placement(), true).unwrap();
            match built.finish(&state, 0, &[None]).unwrap().remove(0).remove(0) {
                Answer::Likelihoods(all) => all[0].nats,
                other => panic!("{other:?}"),
            }
        };
        let alone = score();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(5).build().unwrap();
        let helped = pool.install(|| {
            let _busy = Busy::new();
            score()
        });
        assert!(alone.is_finite() && alone < 0.0, "{name}: {alone}");
        assert_eq!(alone.to_bits(), helped.to_bits(), "{name}: {alone} {helped}");
    }
}

#[test]
fn sharing_batches_and_split_stages_change_no_score() {
    for name in names() {
        let (_dir, opened, golden) = model(&name);
        let built = opened.build(&*opened.weights, &placement()).unwrap();
        let score = |inputs: &[Input], share: bool, lead: usize| -> Vec<f64> {
            let state = opened.batch(inputs, &placement(), share).unwrap();
            let state = built.lead(&state, 0..lead).unwrap();
            let answers = built.finish(&state, lead, &[None]).unwrap().remove(0);
            let of = |answer: Answer| match answer {
                Answer::Likelihoods(all) => all.into_iter().map(|l| l.nats),
                other => panic!("{other:?}"),
            };
            answers.into_iter().flat_map(of).collect()
        };
        let inputs = questions(&golden);
        let together = score(&inputs, true, 0);
        let alone: Vec<f64> = inputs.iter().flat_map(|i| score(std::slice::from_ref(i), true, 0)).collect();
        assert_eq!(together, alone, "{name}: a score depends on its neighbours");
        for stages in 1..=opened.stages() - 1 {
            assert_eq!(together, score(&inputs, true, stages), "{name}: {stages} leading stages");
        }
        let unshared = score(&inputs, false, 0);
        for (a, b) in together.iter().zip(&unshared) {
            assert!((a - b).abs() < 2e-5, "{name}: {a} shared, {b} not");
        }
    }
}

#[test]
fn what_could_change_a_number_is_refused() {
    let (dir, opened, _) = model("llama");
    let path = dir.path().join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let family = opened.family;
    let refused = |change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let mut json = json.clone();
        change(json.as_object_mut().unwrap());
        std::fs::write(&path, json.to_string()).unwrap();
        LanguageFolder::open(dir.path(), family).err().expect("a refusal").to_string()
    };
    for (message, part) in [
        (refused(&|j| drop(j.remove("rope_parameters"))), "neither `rope_parameters` nor `rope_theta`"),
        (refused(&|j| drop(j.insert("new_trick".to_owned(), true.into()))), "`new_trick`"),
        (refused(&|j| drop(j.insert("num_hidden_layers".to_owned(), 1.into()))), "does not know"),
        (refused(&|j| drop(j.insert("num_hidden_layers".to_owned(), 3.into()))), "lacks"),
        (refused(&|j| drop(j.insert("vocab_size".to_owned(), 90.into()))), "its configuration says [90, 16]"),
        (refused(&|j| drop(j.insert("tie_word_embeddings".to_owned(), true.into()))), "other values"),
        (refused(&|j| drop(j.insert("hidden_act".to_owned(), "swiglu".into()))), "`swiglu`"),
        (refused(&|j| j["rope_parameters"]["rope_type"] = "ntk".into()), "`ntk` are not supported"),
        (refused(&|j| j["rope_parameters"]["rope_type"] = "yarn".into()), "high_freq_factor"),
        (
            refused(&|j| j["rope_parameters"]["rope_type"] = "longrope".into()),
            "`rope_parameters.short_factor`",
        ),
    ] {
        assert!(message.contains(part), "{part} not in {message}");
    }
    // The same model under the keys of transformers 4.
    let mut old = json;
    let rope = old.as_object_mut().unwrap().remove("rope_parameters").unwrap();
    old["rope_theta"] = rope["rope_theta"].clone();
    old["rope_scaling"] = rope;
    old["rope_scaling"].as_object_mut().unwrap().remove("rope_theta");
    std::fs::write(&path, old.to_string()).unwrap();
    assert_eq!(LanguageFolder::open(dir.path(), family).unwrap().config, opened.config);
}

#[test]
fn names_without_their_beginning_are_found() {
    let (dir, opened, _) = model("gpt2");
    let file = dir.path().join("model.safetensors");
    let stored = StateDict::open(&file).unwrap().load_all().unwrap();
    let bare =
        stored.into_iter().map(|(n, t)| (n.trim_start_matches("transformer.").to_owned(), t)).collect();
    specbench::checkpoint::write_safetensors(&file, &bare, DType::F32).unwrap();
    let again = Arc::new(open(dir.path()));
    for name in opened.weights.names() {
        assert!(opened.weights.same(&*again.weights, name), "{name}");
    }
}

#[test]
fn a_merge_is_written_tensor_by_tensor_and_opens() {
    let dir = tempfile::tempdir().unwrap();
    let demo = |name: &str| root().join("suites/lm_demo").join(name);
    let merged = |alpha: &str| {
        let out = dir.path().join(alpha);
        specbench()
            .args(["merge", "wise-ft", "--alpha", alpha, "--from"])
            .arg(demo("base"))
            .arg("--to")
            .arg(demo("medicine"))
            .arg("--out")
            .arg(&out)
            .assert()
            .success();
        LanguageFolder::open_any(&out).unwrap().weights.load_all().unwrap()
    };
    let [base, medicine] =
        ["base", "medicine"].map(|n| LanguageFolder::open_any(&demo(n)).unwrap().weights.load_all().unwrap());
    let values = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (end, half) = (merged("1"), merged("0.5"));
    for (name, tensor) in &medicine {
        assert_eq!(values(&end[name]), values(tensor), "{name}");
        for ((a, b), h) in values(&base[name]).iter().zip(values(tensor)).zip(values(&half[name])) {
            // Stored in f16, as the first end is.
            assert!((f32::midpoint(*a, b) - h).abs() <= 1e-3 * h.abs().max(1e-2), "{name}: {a}, {b}, {h}");
        }
    }
    let wrong = specbench()
        .args(["merge", "wise-ft", "--from"])
        .arg(demo("base"))
        .arg("--to")
        .arg(root().join("tests/golden/gguf/qwen2.gguf"))
        .assert()
        .code(2);
    let text = String::from_utf8_lossy(&wrong.get_output().stderr).into_owned();
    assert!(text.contains("cannot be merged"), "{text}");
}

/// With `chat` the prompt is the checkpoint's template of the conversation: the same numbers as a task that spells that text out.
#[test]
fn a_conversation_is_scored_as_the_text_that_its_template_makes() {
    let (dir, _, _) = model("llama");
    let model = dir.path();
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}. {% endfor %}{% if add_generation_prompt %}A:{% endif %}";
    let config = serde_json::json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": template});
    std::fs::write(model.join("tokenizer_config.json"), config.to_string()).unwrap();
    let doc = "{\"q\": \"Which organ filters blood\", \"c\": [\"the kidney\", \"the heart\", \"light\"], \"g\": 0}\n\
               {\"q\": \"A doctor listens to\", \"c\": [\"air\", \"the heart\", \"plants\"], \"g\": 1}\n";
    std::fs::write(dir.path().join("docs.jsonl"), doc).unwrap();
    let task = |name: &str, text: &str, delimiter: &str| {
        let yaml = format!(
            "task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: docs.jsonl}}}}\ntest_split: test\n\
             output_type: multiple_choice\ndoc_to_text: \"{text}\"\ndoc_to_choice: c\ndoc_to_target: g\n\
             target_delimiter: \"{delimiter}\"\nmetric_list: [{{metric: acc}}]\n"
        );
        std::fs::write(dir.path().join(format!("{name}.yaml")), yaml).unwrap();
    };
    task("asked", "{{q}}", " ");
    // lm-eval puts nothing between a conversation and its answer.
    task("spelt", "system: Be brief. user: {{q}}. A:", "");
    let probe = |id: &str, more: &str| {
        let path = dir.path().join(format!("{id}.yaml"));
        format!("[[probe]]\nid = \"{id}\"\nrole = \"generality\"\ntask = {path:?}\n{more}\n")
    };
    let suite = format!(
        "[suite]\nname = \"chat\"\ntrack = \"lm\"\n[[checkpoint]]\nid = \"m\"\nrole = \"pretrained\"\nsource = {model:?}\n{}{}",
        probe("asked", "chat = true\nsystem = \"Be brief\""),
        probe("spelt", ""),
    );
    let path = dir.path().join("chat.toml");
    std::fs::write(&path, &suite).unwrap();
    specbench().arg("run").arg(&path).arg("--out").arg(dir.path().join("out")).assert().success();
    let samples = |task: &str| -> Vec<serde_json::Value> {
        let file = dir.path().join(format!("out/lm_eval/m/samples_{task}_specbench.jsonl"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["resps"].clone()).collect()
    };
    let (asked, spelt) = (samples("asked"), samples("spelt"));
    assert_eq!((asked.len(), &asked), (2, &spelt));
    // Without a template there is no conversation.
    std::fs::write(model.join("tokenizer_config.json"), "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}")
        .unwrap();
    let output = specbench().arg("plan").arg(&path).assert().failure();
    let log = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(log.contains("it has no chat template"), "{log}");
}
