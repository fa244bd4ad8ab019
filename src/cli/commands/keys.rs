//! `specbench keys`.

use std::path::Path;

use serde_json::json;

use crate::base::fs::write_atomic;
use crate::cli::answers::{self, KeysAnswer};
use crate::cli::args::{KeysArgs, KeysOf};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::keys::{FILES, FileKeys, RECIPE, REGISTRY, SUITE, TASK, Table};
use crate::report::Grid;

/// What the page says above the keys.
const HEAD: &str = "# Keys\n\nEvery key of a suite, a recipe, the registry and a task file. Written by `specbench keys --out`; the schemas \
                    beside this page are for editors (`#:schema suite.json` in the first line, with taplo).\n\n";

pub fn keys(args: &KeysArgs, output: &Output) -> Result<Exit, CliError> {
    if let Some(out) = &args.out {
        write(out, output)?;
        return Ok(Exit::Ok);
    }
    let chosen: &[&FileKeys] = match args.file {
        None => &FILES,
        Some(KeysOf::Suite) => &[&SUITE],
        Some(KeysOf::Recipe) => &[&RECIPE],
        Some(KeysOf::Registry) => &[&REGISTRY],
        Some(KeysOf::Task) => &[&TASK],
    };
    for file in chosen {
        if output.json {
            continue;
        }
        if args.schema {
            output.result(&format!("{:#}", file.schema()));
        } else {
            file.tables.iter().for_each(|t| output.result(&grid(t).terminal(output.width)));
        }
    }
    if output.json {
        output.json(&KeysAnswer(chosen.iter().map(|f| (f.name.to_owned(), f.schema())).collect()));
    }
    Ok(Exit::Ok)
}

fn grid(table: &Table) -> Grid {
    let row = |key: &crate::keys::Key| {
        let value = key.kind.words().replace('`', "");
        let without = key.default.map_or_else(|| "needed".to_owned(), |d| format!("without it: {d}"));
        vec![key.name.to_owned(), key.summary.to_owned(), format!("{value}; {without}")]
    };
    Grid {
        title: format!("{}  {}", table.heading(), table.summary),
        headers: ["key", "what it is for", "value"].map(str::to_owned).to_vec(),
        rows: table.all().map(row).collect(),
        notes: vec![format!("\n{}", table.example)],
    }
}

fn write(out: &Path, output: &Output) -> Result<(), CliError> {
    let page: String = FILES.iter().map(|f| f.markdown() + "\n").collect();
    let put = |name: &str, text: String| {
        let written = write_atomic(&out.join(name), text.as_bytes());
        written.map_err(|e| CliError::new(Exit::Internal, e.to_string()))
    };
    put("keys.md", format!("{HEAD}{}\n", page.trim_end()))?;
    for file in FILES {
        put(&format!("{}.json", file.name), format!("{:#}\n", file.schema()))?;
    }
    put("output.json", format!("{:#}\n", answers::schema()))?;
    output.note(&format!("keys.md and {} schemas: {}", FILES.len() + 1, out.display()));
    if output.json {
        output.json(&KeysAnswer([("out".to_owned(), json!(out))].into()));
    }
    Ok(())
}
