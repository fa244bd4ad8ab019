//! Reads a suite file and says precisely what is wrong with it.

use std::collections::BTreeMap;
use std::path::Path;

use super::names::{fill_seed, is_plain, known_checkpoint, read_id, read_seed_list};
use super::spec::{
    CheckpointRole, CheckpointSpec, CombineSpec, CorruptPolicy, CurveGate, GateSpec, IntervalMethod,
    ProbeRole, ProbeSpec, StatsSpec, Suite, Track,
};
use super::{probes, sweeps};
use crate::base::config::{ConfigError, Document, Located, Section};
use crate::base::fs::FileError;
use crate::base::hub::HubRepository;
use crate::base::registry::advice;
use crate::catalog::Catalog;
use crate::image::MOST_PIXELS;
use crate::merge::{COMBINES, Combine, CombineSettings, Compensate, Each, Rescale};
use crate::stats::Aggregate;

/// Why a suite cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// The file is missing.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file has mistakes.
    #[error("{0}")]
    Config(#[from] ConfigError),
}

impl Suite {
    /// Reads and checks a suite; data sets are looked up in `catalog`.
    pub fn open(path: &Path, catalog: &Catalog) -> Result<Self, SuiteError> {
        let document = Document::open(path)?;
        Self::parse(path, &document, catalog)
    }

    /// The same of a document that is open.
    pub(crate) fn parse(path: &Path, document: &Document, catalog: &Catalog) -> Result<Self, SuiteError> {
        let table = document.parse()?;
        let root = document.root(table.get_ref());
        let head = root.required_section("suite").map(|s| read_head(&s));
        let checkpoints = read_checkpoints(&root);
        let sweeps = sweeps::read(&root, &checkpoints);
        let probes = probes::read(&root, catalog);
        let (speciality, generality) = read_aggregate(&root);
        let stats = read_stats(&root);
        let gate = read_gate(&root);
        let references = root.section("references").and_then(|section| {
            let file = section.required_text("file");
            section.finish();
            file.map(|f| f.value.into())
        });
        check_whole(&root, &checkpoints, &probes);
        root.finish();
        document.finish()?;
        let (name, track, description, corrupt, most_pixels) = head.flatten().unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            text: document.text().to_owned(),
            name,
            track,
            description,
            corrupt,
            most_pixels,
            checkpoints,
            sweeps,
            probes,
            speciality,
            generality,
            stats,
            gate,
            references,
        })
    }
}

type Head = (String, Track, String, CorruptPolicy, u64);

fn read_head(section: &Section<'_>) -> Option<Head> {
    let name = section.required_text("name");
    if let Some(name) = &name
        && !is_plain(&name.value)
    {
        let help = "use letters, digits, `-`, `_` and `.`".to_owned();
        section.note(name.span.clone(), format!("`{}` cannot name a folder", name.value), Some(help));
    }
    let named = section.text("track");
    let track = match named.as_ref().map(|t| t.value.as_str()) {
        None | Some("clip") => Track::Clip,
        Some("lm") => Track::Lm,
        Some(other) => {
            let (message, help) = match other {
                "mllm" => ("track `mllm` is not available yet".to_owned(), None),
                _ => (format!("unknown track `{other}`"), Some(advice(other, ["clip", "lm", "mllm"]))),
            };
            section.note(named.map_or(section.span.clone(), |t| t.span), message, help);
            Track::Clip
        }
    };
    let description = section.text("description").map(|d| d.value).unwrap_or_default();
    let corrupt = section
        .choice("corrupt", &[("fail", CorruptPolicy::Fail), ("skip", CorruptPolicy::Skip)])
        .map_or(CorruptPolicy::Fail, |c| c.value);
    let most_pixels = section.count("max_pixels").map_or(MOST_PIXELS, |c| c.value);
    section.finish();
    Some((name?.value, track, description, corrupt, most_pixels))
}

fn read_checkpoints(root: &Section<'_>) -> Vec<CheckpointSpec> {
    let mut seen = BTreeMap::new();
    let roles = [("pretrained", CheckpointRole::Pretrained), ("finetuned", CheckpointRole::Finetuned)];
    let mut all: Vec<CheckpointSpec> = Vec::new();
    for section in &root.sections("checkpoint") {
        let id = read_id(section, &mut seen, "checkpoint");
        let role = section.required_choice("role", &roles);
        let method = section.text("method").map(|m| m.value);
        let combine = read_combine(section, &all);
        let source = match &combine {
            Some(combine) => {
                if let Some(source) = section.text("source") {
                    let message = "a checkpoint has either `source` or `merge`";
                    section.note(source.span, message, None);
                }
                let text = format!("{} of {}", combine.merge, combine.of.join(", "));
                Some(Located { value: text, span: section.span.clone() })
            }
            None => section.required_text("source"),
        };
        if let Some(source) = source.as_ref().filter(|s| s.value.starts_with("hf:"))
            && let Err(error) = HubRepository::parse(&source.value)
        {
            section.note(source.span.clone(), error.to_string(), None);
        }
        let (base, head_of) = read_others(section, combine.is_some(), &all);
        let classes = section.text("classes").map(|c| c.value);
        let fisher = section.text("fisher").map(|f| f.value);
        let gram = section.text("gram").map(|f| f.value);
        let seed = section.count("seed").map(|s| s.value);
        let seeds = read_seeds(section, seed, id.as_deref(), source.as_ref().map(|s| s.value.as_str()));
        let probes = section.globs("probes");
        section.finish();
        if let (Some(id), Some(role), Some(source)) = (id, role, source) {
            let (role, source) = (role.value, source.value);
            for seed in seeds {
                let fill = |text: &str| fill_seed(text, seed);
                all.push(CheckpointSpec {
                    id: fill(&id),
                    source: fill(&source),
                    role,
                    method: method.clone(),
                    combine: combine.as_ref().map(|c| filled(c, seed)),
                    base: base.clone(),
                    head_of: head_of.clone(),
                    classes: classes.clone(),
                    fisher: fisher.as_ref().map(|f| fill(f)),
                    gram: gram.as_ref().map(|f| fill(f)),
                    seed,
                    probes: probes.clone(),
                });
            }
        }
    }
    all
}

/// The checkpoints that one lies on, and that makes its head.
fn read_others(
    section: &Section<'_>,
    is_combined: bool,
    all: &[CheckpointSpec],
) -> (Option<String>, Option<String>) {
    let (base, head_of) = (section.text("base"), section.text("head_of"));
    // Only checkpoints above it are known here, so that a chain of them always ends.
    for other in base.iter().chain(&head_of) {
        known_checkpoint(section, other, all);
    }
    if let Some(base) = &base
        && all.iter().any(|c| c.id == base.value && c.combine.is_some())
    {
        let message = "a combination is no `base`: it has no files of its own";
        section.note(base.span.clone(), message, None);
    }
    if let Some(head) = head_of.as_ref().filter(|_| is_combined) {
        let message = "a combination has the head of what it is made of, and takes no `head_of`";
        section.note(head.span.clone(), message, None);
    }
    (base.map(|b| b.value), head_of.map(|h| h.value))
}

/// A combination with a seed in place of `{seed}`.
fn filled(combine: &CombineSpec, seed: Option<u64>) -> CombineSpec {
    CombineSpec { of: combine.of.iter().map(|o| fill_seed(o, seed)).collect(), ..combine.clone() }
}

/// The seeds of a checkpoint: one, none, or a list, for which `{seed}` stands in its id and source.
fn read_seeds(
    section: &Section<'_>,
    one: Option<u64>,
    id: Option<&str>,
    source: Option<&str>,
) -> Vec<Option<u64>> {
    let Some(list) = read_seed_list(section) else { return vec![one] };
    let mistake = if one.is_some() {
        Some("a checkpoint has either `seed` or `seeds`")
    } else if [id, source].iter().flatten().any(|t| !t.contains("{seed}")) {
        Some("with `seeds`, `id` and `source` (of a combination: `of`) need `{seed}`")
    } else {
        None
    };
    if let Some(message) = mistake {
        section.note(list.span, message, None);
        return vec![one];
    }
    if list.value.is_empty() { vec![one] } else { list.value.into_iter().map(Some).collect() }
}

/// What a checkpoint is combined from; only checkpoints above it are known.
fn read_combine(section: &Section<'_>, all: &[CheckpointSpec]) -> Option<CombineSpec> {
    let merge = section.text("merge");
    let of = section.texts("of");
    let Some(merge) = merge else {
        if of.is_some() {
            section.note(section.span.clone(), "`of` needs `merge`, the way they are combined", None);
        }
        return None;
    };
    section.known(&merge, &COMBINES);
    let needs_base = COMBINES.get(&merge.value).is_some_and(Combine::needs_base);
    if let Some(base) = section.text("base").filter(|_| !needs_base) {
        let message = format!("`{}` combines whole weights and takes no `base`", merge.value);
        section.note(base.span, message, None);
    }
    let of = of.unwrap_or_default();
    if of.is_empty() {
        section.note(section.span.clone(), "a combination needs `of`, a list of checkpoint ids", None);
    }
    let seeds = read_seed_list(section).map_or_else(Vec::new, |list| list.value);
    let seeds = if seeds.is_empty() { vec![None] } else { seeds.into_iter().map(Some).collect() };
    for name in &of {
        for seed in &seeds {
            let filled = Located { value: fill_seed(&name.value, *seed), span: name.span.clone() };
            known_checkpoint(section, &filled, all);
        }
    }
    let settings = COMBINES.get(&merge.value).map(|m| combine_settings(section, m)).unwrap_or_default();
    let selects = COMBINES.get(&merge.value).is_some_and(Combine::selects);
    let select = if selects { section.required_text("select").map(|s| s.value) } else { None };
    Some(CombineSpec { merge: merge.value, of: of.into_iter().map(|o| o.value).collect(), select, settings })
}

/// The settings that a combination reads; one that it does not read stays an unknown key.
fn combine_settings(section: &Section<'_>, method: &dyn Combine) -> CombineSettings {
    let reads = |key: &str| method.keys().contains(&key);
    let number = |key: &'static str, most: f64| {
        if reads(key) { section.number_in(key, 0.0..=most).map(|n| n.value) } else { None }
    };
    let weights = if reads("weights") { section.numbers_or_text("weights") } else { None };
    let weights = weights.and_then(|found| match found.value {
        Ok(all) => Some(all),
        Err(_) => {
            section.note(found.span, "`weights` must be a list of numbers", None);
            None
        }
    });
    CombineSettings {
        weights,
        density: if reads("density") { density(section) } else { None },
        lambda: if reads("lambda") { section.number("lambda").map(|n| n.value) } else { None },
        gamma: number("gamma", 1.0),
        epsilon: number("epsilon", 1.0),
        normalize: if reads("normalize") { section.flag("normalize").map(|f| f.value) } else { None },
        rescale: if reads("rescale") {
            section.choice("rescale", &Rescale::CHOICES).map(|c| c.value)
        } else {
            None
        },
        non_diagonal: number("non_diagonal", 1.0),
        damp: number("damp", 1e6),
        compensate: if reads("compensate") {
            section.choice("compensate", &Compensate::CHOICES).map(|c| c.value)
        } else {
            None
        },
        seed: if reads("seed") { section.count("seed").map(|s| s.value) } else { None },
    }
}

/// One density, or one for each checkpoint.
fn density(section: &Section<'_>) -> Option<Each> {
    if !section.is_list("density") {
        return section.number_in("density", 0.0..=1.0).map(|n| Each::All(n.value));
    }
    let found = section.numbers_or_text("density")?;
    let all = found.value.ok()?;
    if all.iter().any(|d| !(0.0..=1.0).contains(d)) {
        section.note(found.span, "`density` must be 0 to 1", None);
    }
    Some(Each::of(all))
}

fn read_aggregate(root: &Section<'_>) -> (Aggregate, Aggregate) {
    let Some(section) = root.section("aggregate") else { return Default::default() };
    let read = |key| section.choice(key, &Aggregate::CHOICES).map_or(Aggregate::Mean, |c| c.value);
    let both = (read("speciality"), read("generality"));
    section.finish();
    both
}

fn read_stats(root: &Section<'_>) -> StatsSpec {
    let mut stats =
        StatsSpec { confidence: 0.95, resamples: 2000, seed: 0, interval: IntervalMethod::Percentile };
    let Some(section) = root.section("stats") else { return stats };
    if let Some(level) = section.number_in("confidence", 0.5..=0.9999) {
        stats.confidence = level.value;
    }
    if let Some(n) = section.count("resamples") {
        if !(100..=1_000_000).contains(&n.value) {
            section.note(n.span, "`resamples` must be 100 to 1000000", None);
        }
        stats.resamples = n.value as usize;
    }
    if let Some(seed) = section.count("seed") {
        stats.seed = seed.value;
    }
    let methods = [("percentile", IntervalMethod::Percentile), ("bca", IntervalMethod::Bca)];
    if let Some(method) = section.choice("interval", &methods) {
        stats.interval = method.value;
    }
    section.finish();
    stats
}

fn read_gate(root: &Section<'_>) -> GateSpec {
    let mut gate = GateSpec::default();
    let Some(section) = root.section("gate") else { return gate };
    if let Some(tolerance) = section.number_in("tolerance", GateSpec::TOLERANCE) {
        gate.tolerance = tolerance.value;
    }
    if let Some(significance) = section.number_in("significance", GateSpec::SIGNIFICANCE) {
        gate.significance = significance.value;
    }
    gate.probes = section.globs("probes");
    if let Some(curves) = section.texts("curves") {
        let known = [
            ("hypervolume", CurveGate::Hypervolume),
            ("generality-at-equal-speciality", CurveGate::GeneralityAtEqualSpeciality),
        ];
        gate.curves = curves
            .into_iter()
            .filter_map(|text| {
                let found = known.iter().find(|(name, _)| *name == text.value);
                if found.is_none() {
                    let help = advice(&text.value, known.iter().map(|k| k.0));
                    section.note(
                        text.span.clone(),
                        format!("unknown curve gate `{}`", text.value),
                        Some(help),
                    );
                }
                found.map(|k| k.1)
            })
            .collect();
    }
    section.finish();
    gate
}

/// Rules about the suite as a whole.
fn check_whole(root: &Section<'_>, checkpoints: &[CheckpointSpec], probes: &[ProbeSpec]) {
    if checkpoints.is_empty() {
        root.note(0..0, "the suite has no usable `[[checkpoint]]`", None);
    }
    for (id, select) in checkpoints.iter().filter_map(|c| Some((&c.id, c.combine.as_ref()?.select.as_ref()?)))
    {
        // A soup that is chosen on what is reported would be chosen on the test.
        let is_selection = |p: &ProbeSpec| p.id == *select && p.role == ProbeRole::Selection;
        if !probes.iter().any(is_selection) {
            let message = format!("`select` of checkpoint `{id}` must be a probe of the role `selection`");
            root.note(0..0, message, None);
        }
    }
    if probes.is_empty() {
        root.note(0..0, "the suite has no usable `[[probe]]`", None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let registry = folder.path().join("datasets.toml");
        std::fs::write(
            &registry,
            "[toys]\nsummary=\"x\"\nlayout=\"parquet\"\nlicence=\"MIT\"\norigin=\"x\"\nclasses=\"c\"\n\
             templates=\"t\"\n[toys.split.test]\nfiles=[\"f\"]\n",
        )
        .unwrap();
        let catalog = Catalog::open(&registry).unwrap();
        let path = Path::new("s.toml");
        let document = Document::from_text(path, text.to_owned());
        Suite::parse(path, &document, &catalog).err().map(|e| e.to_string()).unwrap_or_default()
    }

    const GOOD: &str = "[suite]\nname = \"demo\"\ntrack = \"clip\"\n\
        [[checkpoint]]\nid = \"a\"\nrole = \"pretrained\"\nsource = \"x\"\n\
        [[checkpoint]]\nid = \"b\"\nrole = \"finetuned\"\nsource = \"y\"\n\
        [[sweep]]\nmerge = \"wise-ft\"\nfrom = \"a\"\nto = [\"b\"]\nalphas = \"0:1:0.5\"\n\
        [[probe]]\nid = \"p\"\ndataset = \"toys\"\nrole = \"speciality\"\n";

    #[test]
    fn a_good_suite_has_no_problems() {
        assert_eq!(problems(GOOD), "");
    }

    #[test]
    fn each_mistake_is_named() {
        for (from, to, expected) in [
            ("track = \"clip\"", "trak = \"clip\"", "did you mean `track`?"),
            ("role = \"pretrained\"", "role = \"pretraind\"", "did you mean `pretrained`?"),
            ("to = [\"b\"]", "to = [\"c\"]", "no checkpoint is called `c`"),
            ("to = [\"b\"]", "to = [\"a\"]", "from a checkpoint to itself"),
            ("id = \"b\"", "id = \"a\"", "a second checkpoint is called `a`"),
            ("0:1:0.5", "0:2:0.5", "alpha 1.5 is outside 0 to 1"),
            ("dataset = \"toys\"", "dataset = \"tyos\"", "did you mean `toys`?"),
            ("wise-ft", "wise-tf", "did you mean `wise-ft`?"),
            ("id = \"p\"", "id = \"p\"\nsplit = \"tset\"", "has no split `tset`"),
            ("id = \"p\"", "id = \"p\"\nmetric = \"top2\"", "unknown metric `top2`"),
            ("id = \"p\"", "id = \"p\"\nlimit = \"many\"", "`limit` must be a whole number"),
            ("name = \"demo\"", "name = \"../demo\"", "cannot name a folder"),
        ] {
            let report = problems(&GOOD.replacen(from, to, 1));
            assert!(report.contains(expected), "{expected} not in\n{report}");
            assert!(report.contains("s.toml:"), "{report}");
        }
    }

    #[test]
    fn all_mistakes_come_together() {
        let text = GOOD.replace("wise-ft", "x").replace("toys", "y").replace("finetuned", "z");
        assert_eq!(problems(&text).matches("error: ").count(), 4, "{}", problems(&text));
    }
}
