//! The engine with a model of two stages that answers in microseconds: kills, shards, sharing, memory and racing, without
//! any weights on disk. It also shows what a model type has to be.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Device, Tensor};
use specbench::base::digest::Digest;
use specbench::base::file_digests::FileDigests;
use specbench::catalog::Catalog;
use specbench::checkpoint::{Tensors, Weights};
use specbench::image::Preprocessor;
use specbench::merge::Combination;
use specbench::model::{
    Architecture, Head, HeadChoice, HeadKind, HeadRows, ImageReader, Input, Model, ModelError, Numerics,
    Placement, Reader, State,
};
use specbench::plan::{CheckpointInfo, Plan, Until};
use specbench::run::{RunOptions, RunSummary, run};
use specbench::suite::Suite;
use specbench::task::{Answer, AskKind, Candidates};

use crate::support::{assert_same, setting};

/// Values of an input.
const WIDTH: usize = 12;
const CLASSES: usize = 4;

/// Steps that were taken, and the step at which the process ends.
static STEPS: AtomicU64 = AtomicU64::new(0);
static LAST: AtomicU64 = AtomicU64::new(u64::MAX);

fn step() {
    if STEPS.fetch_add(1, Ordering::SeqCst) + 1 == LAST.load(Ordering::SeqCst) {
        std::process::abort();
    }
}

/// A checkpoint: features are `pixels * first * second`, the head has one row per class.
struct Mock {
    weights: Arc<dyn Weights>,
    reader: ImageReader,
}

/// The model: a factor per stage.
struct Factors([f64; 2]);

impl Model for Factors {
    fn lead(&self, state: &State, stages: Range<usize>) -> Result<State, ModelError> {
        step();
        let mut tensor = state.tensor().clone();
        for factor in &self.0[stages] {
            tensor = (tensor * *factor).map_err(ModelError::compute("mock"))?;
        }
        Ok(State::new(tensor))
    }

    fn finish(
        &self,
        state: &State,
        from: usize,
        heads: &[Option<&Head>],
    ) -> Result<Vec<Vec<Answer>>, ModelError> {
        let state = self.lead(state, from..2)?;
        let wrap = ModelError::compute("mock");
        let answers = |head: &Option<&Head>| -> candle_core::Result<Vec<Answer>> {
            let logits = head.unwrap().logits(state.tensor())?.to_vec2::<f32>()?;
            Ok(logits.into_iter().map(Answer::Scores).collect())
        };
        heads.iter().map(answers).collect::<candle_core::Result<_>>().map_err(wrap)
    }
}

impl Architecture for Mock {
    fn model_type(&self) -> &'static str {
        "mock"
    }
    fn path(&self) -> &Path {
        Path::new("mock")
    }
    fn weights(&self) -> &Arc<dyn Weights> {
        &self.weights
    }
    fn facts(&self) -> Result<Vec<(&'static str, String)>, ModelError> {
        Ok(Vec::new())
    }
    fn can(&self, _: AskKind) -> Result<(), String> {
        Ok(())
    }
    fn reader(&self) -> &dyn Reader {
        &self.reader
    }
    fn digest(&self, digests: &FileDigests) -> Result<Digest, ModelError> {
        Ok(self.weights.digest(digests)?)
    }
    fn tokenizer_digest(&self) -> Result<Digest, ModelError> {
        Ok(Digest::of_bytes(b"none"))
    }
    fn differs_from(
        &self,
        other: &dyn Architecture,
        _: &[&Candidates],
    ) -> Result<Option<&'static str>, ModelError> {
        Ok((!other.as_any().is::<Self>()).then_some("model type"))
    }
    fn over(&self, _: &Path, _: Option<&[String]>) -> Result<Arc<dyn Architecture>, ModelError> {
        Err(ModelError::Unlike("a mock lies on nothing".to_owned()))
    }
    fn combined(
        &self,
        weights: Combination,
        _: &[Arc<dyn Architecture>],
        _: Option<&Arc<dyn Architecture>>,
    ) -> Result<Arc<dyn Architecture>, ModelError> {
        Ok(Arc::new(Self { weights: Arc::new(weights), reader: self.reader.clone() }))
    }
    fn write(
        &self,
        _: &Path,
        _: Option<candle_core::DType>,
        _: specbench::model::WrittenHeads<'_>,
    ) -> Result<(), ModelError> {
        Err(ModelError::Unlike("a mock is written nowhere".to_owned()))
    }
    fn stages(&self) -> usize {
        2
    }
    fn stage_of(&self, tensor: &str) -> Option<usize> {
        ["first", "second"].iter().position(|s| *s == tensor)
    }
    fn makes_head(&self, tensor: &str) -> bool {
        tensor == "head"
    }
    fn build(&self, weights: &dyn Weights, placement: &Placement) -> Result<Box<dyn Model>, ModelError> {
        let placed = placement.of(weights);
        let one = |name: &str| -> Result<f64, ModelError> {
            let value = placed.load(name)?.to_vec1::<f32>().map_err(ModelError::compute("mock"))?[0];
            Ok(f64::from(value))
        };
        Ok(Box::new(Factors([one("first")?, one("second")?])))
    }
    fn head_choice(&self, _: &Candidates) -> Option<HeadChoice> {
        Some(HeadChoice { kind: HeadKind::ZeroShot, rows: Vec::new(), missing: Vec::new() })
    }
    fn head(
        &self,
        weights: &dyn Weights,
        candidates: &Candidates,
        _: &mut dyn FnMut(usize),
    ) -> Result<HeadRows, ModelError> {
        let places: Vec<u32> = candidates.places.iter().map(|&p| p as u32).collect();
        let n = places.len();
        let all = weights.load("head")?;
        let rows = Tensor::from_vec(places, n, &Device::Cpu).and_then(|places| all.index_select(&places, 0));
        Ok(HeadRows::fixed(rows.map_err(ModelError::compute("mock"))?, None))
    }
    fn batch(&self, inputs: &[Input], placement: &Placement, _: bool) -> Result<State, ModelError> {
        let values: Vec<f32> = inputs
            .iter()
            // Small whole numbers, and factors of few digits: all sums are exact, in whatever order.
            .flat_map(|input| {
                let Input::Image(crop) = input else { panic!("{input:?}") };
                crop.data.iter().map(|&v| f32::from(v) - 128.0)
            })
            .collect();
        let tensor = Tensor::from_vec(values, (inputs.len(), WIDTH), &Device::Cpu);
        let tensor = tensor.and_then(|t| placement.input(&t));
        tensor.map(State::new).map_err(ModelError::compute("mock"))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn checkpoint(first: f32, second: f32, tilt: f32) -> CheckpointInfo {
    let head = (0..CLASSES * WIDTH).map(|i| ((i * 7 % 11) as f32 - 5.0) * (1.0 + tilt * (i % 3) as f32));
    let one = |value: f32| Tensor::from_slice(&[value], 1, &Device::Cpu).unwrap();
    let head = Tensor::from_vec(head.collect::<Vec<f32>>(), (CLASSES, WIDTH), &Device::Cpu).unwrap();
    let weights = Tensors::from([
        ("first".to_owned(), one(first)),
        ("second".to_owned(), one(second)),
        ("head".to_owned(), head),
    ]);
    let mock = Mock { weights: Arc::new(weights), reader: ImageReader(Preprocessor::clip(2)) };
    CheckpointInfo::new(Arc::new(mock), &FileDigests::default()).unwrap()
}

/// A folder with 1,100 images of 2 x 2 pixels, a registry and a suite.
fn prepare(folder: &Path) {
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    let n = 1100_u32;
    let idx = |dims: &[u32]| {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        bytes.extend(dims.iter().flat_map(|d| d.to_be_bytes()));
        bytes
    };
    let mut images = idx(&[n, 2, 2]);
    images.extend((0..n * 4).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8));
    write("images", &images);
    let mut labels = idx(&[n]);
    labels.extend((0..n).map(|i| (i % CLASSES as u32) as u8));
    write("labels", &labels);
    write("classes.txt", b"a\nb\nc\nd\n");
    write(
        "datasets.toml",
        b"[toys]\nsummary = \"x\"\nlayout = \"idx\"\nlicence = \"x\"\norigin = \"x\"\nclasses = \"classes.txt\"\n\
          template = \"{}\"\n[toys.split.test]\nfiles = [\"images\", \"labels\"]\n",
    );
    write(
        "suite.toml",
        b"[suite]\nname = \"mock\"\n[[checkpoint]]\nid = \"p\"\nrole = \"pretrained\"\nsource = \"mock\"\n\
          [[checkpoint]]\nid = \"f\"\nrole = \"finetuned\"\nsource = \"mock\"\n\
          [[sweep]]\nmerge = \"wise-ft\"\nfrom = \"p\"\nto = [\"f\"]\nalphas = [0.25, 0.5]\n\
          [[probe]]\nid = \"base\"\ndataset = \"toys\"\nclasses = \"base\"\nrole = \"speciality\"\n\
          [[probe]]\nid = \"all\"\ndataset = \"toys\"\nrole = \"generality\"\n",
    );
}

fn plan(folder: &Path, until: Option<Until>) -> Plan {
    let catalog = Catalog::open(&folder.join("datasets.toml")).unwrap();
    let suite = Suite::open(&folder.join("suite.toml"), &catalog).unwrap();
    let checkpoints = BTreeMap::from([
        ("p".to_owned(), checkpoint(1.5, 1.0, 0.0)),
        // The first stage is shared along the curve.
        ("f".to_owned(), checkpoint(1.5, -0.5, 0.5)),
    ]);
    Plan::of(suite, &catalog, Ok(checkpoints), None, Numerics::default(), until).unwrap()
}

fn options(out: PathBuf) -> RunOptions {
    RunOptions { batch: 64, ..RunOptions::new(out) }
}

fn finish(folder: &Path, options: &RunOptions) -> RunSummary {
    run(&plan(folder, None), options, &mut |_| step()).unwrap()
}

/// Runs in a process of its own and ends it at the step that the environment names.
#[test]
#[ignore = "started by the test of kills"]
fn child() {
    let folder = PathBuf::from(std::env::var_os("SPECBENCH_MOCK_FOLDER").unwrap());
    LAST.store(setting("SPECBENCH_MOCK_LAST", u64::MAX), Ordering::SeqCst);
    STEPS.store(0, Ordering::SeqCst);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| finish(&folder, &options(folder.join("out"))));
    std::fs::write(folder.join("steps"), STEPS.load(Ordering::SeqCst).to_string()).unwrap();
}

fn start(folder: &Path, last: Option<u64>) -> std::process::ExitStatus {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["mock::child", "--exact", "--ignored"]).env("SPECBENCH_MOCK_FOLDER", folder);
    if let Some(last) = last {
        command.env("SPECBENCH_MOCK_LAST", last.to_string());
    }
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status().unwrap()
}

/// CI kills some; `SPECBENCH_MOCK_KILLS=1000 cargo test --release mock` a thousand.
#[test]
fn killed_at_random_steps_and_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder);
    assert!(start(folder, None).success());
    let steps: u64 = std::fs::read_to_string(folder.join("steps")).unwrap().parse().unwrap();
    assert!(steps > 50, "{steps} steps: is the model asked?");
    std::fs::rename(folder.join("out"), folder.join("whole")).unwrap();
    let kills = setting("SPECBENCH_MOCK_KILLS", 80);
    let mut state = 1_u64;
    for kill in 0..kills {
        let _ = std::fs::remove_dir_all(folder.join("out"));
        // A 64-bit linear congruence (Knuth's MMIX): any steps will do, the same ones every time.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let last = 1 + (state >> 33) % steps;
        assert!(!start(folder, Some(last)).success(), "step {last} of {steps} was not reached");
        // Every third run is killed twice.
        if kill % 3 == 0 {
            start(folder, Some(1 + last / 2));
        }
        assert!(start(folder, None).success(), "after a kill at step {last}");
        assert_same(&folder.join("whole"), &folder.join("out"));
    }
}

#[test]
fn shards_sharing_batches_and_memory_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder);
    let summary = finish(folder, &options(folder.join("whole")));
    assert_eq!((summary.finished, summary.missing, summary.decoded), (8, 0, 1100));
    for (name, change) in [
        ("sharing", Box::new(|o: &mut RunOptions| o.share = false) as Box<dyn Fn(&mut RunOptions)>),
        ("memory", Box::new(|o| o.memory = 0)),
        ("batch", Box::new(|o| o.batch = 7)),
    ] {
        let mut options = options(folder.join(name));
        change(&mut options);
        finish(folder, &options);
        assert_same(&folder.join("whole"), &folder.join(name));
    }
    // The last first: each shard leaves its segments, and whoever comes last joins them.
    let shard = |i| RunOptions { shard: (i, 3), ..options(folder.join("shards")) };
    assert!(finish(folder, &shard(2)).missing > 0 && finish(folder, &shard(0)).missing > 0);
    assert_eq!(finish(folder, &shard(1)).missing, 0);
    assert_same(&folder.join("whole"), &folder.join("shards"));
    let again = finish(folder, &options(folder.join("whole")));
    assert_eq!((again.finished, again.reused), (0, 8));
}

#[test]
fn a_race_stops_early_and_goes_on_from_its_rounds() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder);
    let race = |out: &str, share| {
        let options = RunOptions { share, ..options(folder.join(out)) };
        run(&plan(folder, Some(Until::Width(0.2))), &options, &mut |_| step()).unwrap()
    };
    let summary = race("one", true);
    assert!(summary.finished == 8 && summary.decoded < 1100, "{summary:?}");
    race("two", false);
    assert_same(&folder.join("one"), &folder.join("two"));
}
