//! Whether this machine computes what it must, and has room for it: `specbench doctor`.

use std::path::Path;

use serde::Deserialize;

use crate::base::embedded::{self, Kind};
use crate::base::fs::read;
use crate::catalog::Catalog;
use crate::data::RawImage;
use crate::model::{Numerics, image_features, log_likelihood, text_tokens};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it must be.
    Good,
    /// It works, with something to know.
    Note,
    /// It does not work.
    Bad,
}

impl State {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "BAD",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Check {
    /// What.
    pub what: &'static str,
    /// How it came out.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do, where something is to be done.
    pub advice: Option<String>,
}

impl Check {
    const fn new(what: &'static str, state: State, found: String) -> Self {
        Self { what, state, found, advice: None }
    }

    fn bad(what: &'static str, found: &dyn std::fmt::Display, advice: &str) -> Self {
        Self { advice: Some(advice.to_owned()), ..Self::new(what, State::Bad, found.to_string()) }
    }
}

/// What the demos' checkpoints must give (`tests/golden/make_canary.py`, by transformers).
#[derive(Deserialize)]
struct Canary {
    text: String,
    tokens: Vec<u32>,
    features: Vec<f32>,
    prompt: String,
    target: String,
    nats: f64,
}

/// Free space below which results and caches may not fit.
const LITTLE: u64 = 2 << 30;

/// The processor's vector instructions that kernels are chosen by.
#[must_use]
pub fn processor() -> Check {
    #[cfg(target_arch = "x86_64")]
    let known = [
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("FMA", std::arch::is_x86_feature_detected!("fma")),
        ("AVX-512", std::arch::is_x86_feature_detected!("avx512f")),
        ("AVX-512 BF16", std::arch::is_x86_feature_detected!("avx512bf16")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let known = [("NEON", cfg!(target_arch = "aarch64"))];
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let has: Vec<&str> = known.iter().filter(|k| k.1).map(|k| k.0).collect();
    let state = if has.is_empty() { State::Note } else { State::Good };
    Check::new("processor", state, format!("{cores} cores, {}", has.join(", ")))
}

/// The device and type that models run on.
#[must_use]
pub fn device(numerics: Result<&Numerics, String>) -> Check {
    match numerics {
        Ok(found) => {
            let built = if cfg!(feature = "cuda") { "built with CUDA" } else { "built without CUDA" };
            Check::new("device", State::Good, format!("{}, {}; {built}", found.device, found.dtype))
        }
        Err(reason) => Check::bad("device", &reason, "choose another with `--device` and `--dtype`"),
    }
}

/// Tokens, preprocessing with an image model, and a language model, held against known values.
#[must_use]
pub fn canaries(folder: &Path, catalog: &Catalog, numerics: &Numerics) -> Vec<Check> {
    const ADVICE: &str = "this program computes something else here than where it was tested; please report it with this table";
    let path = folder.join("suites/canary.json");
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) => {
            return vec![Check::bad(
                "known values",
                &error,
                "remove the folder it names; it is unpacked again",
            )];
        }
    };
    let canary: Canary = match serde_json::from_slice(&text) {
        Ok(canary) => canary,
        Err(error) => return vec![Check::bad("known values", &error, ADVICE)],
    };
    let demo = folder.join("suites/demo/zero-shot");
    let tokens = text_tokens(&demo, &canary.text);
    let tokenizer = match tokens {
        Ok(found) if found == canary.tokens => {
            Check::new("tokenizer", State::Good, format!("{} tokens as known", canary.tokens.len()))
        }
        Ok(found) => Check::bad("tokenizer", &format!("{found:?} instead of {:?}", canary.tokens), ADVICE),
        Err(error) => Check::bad("tokenizer", &error, ADVICE),
    };
    // Reduced types round to three digits and less.
    let tolerance = if numerics.dtype == "f32" { 1e-4 } else { 3e-2 };
    let image = first_image(catalog)
        .and_then(|image| image_features(&demo, image, numerics).map_err(|e| e.to_string()));
    let image = match image {
        Ok(found) => {
            let off =
                found.iter().zip(&canary.features).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
            let same = found.len() == canary.features.len();
            compared("image model", if same { off } else { f64::INFINITY }, tolerance, ADVICE)
        }
        Err(error) => Check::bad("image model", &error, ADVICE),
    };
    let base = folder.join("suites/lm_demo/base");
    let language = match log_likelihood(&base, &canary.prompt, &canary.target, numerics) {
        Ok(found) => compared("language model", (found - canary.nats).abs(), tolerance * 10.0, ADVICE),
        Err(error) => Check::bad("language model", &error, ADVICE),
    };
    vec![tokenizer, image, language]
}

fn compared(what: &'static str, off: f64, tolerance: f64, advice: &str) -> Check {
    let found = format!("{off:.1e} from the known value");
    if off <= tolerance { Check::new(what, State::Good, found) } else { Check::bad(what, &found, advice) }
}

/// The first image of the data that come with the program.
fn first_image(catalog: &Catalog) -> Result<RawImage, String> {
    let found = || -> Result<RawImage, Box<dyn std::error::Error>> {
        let entry = catalog.dataset("emoji-noto")?;
        let open = catalog.open_split(entry, catalog.split(entry, "test")?)?;
        Ok(open.data.images(0..1)?.remove(0))
    };
    found().map_err(|e| e.to_string())
}

/// A folder that is written to: whether it can be, and how much room there is.
#[must_use]
pub fn folder(what: &'static str, path: &Path) -> Check {
    const ADVICE: &str = "choose another folder (`--out`, `--cache`, XDG_CACHE_HOME, HF_HUB_CACHE), or give rights to this one";
    // What is not there yet is made in the first folder above it that is.
    let there = path.ancestors().find(|p| p.as_os_str().is_empty() || p.exists()).unwrap_or(path);
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    if let Err(error) = tempfile::NamedTempFile::new_in(there) {
        return Check::bad(what, &format!("`{}` cannot be written: {error}", path.display()), ADVICE);
    }
    match fs4::available_space(there) {
        Ok(free) => {
            let found = format!("{}, {:.1} GiB free", path.display(), free as f64 / (1u64 << 30) as f64);
            let mut check = Check::new(what, if free < LITTLE { State::Note } else { State::Good }, found);
            if free < LITTLE {
                check.advice = Some("little room is left for results, crops and downloads".to_owned());
            }
            check
        }
        Err(error) => {
            Check::new(what, State::Note, format!("{}; its free space is not known: {error}", path.display()))
        }
    }
}

/// What the program brings along.
#[must_use]
pub fn brought_along(folder: &Path) -> Check {
    Check::new(
        "built in",
        State::Good,
        format!("{} suites in {}", embedded::names(Kind::Suite).len(), folder.display()),
    )
}
