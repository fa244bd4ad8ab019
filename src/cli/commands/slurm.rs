//! `specbench slurm`: a suite as a job array of shards, and a job that joins them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::places;
use crate::base::embedded::Kind;
use crate::base::fs::write_atomic;
use crate::cli::answers::SlurmAnswer;
use crate::cli::args::{SlurmArgs, SourceArgs};
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Output;
use crate::suite::Suite;

/// What the scripts depend on.
struct Job {
    /// The suite's name.
    name: String,
    /// The program, the suite and the results folder, absolute: nodes share them.
    program: PathBuf,
    suite: PathBuf,
    out: PathBuf,
    shards: usize,
    parallel: Option<usize>,
    /// Lines of the site, such as `--partition=gpu`.
    sbatch: Vec<String>,
    /// Further arguments of `run`.
    run: Vec<String>,
}

/// Seconds between the warning and the end at a time limit or a preemption.
const GRACE: u32 = 60;

impl Job {
    /// The job array. A task that is requeued does the same shard again and finds what is finished; `exec` lets the program
    /// have the signal.
    fn array(&self) -> String {
        let last = self.shards - 1;
        let at_once = self.parallel.map(|k| format!("%{k}")).unwrap_or_default();
        let mut head = vec![
            format!("--array=0-{last}{at_once}"),
            "--requeue".to_owned(),
            "--open-mode=append".to_owned(),
            format!("--signal=B:TERM@{GRACE}"),
            format!("--output={}", self.out.join("slurm/%A_%a.log").display()),
        ];
        head.extend(self.sbatch.iter().cloned());
        let shard = format!("--shard $((SLURM_ARRAY_TASK_ID + 1))/{}", self.shards);
        self.script(&head, &shard)
    }

    /// The job that joins. It may be lost or run twice: the last shard joins as well, and what is joined is found.
    fn join(&self) -> String {
        let mut head = vec![format!("--output={}", self.out.join("slurm/join_%j.log").display())];
        head.extend(self.sbatch.iter().cloned());
        self.script(&head, "")
    }

    fn script(&self, head: &[String], shard: &str) -> String {
        let mut text = format!("#!/bin/sh\n#SBATCH --job-name=specbench-{}\n", self.name);
        head.iter().for_each(|line| text += &format!("#SBATCH {line}\n"));
        let path = |p: &Path| quoted(&p.display().to_string());
        text += &format!("exec {} run {} --out {}", path(&self.program), path(&self.suite), path(&self.out));
        for part in std::iter::once(shard.to_owned()).chain(self.run.iter().map(|a| quoted(a))) {
            if !part.is_empty() {
                text += &format!(" {part}");
            }
        }
        text + "\n"
    }
}

/// A word for a shell.
fn quoted(text: &str) -> String {
    // Only a NUL, which no argument holds, cannot be quoted.
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

pub fn slurm(args: &SlurmArgs, output: &Output) -> Result<Exit, CliError> {
    let file = places::file_of(Kind::Suite, &args.suite, output)?;
    let suite = Suite::open(&file, &places::catalog(&args.sources, Some(&file), output)?)?;
    let absolute = |p: &Path| std::path::absolute(p).unwrap_or_else(|_| p.to_owned());
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("reports").join(&suite.name));
    let program = std::env::current_exe()
        .map_err(|e| CliError::new(Exit::Internal, format!("cannot find this program's own file: {e}")))?;
    // A built-in suite is unpacked by each node for itself.
    let suite_path = if args.suite.exists() { absolute(&args.suite) } else { args.suite.clone() };
    let job = Job {
        name: suite.name,
        program,
        suite: suite_path,
        out: absolute(&out),
        shards: args.shards,
        parallel: args.parallel,
        sbatch: args.sbatch.clone(),
        run: passed_on(&args.sources).into_iter().chain(args.run.iter().cloned()).collect(),
    };
    let (array, join) = (job.array(), job.join());
    if args.dry_run && output.json {
        output.json(&SlurmAnswer { array, join, out: None });
        return Ok(Exit::Ok);
    }
    if args.dry_run {
        output.result(&format!("# array.sh\n{array}\n# join.sh, after all of the array\n{join}"));
        return Ok(Exit::Ok);
    }
    let folder = job.out.join("slurm");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        write_atomic(&path, text.as_bytes())
            .map(|()| path)
            .map_err(|e| CliError::new(Exit::Internal, e.to_string()))
    };
    let (array, join) = (write("array.sh", &array)?, write("join.sh", &join)?);
    let number = submit(&[], &array)?;
    output.note(&format!("job {number}: {} shards; logs in {}", job.shards, folder.display()));
    let after = format!("--dependency=afterok:{number}");
    let mut more = vec![after.as_str(), "--kill-on-invalid-dep=yes"];
    if args.wait {
        more.push("--wait");
    }
    let joined = submit(&more, &join)?;
    output.note(&format!("job {joined}: joins them; if it is lost, the last shard has joined them, or `run` without `--shard` does"));
    if output.json {
        output.json(&SlurmAnswer { array: number, join: joined, out: Some(job.out) });
    } else {
        output.result(&number);
    }
    Ok(Exit::Ok)
}

/// What was said of where files come from, for the nodes; a token is in their environment or nowhere.
fn passed_on(sources: &SourceArgs) -> Vec<String> {
    let absolute = |p: &PathBuf| std::path::absolute(p).unwrap_or_else(|_| p.clone()).display().to_string();
    let hub = &sources.hub;
    let given = [
        ("--registry", sources.registry.registry.as_ref().map(absolute)),
        ("--hub-cache", hub.hub_cache.as_ref().map(absolute)),
        ("--hub-endpoint", hub.hub_endpoint.clone()),
    ];
    let values = given
        .into_iter()
        .filter_map(|(name, value)| Some([name.to_owned(), value.filter(|v| !v.is_empty())?]))
        .flatten();
    values.chain(hub.offline.then(|| "--offline".to_owned())).collect()
}

/// Submits a script; the job's number.
fn submit(more: &[&str], script: &Path) -> Result<String, CliError> {
    let mut command = Command::new("sbatch");
    command.arg("--parsable").args(more).arg(script);
    let done = command.output().map_err(|e| {
        let text =
            format!("cannot start `sbatch`: {e}; `--dry-run` prints the scripts for a machine that has it");
        CliError::new(Exit::Usage, text)
    })?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        let text = format!("`sbatch {}` failed: {said}", script.display());
        return Err(CliError::new(Exit::Unmeasured, text));
    }
    // "JOB" or "JOB;CLUSTER".
    let said = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    Ok(said.split(';').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_what_a_site_can_read_and_edit() {
        let job = Job {
            name: "mine".to_owned(),
            program: "/opt/spec bench/specbench".into(),
            suite: "/home/me/it's.toml".into(),
            out: "/scratch/out".into(),
            shards: 8,
            parallel: Some(4),
            sbatch: vec!["--partition=gpu".to_owned(), "--gres=gpu:1".to_owned()],
            run: vec!["--device".to_owned(), "cuda".to_owned()],
        };
        assert_eq!(
            job.array(),
            "#!/bin/sh\n#SBATCH --job-name=specbench-mine\n#SBATCH --array=0-7%4\n#SBATCH --requeue\n#SBATCH --open-mode=append\n\
             #SBATCH --signal=B:TERM@60\n#SBATCH --output=/scratch/out/slurm/%A_%a.log\n#SBATCH --partition=gpu\n\
             #SBATCH --gres=gpu:1\nexec '/opt/spec bench/specbench' run \"/home/me/it's.toml\" --out /scratch/out --shard \
             $((SLURM_ARRAY_TASK_ID + 1))/8 --device cuda\n"
        );
        assert!(job.join().ends_with("--out /scratch/out --device cuda\n"), "{}", job.join());
    }
}
