//! Damaged and hostile files: every reader answers with a result or a message that names what is wrong, never with a
//! panic, an abort, or without end. Seeds are the golden files; mutations know a little of the structure (numbers become
//! extreme, pieces are cut, repeated, exchanged). `SPECBENCH_MUTATIONS=1000000 cargo test --release mutations` does more.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use specbench::base::rng::CounterRng;
use specbench::base::table::Table;
use specbench::checkpoint::Weights as _;
use specbench::data::{LAYOUTS, LayoutOptions};
use specbench::image::decode_within;
use specbench::model::clip::{hugging_face, open_clip};
use specbench::suite::Suite;

use crate::support::{root, setting};

/// Mutations of each kind.
fn count() -> u64 {
    setting("SPECBENCH_MUTATIONS", 10_000)
}

/// The longest that one input may take.
const LONGEST: Duration = Duration::from_secs(10);

/// The most memory that the process may take, in bytes.
const MOST: u64 = 2 << 30;

/// Numbers that readers stumble over.
const NUMBERS: [u64; 8] = [0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 40, 1 << 62, u64::MAX - 1, u64::MAX];

/// Text that readers of JSON stumble over.
const TEXTS: [&str; 8] =
    ["null", "-1", "18446744073709551615", "4611686018427387904", "1e400", "\"\"", "[]", "{\"a\":0}"];

pub(crate) fn mutate(seed: &[u8], rng: &mut CounterRng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + rng.below(4) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = rng.below(bytes.len());
        match rng.below(7) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes.truncate(at),
            2 => {
                let number = NUMBERS[rng.below(NUMBERS.len())];
                let width = [1, 2, 4, 8][rng.below(4)];
                let big = rng.below(2) == 0;
                let raw = if big { number.to_be_bytes() } else { number.to_le_bytes() };
                let part = if big { &raw[8 - width..] } else { &raw[..width] };
                for (slot, value) in bytes[at..].iter_mut().zip(part) {
                    *slot = *value;
                }
            }
            3 => {
                let end = (at + 1 + rng.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + 1 + rng.below(64)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = rng.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            5 => {
                // A number or a word of a text file.
                let word = |b: &u8| b.is_ascii_alphanumeric() || b"-.\"".contains(b);
                let end = at + bytes[at..].iter().take_while(|b| word(b)).count();
                let text = TEXTS[rng.below(TEXTS.len())].bytes();
                bytes.splice(at..end, text);
            }
            _ => bytes[at] = rng.next_u64() as u8,
        }
    }
    bytes
}

/// Feeds mutations of some seeds to a reader, which must come back in time.
fn feed(kind: &str, seeds: &[Vec<u8>], read: impl Fn(&[u8])) {
    let stream = CounterRng::new(1, kind);
    for number in 0..count() {
        let mut rng = stream.stream(number);
        let seed = &seeds[rng.below(seeds.len())];
        let bytes = mutate(seed, &mut rng);
        let started = Instant::now();
        read(&bytes);
        assert!(started.elapsed() < LONGEST, "{kind}, mutation {number}: {:?}", started.elapsed());
    }
    if let Some(peak) = peak_memory() {
        assert!(peak < MOST, "{kind}: the process took {peak} bytes at its peak");
    }
}

/// Most memory of the process so far, in bytes, with everything that other tests took beside this one; where the system
/// says it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.to_string_lossy().ends_with(ending))
        .collect();
    all.sort();
    all
}

fn contents(paths: &[PathBuf]) -> Vec<Vec<u8>> {
    paths.iter().map(|p| std::fs::read(p).unwrap()).collect()
}

#[test]
fn images() {
    for ending in [".jpg", ".png", ".webp"] {
        let all: Vec<PathBuf> = files("tests/golden/images", ending)
            .into_iter()
            .filter(|p| p.metadata().unwrap().len() < 20_000)
            .collect();
        let found = |bytes: &[u8]| {
            if let Err(error) = decode_within(bytes, 1 << 20) {
                assert!(!error.to_string().is_empty());
            }
        };
        feed(ending, &contents(&all), found);
    }
    let maps = ["P6 2 1 255\nabcdef", "P5 2 2 65535\nabcdefgh", "P3 1 1 9\n1 2 3", "P1 2 1\n1 0"];
    let maps: Vec<Vec<u8>> = maps.iter().map(|m| m.as_bytes().to_vec()).collect();
    feed("pnm", &maps, |bytes| drop(decode_within(bytes, 1 << 20)));
}

#[test]
fn configurations() {
    let hf = contents(&[
        root().join("tests/golden/clip-gelu/config.json"),
        root().join("tests/golden/siglip/config.json"),
        root().join("tests/golden/foreign/odd-projection/config.json"),
    ]);
    let parse = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    feed("config.json", &hf, |bytes| {
        if let Some(json) = parse(bytes)
            && let Ok(config) = hugging_face::read(&json)
            && config.validate().is_ok()
        {
            assert!(!config.tensors().is_empty());
        }
    });
    let oc = contents(&[
        root().join("tests/golden/open-clip/open_clip_config.json"),
        root().join("tests/golden/foreign/oc-average/open_clip_config.json"),
    ]);
    feed("open_clip_config.json", &oc, |bytes| {
        if let Some(json) = parse(bytes)
            && let Ok((config, _)) = open_clip::read(&json)
        {
            drop(config.validate());
        }
    });
    let preprocessing = contents(&[
        root().join("suites/demo/zero-shot/preprocessor_config.json"),
        root().join("tests/golden/siglip/preprocessor_config.json"),
    ]);
    feed("preprocessor_config.json", &preprocessing, |bytes| {
        if let Some(json) = parse(bytes)
            && let Ok(preprocessor) = specbench::image::Preprocessor::from_hf(&json)
        {
            let (height, width) = preprocessor.output_size().unwrap();
            assert!(height > 0 && width > 0 && height <= 1 << 13 && width <= 1 << 13);
        }
    });
}

/// Puts bytes into a file of a folder of their own and reads it; a message must name the file.
fn through_file(name: &str, read: impl Fn(&Path) -> Result<(), String>) -> impl Fn(&[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let name = name.to_owned();
    move |bytes: &[u8]| {
        let path = dir.path().join(&name);
        std::fs::write(&path, bytes).unwrap();
        if let Err(message) = read(&path) {
            assert!(message.contains(&*dir.path().to_string_lossy()), "the message names no file: {message}");
        }
    }
}

#[test]
fn weights() {
    let pickles = contents(&[
        root().join("tests/golden/heads/linear.pt"),
        root().join("tests/golden/context/model.pth.tar-50"),
    ]);
    let load = |path: &Path| {
        let dict = crate::support::clip_weights(path).map_err(|e| e.to_string())?;
        // A message names the file; numbers that are none are one of the answers.
        dict.load_all().map(drop).map_err(|e| e.to_string())
    };
    feed("pickles", &pickles, through_file("weights.pt", load));
    let safe = contents(&[root().join("tests/golden/lora/adapter_model.safetensors")]);
    feed("safetensors", &safe, through_file("weights.safetensors", load));
    let adapters = contents(&files("tests/golden/foreign/lora-patterns", "adapter_config.json"));
    let dir = tempfile::tempdir().unwrap();
    let from = root().join("tests/golden/foreign/lora-patterns/adapter_model.safetensors");
    std::fs::copy(from, dir.path().join("adapter_model.safetensors")).unwrap();
    feed("adapters", &adapters, |bytes| {
        std::fs::write(dir.path().join("adapter_config.json"), bytes).unwrap();
        if let Err(error) = crate::support::clip_weights(dir.path()) {
            assert!(error.to_string().contains("adapter_config.json"), "{error}");
        }
    });
}

#[test]
fn tables_and_lists() {
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().join("small.parquet");
    let mut table = Table::new(20);
    table.push_strings("id", (0..20).map(|i| format!("e{i}")).collect()).unwrap();
    table.push_u32("label", (0..20).collect()).unwrap();
    table.push_bytes("image", &vec![vec![7; 40]; 20]).unwrap();
    table.write(&small).unwrap();
    let open = |layout: &'static str| {
        move |path: &Path| {
            let data = LAYOUTS.get(layout).unwrap().open(&[path.to_owned()], &LayoutOptions::default());
            let data = data.map_err(|e| e.to_string())?;
            let n = data.examples().len().min(100);
            data.read(0..n).map(drop).map_err(|e| e.to_string())
        }
    };
    feed("parquet", &contents(&[small]), through_file("mutated.parquet", open("parquet")));
    let split = br#"{"train": [["a/1.jpg", 1, "red"]], "val": [], "test": [["b/2.jpg", 0, "bus"]]}"#.to_vec();
    let zhou = |path: &Path| {
        let files = [path.to_owned(), path.parent().unwrap().to_owned()];
        let options = LayoutOptions { split: "test".to_owned(), ..LayoutOptions::default() };
        LAYOUTS.get("zhou-split").unwrap().open(&files, &options).map(drop).map_err(|e| e.to_string())
    };
    feed("split files", &[split], through_file("split.json", zhou));
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in [("s0.png", &b"image"[..]), ("s0.cls", b"3")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    let shards = tempfile::tempdir().unwrap();
    std::fs::write(shards.path().join("nshards.txt"), "1").unwrap();
    feed("tar", &[tar.into_inner().unwrap()], |bytes| {
        std::fs::write(shards.path().join("0.tar"), bytes).unwrap();
        let data =
            LAYOUTS.get("webdataset").unwrap().open(&[shards.path().to_owned()], &LayoutOptions::default());
        if let Ok(data) = data {
            drop(data.read(0..data.examples().len()));
        }
    });
    let idx = [&[0u8, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2][..], &[1, 2, 3, 4]].concat();
    let labels = shards.path().join("labels");
    std::fs::write(&labels, [0, 0, 8, 1, 0, 0, 0, 2, 7, 9]).unwrap();
    feed("idx", &[idx], |bytes| {
        let images = shards.path().join("images");
        std::fs::write(&images, bytes).unwrap();
        if let Ok(data) =
            LAYOUTS.get("idx").unwrap().open(&[images, labels.clone()], &LayoutOptions::default())
        {
            drop(data.read(0..data.examples().len()));
        }
    });
}

#[test]
fn suites() {
    let catalog = specbench::catalog::Catalog::open(&root().join("datasets.toml")).unwrap();
    let read = |path: &Path| Suite::open(path, &catalog).map(drop).map_err(|e| e.to_string());
    let seeds = contents(&[root().join("suites/demo.toml"), root().join("suites/gate.toml")]);
    feed("suites", &seeds, through_file("suite.toml", read));
}
