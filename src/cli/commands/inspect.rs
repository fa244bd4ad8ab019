//! `specbench inspect`.

use std::path::Path;

use serde_json::json;

use crate::base::file_digests::FileDigests;
use crate::base::fs::read_lines;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::model::{CheckpointFolder, ModelError};
use crate::report::Grid;

pub fn inspect(
    path: &Path,
    base: Option<&Path>,
    classes: Option<&Path>,
    output: &Output,
) -> Result<Exit, CliError> {
    let fail = |e: ModelError| CliError::new(Exit::Unmeasured, e.to_string());
    let names = classes.map(read_lines).transpose();
    let names = names.map_err(|e| CliError::new(Exit::Usage, e.to_string()))?;
    let folder = match base {
        Some(base) => {
            let base = CheckpointFolder::open(base).map_err(fail)?;
            CheckpointFolder::open_over(path, &base, names.as_deref())
        }
        None => CheckpointFolder::open_named(path, names.as_deref()),
    };
    let folder = folder.map_err(fail)?;
    let tensors = folder.weights.load_all().map_err(|e| fail(e.into()))?;
    let entries = folder.weights.entries();
    let values: usize = entries.values().map(|i| i.shape.iter().product::<usize>()).sum();
    let (c, v, t) = (&folder.config, &folder.config.vision_config, &folder.config.text_config);
    let mut types: Vec<&str> = folder.weights.entries().values().map(|i| i.dtype.as_str()).collect();
    types.sort_unstable();
    types.dedup();
    let tokenizer = folder.tokenizer_digest().ok();
    let classes = folder.classifier.as_ref().map_or(0, |k| k.classes.len());
    let facts = [
        ("holds", folder.kind()),
        ("layout", folder.layout.name().to_owned()),
        ("model", c.family.name().to_owned()),
        (
            "weights",
            folder.weights.files().iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", "),
        ),
        (
            "tensors",
            format!("{} ({values} values, stored as {}; all finite)", tensors.len(), types.join(", ")),
        ),
        (
            "image tower",
            format!(
                "{} pixels, patches of {}, width {}, {} blocks, {} heads, {:?}",
                v.image_size,
                v.patch_size,
                v.tower.hidden_size,
                v.tower.num_hidden_layers,
                v.tower.num_attention_heads,
                v.tower.hidden_act
            ),
        ),
        (
            "text tower",
            format!(
                "{} tokens of {}, width {}, {} blocks, {} heads, {:?}",
                t.max_position_embeddings,
                t.vocab_size,
                t.tower.hidden_size,
                t.tower.num_hidden_layers,
                t.tower.num_attention_heads,
                t.tower.hidden_act
            ),
        ),
        ("joint embedding", c.projection_dim.to_string()),
        (
            "classifier",
            if classes > 0 { format!("{classes} classes") } else { "none (zero-shot head)".to_owned() },
        ),
        ("preprocessing", format!("{:?}", folder.preprocessor)),
        ("digest", folder.digest(&FileDigests::default()).map_err(fail)?.to_string()),
        ("tokenizer digest", tokenizer.map_or_else(|| "no tokenizer.json".to_owned(), |d| d.to_string())),
    ];
    if output.json {
        let map: serde_json::Map<String, serde_json::Value> =
            facts.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        output.result(&json!(map).to_string());
    } else {
        let grid = Grid {
            title: path.display().to_string(),
            headers: ["what", "value"].map(str::to_owned).to_vec(),
            rows: facts.into_iter().map(|(k, v)| vec![k.to_owned(), v]).collect(),
            notes: vec![],
        };
        output.result(&grid.terminal());
    }
    Ok(Exit::Ok)
}
