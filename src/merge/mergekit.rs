//! Merges as mergekit's YAML describes them: whole models, one number a parameter.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::DType;
use serde::Deserialize;
use serde_yaml_ng::Value;

use super::{COMBINES, Combine, CombineSettings, Each, PATHS, PathMethod, Rescale};
use crate::base::fs::{FileError, read_text};

/// Why such a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MergeFileError {
    /// It is missing.
    #[error(transparent)]
    File(#[from] FileError),
    /// It says something that cannot be done, or nothing.
    #[error("`{}`: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// How the checkpoints of a file are merged.
#[derive(Clone, Copy)]
pub enum MergeKind {
    /// Many into one.
    Combination(&'static dyn Combine),
    /// A point between the base and one other.
    Point(&'static dyn PathMethod, f64),
}

/// A merge as a file describes it.
pub struct MergeFile {
    /// The file.
    pub path: PathBuf,
    /// How.
    pub kind: MergeKind,
    /// What differences are taken to, as the file names it.
    pub base: Option<String>,
    /// What is merged, as the file names it.
    pub of: Vec<String>,
    /// Settings of a combination.
    pub settings: CombineSettings,
    /// The type in which the result is stored, if the file says so.
    pub dtype: Option<DType>,
}

type Parameters = BTreeMap<String, Value>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    merge_method: String,
    #[serde(default)]
    models: Vec<Model>,
    base_model: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    dtype: Option<String>,
    out_dtype: Option<String>,
    tokenizer_source: Option<Value>,
    tokenizer: Option<Value>,
    chat_template: Option<Value>,
    slices: Option<Value>,
    modules: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    model: String,
    #[serde(default)]
    parameters: Parameters,
}

/// What changes how masks are stored, and no number.
const STORAGE_ALONE: &str = "int8_mask";

impl MergeFile {
    /// Whether a path is one of a merge file, by its ending.
    #[must_use]
    pub fn is_meant_by(path: &Path) -> bool {
        path.extension().is_some_and(|e| e == "yaml" || e == "yml")
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If a key or a parameter is not understood: each of them could change the result.
    pub fn open(path: &Path) -> Result<Self, MergeFileError> {
        let invalid = |reason: String| MergeFileError::Invalid { path: path.to_owned(), reason };
        let written: Written = serde_yaml_ng::from_str(&read_text(path)?)
            .map_err(|e| invalid(format!("is no mergekit file that is understood: {e}")))?;
        Self::of(path, written).map_err(invalid)
    }

    fn of(path: &Path, written: Written) -> Result<Self, String> {
        if written.slices.is_some() || written.modules.is_some() {
            return Err("`slices` and `modules` put models together out of layers; whole models are \
                        merged here, listed under `models`"
                .to_owned());
        }
        let tokenizer = [&written.tokenizer_source, &written.tokenizer, &written.chat_template];
        let is_base = |v: &Value| v.as_str().is_some_and(|s| s == "base" || s == "auto");
        if tokenizer.into_iter().flatten().any(|v| !is_base(v)) {
            return Err("only the base's own tokenizer and chat template can be taken; leave \
                        `tokenizer_source`, `tokenizer` and `chat_template` out, or say `base`"
                .to_owned());
        }
        let dtype = written.out_dtype.as_ref().or(written.dtype.as_ref());
        let dtype = dtype.map(|name| dtype_of(name)).transpose()?;
        let named = |m: &Model| m.model.contains('+');
        if let Some(model) = written.models.iter().find(|m| named(m)) {
            return Err(format!("`{}` is a model and an adapter; merge them first", model.model));
        }
        let name = written.merge_method.replace('_', "-");
        let mut models = written.models;
        if let Some(path_method) = PATHS.get(&name).filter(|p| !p.of_outputs()) {
            let base = written.base_model.ok_or("a path needs `base_model`, where it starts")?;
            models.retain(|m| m.model != base);
            let [to] = &models[..] else { return Err("a path has one model besides its base".to_owned()) };
            let mut all = written.parameters;
            all.extend(to.parameters.clone());
            all.remove(STORAGE_ALONE);
            let alpha = all.remove("t").ok_or("a path needs `t`, how far it goes")?;
            if let Some(key) = all.keys().next() {
                return Err(format!("unknown parameter `{key}` of `{}`", written.merge_method));
            }
            let alpha = number("t", &alpha)?;
            if !path_method.alphas().contains(&alpha) {
                return Err(format!("`t` is {alpha}, outside 0 to 1"));
            }
            let (kind, of) = (MergeKind::Point(path_method, alpha), vec![to.model.clone()]);
            let settings = CombineSettings::default();
            return Ok(Self { path: path.to_owned(), kind, base: Some(base), of, settings, dtype });
        }
        let Some(method) = COMBINES.get(&name) else {
            let (message, help) = COMBINES.unknown(&name);
            return Err(format!("{message}; {help}"));
        };
        if method.needs_base() {
            // As mergekit: of itself the base has no difference.
            models.retain(|m| Some(&m.model) != written.base_model.as_ref());
        }
        let base = written.base_model.filter(|_| method.needs_base());
        let settings = settings(method, written.parameters, &models)?;
        let of = models.into_iter().map(|m| m.model).collect();
        let kind = MergeKind::Combination(method);
        Ok(Self { path: path.to_owned(), kind, base, of, settings, dtype })
    }
}

fn dtype_of(name: &str) -> Result<DType, String> {
    match name {
        "float32" => Ok(DType::F32),
        "float16" => Ok(DType::F16),
        "bfloat16" => Ok(DType::BF16),
        other => Err(format!("dtype `{other}`; known are float32, float16, bfloat16")),
    }
}

fn number(key: &str, value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| {
        format!("`{key}` must be one number; gradients over layers and filters by name are not understood")
    })
}

fn flag(key: &str, value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("`{key}` must be true or false"))
}

/// The settings of a combination: a model's own parameters over those of all.
fn settings(method: &dyn Combine, mut all: Parameters, models: &[Model]) -> Result<CombineSettings, String> {
    let mut settings = CombineSettings::default();
    all.remove(STORAGE_ALONE);
    let ours = |key: &str| if key == "weight" { "weights".to_owned() } else { key.to_owned() };
    let given = all.keys().chain(models.iter().flat_map(|m| m.parameters.keys()));
    for key in given.filter(|k| *k != STORAGE_ALONE) {
        if !method.keys().contains(&ours(key).as_str()) {
            let known: Vec<&str> = method.keys().to_vec();
            return Err(format!("`{}` has no parameter `{key}`; it has {}", method.name(), known.join(", ")));
        }
    }
    let each = |key: &str, all: &Parameters, default: Option<f64>| -> Result<Option<Vec<f64>>, String> {
        let own = |m: &Model| m.parameters.get(key).or_else(|| all.get(key)).map(|v| number(key, v));
        let found: Vec<Option<f64>> = models.iter().map(|m| own(m).transpose()).collect::<Result<_, _>>()?;
        if found.iter().all(Option::is_none) {
            return Ok(None);
        }
        let missing = || format!("`{key}` of some models alone; give it to each, or to all");
        found.into_iter().map(|f| f.or(default).ok_or_else(missing)).collect::<Result<_, _>>().map(Some)
    };
    settings.weights = each("weight", &all, None)?;
    settings.density = each("density", &all, Some(1.0))?.map(Each::of);
    let one = |key: &str| -> Result<Option<f64>, String> {
        match each(key, &all, None)?.map(Each::of) {
            Some(Each::List(_)) => Err(format!("`{key}` must be the same for all models")),
            Some(Each::All(value)) => Ok(Some(value)),
            None => Ok(None),
        }
    };
    (settings.gamma, settings.epsilon) = (one("gamma")?, one("epsilon")?);
    settings.lambda = all.get("lambda").map(|v| number("lambda", v)).transpose()?;
    settings.normalize = all.get("normalize").map(|v| flag("normalize", v)).transpose()?;
    let rescale = all.get("rescale").map(|v| flag("rescale", v)).transpose()?;
    settings.rescale = rescale.map(|on| if on { Rescale::L1 } else { Rescale::None });
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<MergeFile, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("merge.yml");
        std::fs::write(&path, text).unwrap();
        MergeFile::open(&path).map_err(|e| e.to_string())
    }

    const TIES: &str = "models:\n  - model: base\n  - model: a\n    parameters: {density: 0.5, weight: 0.5}\n  \
                        - model: b\n    parameters: {density: 0.3, weight: 1}\nmerge_method: ties\nbase_model: base\n\
                        parameters: {normalize: true, int8_mask: true}\ndtype: float16\n";

    #[test]
    fn a_usual_file_is_understood() {
        let file = read(TIES).unwrap();
        assert!(matches!(file.kind, MergeKind::Combination(m) if m.name() == "ties"));
        assert_eq!(
            (file.base.as_deref(), &file.of[..]),
            (Some("base"), &["a".to_owned(), "b".to_owned()][..])
        );
        assert_eq!(file.settings.weights, Some(vec![0.5, 1.0]));
        assert_eq!(file.settings.density, Some(Each::List(vec![0.5, 0.3])));
        assert_eq!((file.settings.normalize, file.dtype), (Some(true), Some(DType::F16)));
        let slerp =
            "models: [{model: a}, {model: b}]\nmerge_method: slerp\nbase_model: a\nparameters: {t: 0.25}\n";
        let file = read(slerp).unwrap();
        assert!(matches!(file.kind, MergeKind::Point(m, t) if m.name() == "slerp" && t == 0.25));
    }

    #[test]
    fn what_would_change_the_result_is_not_passed_over() {
        for (from, to, expected) in [
            ("merge_method: ties", "merge_method: tise", "did you mean `ties`"),
            ("density: 0.5", "density: [0.5, 0.1]", "gradients over layers"),
            ("density: 0.5", "gamma: 0.5", "has no parameter `gamma`"),
            ("dtype: float16", "dtype: int8", "known are float32"),
            ("dtype: float16", "tokenizer_source: union", "the base's own tokenizer"),
            ("dtype: float16", "seed: 3", "unknown field `seed`"),
            ("models:", "slices: []\nmodels:", "whole models are merged here"),
            ("model: a", "model: a+lora", "merge them first"),
        ] {
            let error = read(&TIES.replacen(from, to, 1)).err().unwrap_or_default();
            assert!(error.contains(expected), "{expected} not in {error}");
        }
    }
}
