//! `specbench list`.

use super::places;
use crate::base::embedded::{self, Kind};
use crate::base::registry::{Named, Registry};
use crate::cli::answers::{ListAnswer, ListItem};
use crate::cli::args::{ListKind, RegistryArgs};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::data::LAYOUTS;
use crate::image::corruptions::CORRUPTIONS;
use crate::import::FORMATS;
use crate::merge::{COMBINES, PATHS};
use crate::metric::METRICS;
use crate::model::ARCHITECTURES;
use crate::report::{FIGURES, Grid, TABLES};
use crate::suite::ProbeRole;
use crate::task::TASKS;
use crate::train::{METHODS, TERMS, TRAINS, UPDATES};

pub fn list(what: ListKind, registry: &RegistryArgs, output: &Output) -> Result<Exit, CliError> {
    match what {
        ListKind::Datasets => return super::data::list(&places::registry(registry, None, output)?, output),
        ListKind::Suites => suites(output)?,
        ListKind::Metrics => show(&METRICS, output),
        ListKind::Merges => {
            let paths = PATHS.items.iter().map(|m| (m.name(), m.summary(), m.reference()));
            let combinations = COMBINES.items.iter().map(|m| (m.name(), m.summary(), m.reference()));
            rows("merge", output, &paths.chain(combinations).collect::<Vec<_>>());
        }
        ListKind::Methods => show(&METHODS, output),
        ListKind::Terms => show(&TERMS, output),
        ListKind::Trains => show(&TRAINS, output),
        ListKind::Updates => show(&UPDATES, output),
        ListKind::Layouts => show(&LAYOUTS, output),
        ListKind::Corruptions => show(&CORRUPTIONS, output),
        ListKind::Tables => show(&TABLES, output),
        ListKind::Figures => show(&FIGURES, output),
        ListKind::Formats => show(&FORMATS, output),
        ListKind::Models => show(&ARCHITECTURES, output),
        ListKind::Probes => {
            // Every role is asked by every task.
            let all: Vec<(&str, &str, &str)> = ProbeRole::CHOICES
                .iter()
                .flat_map(|(role, _)| TASKS.items.iter().map(move |t| (*role, t.summary(), t.reference())))
                .collect();
            rows("probe role", output, &all);
        }
    }
    Ok(Exit::Ok)
}

/// The built-in suites, with their first lines.
fn suites(output: &Output) -> Result<(), CliError> {
    let folder = places::built_in()?;
    let summary = |name: &String| {
        let text =
            std::fs::read_to_string(folder.join("suites").join(format!("{name}.toml"))).unwrap_or_default();
        let about = text.lines().find_map(|l| l.strip_prefix("description = "));
        about.unwrap_or_default().trim_matches('"').to_owned()
    };
    let all: Vec<(String, String)> =
        embedded::names(Kind::Suite).into_iter().map(|n| (n.clone(), summary(&n))).collect();
    let shown: Vec<(&str, &str, &str)> = all.iter().map(|(n, s)| (n.as_str(), s.as_str(), "")).collect();
    rows("suite", output, &shown);
    Ok(())
}

fn show<T: Named + ?Sized>(registry: &Registry<T>, output: &Output) {
    let all: Vec<_> = registry.items.iter().map(|i| (i.name(), i.summary(), i.reference())).collect();
    rows(registry.kind, output, &all);
}

fn rows(kind: &str, output: &Output, all: &[(&str, &str, &str)]) {
    if output.json {
        let one = |&(name, summary, reference): &(&str, &str, &str)| ListItem {
            name: name.to_owned(),
            summary: summary.to_owned(),
            reference: reference.to_owned(),
        };
        output.json(&ListAnswer { items: all.iter().map(one).collect() });
        return;
    }
    let grid = Grid {
        title: format!("Registered: {kind}"),
        headers: [kind, "summary", "reference"].map(str::to_owned).to_vec(),
        rows: all.iter().map(|(n, s, r)| vec![(*n).to_owned(), (*s).to_owned(), (*r).to_owned()]).collect(),
        notes: vec![],
    };
    output.result(&grid.terminal(output.width));
}
