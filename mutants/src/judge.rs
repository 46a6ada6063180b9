//! Runs tests with a mutant on, until one fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::tree::{Build, PORTABLE};

/// A test, and what it came by when no mutant was on.
pub struct Test {
    /// The build it is of.
    pub build: Build,
    /// Its path in the executable.
    pub name: String,
    executable: PathBuf,
    /// How long it took.
    pub seconds: f64,
    reached: BTreeSet<usize>,
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A test failed, which is named.
    Caught(String),
    /// A test did not end, which is named.
    Hung(String),
    /// No test failed.
    Unnoticed,
    /// No test comes by it.
    Unreached,
    /// It does not compile.
    Unviable,
}

/// Runs every test of an executable by itself, and keeps which mutants it reaches; also for the
/// next run, if the executable is the same.
///
/// # Errors
///
/// A test fails with no mutant on.
pub fn record(build: Build, executable: &Path, folder: &Path, jobs: usize) -> Result<Vec<Test>> {
    let kept = folder.join(format!("reached-{}-{}", build.name, version(executable)?));
    if let Ok(text) = fs::read_to_string(&kept) {
        return text.lines().map(|line| Test::read(line, build, executable)).collect();
    }
    let list = Command::new(executable).args(["--list", "--format", "terse"]).output()?;
    let list = String::from_utf8(list.stdout)?;
    let names = Mutex::new(list.lines().filter_map(|line| line.strip_suffix(": test")));
    let tests = Mutex::new(Vec::new());
    each(jobs, || {
        let Some(name) = names.lock().ok().and_then(|mut names| names.next()) else {
            return Ok(false);
        };
        let test = record_one(build, executable, name, folder)?;
        tests.lock().map_err(|_| anyhow::anyhow!("another thread failed"))?.push(test);
        Ok(true)
    })?;
    let tests = tests.into_inner().unwrap_or_default();
    let text: String = tests.iter().map(Test::line).collect();
    fs::write(kept, text)?;
    Ok(tests)
}

/// What tells an executable from what it was before.
fn version(executable: &Path) -> Result<String> {
    let name = executable.file_name().unwrap_or_default().to_string_lossy();
    let mut hasher = DefaultHasher::new();
    hasher.write(&fs::read(executable)?);
    Ok(format!("{name}-{:016x}", hasher.finish()))
}

impl Test {
    /// The test as it is kept: its name, its seconds and what it reached.
    fn line(&self) -> String {
        let reached: Vec<String> = self.reached.iter().map(usize::to_string).collect();
        format!("{} {} {}\n", self.name, self.seconds, reached.join(","))
    }

    fn read(line: &str, build: Build, executable: &Path) -> Result<Self> {
        let mut parts = line.split(' ');
        let mut part = || parts.next().unwrap_or_default();
        let (name, seconds) = (part().to_owned(), part().parse()?);
        let reached = part().split(',').filter_map(|number| number.parse().ok()).collect();
        Ok(Self { build, name, executable: executable.to_owned(), seconds, reached })
    }
}

fn record_one(build: Build, executable: &Path, name: &str, folder: &Path) -> Result<Test> {
    let folder = folder.join(format!("{}-{}", build.name, name.replace("::", "-")));
    fs::create_dir_all(&folder)?;
    let start = Instant::now();
    let mut command = test_command(executable, build, &[name], 600.0, 1200.0);
    command.env("OFFHEAP_MUTANTS_REACHED", folder.join("reached"));
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{name} fails with no mutant on:\n{text}");
    let mut reached = BTreeSet::new();
    for entry in fs::read_dir(&folder)? {
        let text = fs::read_to_string(entry?.path())?;
        reached.extend(text.lines().filter_map(|line| line.parse::<usize>().ok()));
    }
    fs::remove_dir_all(&folder)?;
    let (name, executable) = (name.to_owned(), executable.to_owned());
    Ok(Test { build, name, executable, seconds: start.elapsed().as_secs_f64(), reached })
}

/// Runs tests under a limit of processor seconds, which a loop without end comes to soon and a busy
/// machine does not, and one of seconds, for those that wait without end.
fn test_command(
    executable: &Path,
    build: Build,
    names: &[&str],
    processor_seconds: f64,
    seconds: f64,
) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after", "1", &format!("{seconds:.0}"), "sh", "-c"]);
    command.arg(format!("ulimit -c 0 -t {processor_seconds:.0}; exec \"$0\" \"$@\""));
    command.arg(executable).args(["--exact", "--test-threads", "2"]).args(names);
    command.stdin(Stdio::null()).env("LOOM_MAX_PREEMPTIONS", build.preemptions.to_string());
    command
}

/// Runs the tests that come by `mutant`, the most telling first, until one fails.
///
/// # Errors
///
/// A test cannot be run.
pub fn judge(mutant: usize, tests: &[Test]) -> Result<Outcome> {
    let mut those: Vec<&Test> =
        tests.iter().filter(|test| test.reached.contains(&mutant)).collect();
    if those.is_empty() {
        return Ok(Outcome::Unreached);
    }
    // The fallback passes the same tests, so it only says more about what is in nothing else.
    if those.iter().any(|test| test.build.name != PORTABLE.name) {
        those.retain(|test| test.build.name != PORTABLE.name);
    }
    // What is quick and comes by little says most for its time.
    let reached = |test: &Test| i32::try_from(test.reached.len()).unwrap_or(i32::MAX);
    let cost = |test: &&Test| (test.seconds + 0.02) * f64::from(200 + reached(test));
    those.sort_by(|one, other| cost(one).total_cmp(&cost(other)));
    for batch in batches(&those) {
        let seconds: f64 = batch.iter().map(|test| test.seconds).sum();
        let names: Vec<&str> = batch.iter().map(|test| test.name.as_str()).collect();
        let (executable, build) = (&batch[0].executable, batch[0].build);
        let mut command =
            test_command(executable, build, &names, 8.0 * seconds + 2.0, 8.0 * seconds + 15.0);
        command.env("OFFHEAP_MUTANT", mutant.to_string());
        let output = command.output().context("cannot run a test")?;
        if output.status.success() {
            continue;
        }
        let by =
            format!("{} {}", build.name, failed(&output.stdout).unwrap_or_else(|| names[0].into()));
        let is_over = matches!(output.status.code(), Some(124 | 137 | 152) | None);
        return Ok(if is_over { Outcome::Hung(by) } else { Outcome::Caught(by) });
    }
    Ok(Outcome::Unnoticed)
}

/// The first few one by one, as most mutants end there, and then more and more at a time.
fn batches<'a>(tests: &[&'a Test]) -> Vec<Vec<&'a Test>> {
    let mut batches: Vec<Vec<&Test>> = tests.iter().take(4).map(|test| vec![*test]).collect();
    let mut open: BTreeMap<&Path, Vec<&Test>> = BTreeMap::new();
    for test in tests.iter().skip(4) {
        let batch = open.entry(&test.executable).or_default();
        batch.push(*test);
        if batch.len() == 16 {
            batches.push(std::mem::take(batch));
        }
    }
    batches.extend(open.into_values().filter(|batch| !batch.is_empty()));
    batches
}

/// The test that failed first.
fn failed(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().find(|line| line.starts_with("test ") && line.ends_with("FAILED"))?;
    line.split_whitespace().nth(1).map(str::to_owned)
}

/// Has `jobs` threads do `work` for as long as there is some.
///
/// # Errors
///
/// One of them failed.
pub fn each(jobs: usize, work: impl Fn() -> Result<bool> + Sync) -> Result<()> {
    std::thread::scope(|scope| {
        let run = || {
            while work()? {}
            Ok::<(), anyhow::Error>(())
        };
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(run)).collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        Ok(())
    })
}
