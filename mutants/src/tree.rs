//! A copy of the repository with the mutants woven in, and what is built from it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::mutant::{Kind, Mutant};
use crate::weave::weave;

/// One way to compile the code, and the tests that are built so.
#[derive(Clone, Copy)]
pub struct Build {
    /// What the reports call it.
    pub name: &'static str,
    /// The flags that select it.
    pub cfg: &'static str,
    /// What `cargo test` is told to build.
    pub tests: &'static [&'static str],
    /// How many preemptions its models explore at a time.
    pub preemptions: u32,
}

const FEATURES: &str = "offheap/c-abi,offheap/serde,offheap/metrics,offheap/tracing,\
                        offheap/track-allocations";

/// The tests of the core, of the sequences of calls, and of the operators.
pub const TESTS: Build = Build {
    name: "tests",
    cfg: "",
    tests: &[
        "-p",
        "offheap",
        "-p",
        "offheap-fuzz",
        "-p",
        "offheap-operators",
        "--lib",
        "--test",
        "all",
        "--test",
        "serialized",
        "--test",
        "traced",
        "--test",
        "metadata",
        "--test",
        "replay",
        "--test",
        "sharing",
        "--features",
        FEATURES,
    ],
    preemptions: 0,
};
/// The fallback for systems without the calls of Linux.
pub const PORTABLE: Build = Build {
    name: "portable",
    cfg: "--cfg offheap_portable",
    tests: &["-p", "offheap", "--lib", "--test", "all"],
    preemptions: 0,
};
/// The models, with what is enough for most of what they find.
pub const MODELS: Build = Build {
    name: "models",
    cfg: "--cfg offheap_loom",
    tests: &["-p", "offheap-loom-tests", "--tests"],
    preemptions: 2,
};
/// The models in their second mode.
pub const MODELS_RMW: Build = Build {
    name: "models-rmw",
    cfg: "--cfg offheap_loom --cfg offheap_loom_rmw",
    tests: &["-p", "offheap-loom-tests", "--tests"],
    preemptions: 2,
};

/// The copy.
pub struct Tree {
    /// Where the copy is.
    pub root: PathBuf,
    /// The files of the core, by their paths from the root.
    pub sources: Vec<String>,
    /// Which mutants are in it.
    pub woven: BTreeSet<usize>,
    target: PathBuf,
    original: PathBuf,
    lines: HashMap<String, HashMap<usize, usize>>,
}

impl Tree {
    /// Copies the repository at `original` below `folder`.
    ///
    /// # Errors
    ///
    /// The files cannot be read or written.
    pub fn copy(original: &Path, folder: &Path) -> Result<Self> {
        let root = folder.join("tree");
        fs::create_dir_all(&root)?;
        let mut git = Command::new("git");
        git.current_dir(original).args(["ls-files", "-co", "--exclude-standard"]);
        let files = String::from_utf8(git.output()?.stdout)?;
        // The files of the core are written with the mutants in them.
        let mut sources = Vec::new();
        for file in files.lines().filter(|file| original.join(file).is_file()) {
            if file.starts_with("src/") && file.ends_with(".rs") {
                sources.push(file.to_owned());
            } else {
                write_if_new(&root.join(file), &fs::read(original.join(file))?)?;
            }
        }
        Ok(Self {
            root,
            sources,
            woven: BTreeSet::new(),
            target: folder.join("target"),
            original: original.to_owned(),
            lines: HashMap::new(),
        })
    }

    /// Weaves in all mutants that compile, in each of the builds. Returns those that do not; those
    /// that are known not to are left out from the start.
    ///
    /// # Errors
    ///
    /// The copy cannot be written, or does not compile for another reason.
    pub fn weave(
        &mut self,
        mutants: &[Mutant],
        mut unviable: BTreeSet<usize>,
        builds: &[Build],
    ) -> Result<BTreeSet<usize>> {
        self.write(mutants, &unviable)?;
        for build in builds {
            loop {
                let broken = self.check(mutants, build)?;
                if broken.is_empty() {
                    break;
                }
                println!("{} mutants do not compile ({})", broken.len(), build.name);
                unviable.extend(broken);
                self.write(mutants, &unviable)?;
            }
        }
        Ok(unviable)
    }

    /// Writes every file with its mutants in it.
    fn write(&mut self, mutants: &[Mutant], without: &BTreeSet<usize>) -> Result<()> {
        let mut files: BTreeMap<&str, Vec<(usize, &Mutant)>> = BTreeMap::new();
        for file in &self.sources {
            files.entry(file).or_default();
        }
        for (number, mutant) in mutants.iter().enumerate() {
            let of_file = files.entry(&mutant.file).or_default();
            if !without.contains(&number) {
                of_file.push((number, mutant));
            }
        }
        self.woven.clear();
        for (file, mutants) in files {
            let text = fs::read_to_string(self.original.join(file))?;
            let mut woven = weave(&text, &mutants).with_context(|| file.to_owned())?;
            self.woven.extend(woven.mutants);
            if file == "src/lib.rs" {
                let features = "#![feature(core_intrinsics, const_eval_select)]";
                let switch = include_str!("switch.txt");
                woven.text = format!("{features}#![allow(warnings)]{}{switch}", woven.text);
            }
            write_if_new(&self.root.join(file), woven.text.as_bytes())?;
            self.lines.insert(file.to_owned(), woven.mutant_of_line);
        }
        Ok(())
    }

    /// The mutants that the compiler refuses.
    fn check(&self, mutants: &[Mutant], build: &Build) -> Result<BTreeSet<usize>> {
        let mut cargo = self.cargo(build, "check");
        cargo.args(["-p", "offheap", "--lib"]);
        if build.name == TESTS.name {
            cargo.args(["--features", FEATURES]);
        }
        let output = cargo.output().context("cannot run cargo")?;
        let mut broken = BTreeSet::new();
        let mut others = Vec::new();
        for message in messages(&output.stdout) {
            if text_at(&message, "/message/level") != Some("error") {
                continue;
            }
            let found = self.blamed(&message, mutants);
            if found.is_empty() {
                others.extend(text_at(&message, "/message/rendered").map(str::to_owned));
            }
            broken.extend(found);
        }
        if broken.is_empty() && !output.status.success() {
            bail!("{}\n{}", others.join("\n"), String::from_utf8_lossy(&output.stderr));
        }
        Ok(broken)
    }

    /// The mutants that an error is about: the one that it points at first, or else one that it
    /// also names, or the arms of a `match` that is not exhaustive without them.
    fn blamed(&self, message: &Value, mutants: &[Mutant]) -> Vec<usize> {
        const ARMS_LINES: u64 = 80;
        let spans = message.pointer("/message/spans").and_then(Value::as_array);
        let is_primary = |span: &&Value| span.get("is_primary") == Some(&Value::Bool(true));
        let (first, others): (Vec<_>, Vec<_>) = spans.into_iter().flatten().partition(is_primary);
        if let Some(found) = first.iter().chain(&others).find_map(|span| self.mutant_at(span)) {
            return vec![found];
        }
        let Some(span) = first.first() else { return Vec::new() };
        let file = text_at(span, "/file_name").and_then(|file| self.lines.get(file));
        let start = span.pointer("/line_start").and_then(Value::as_u64).unwrap_or_default();
        let lines = (start..start + ARMS_LINES).filter_map(|line| usize::try_from(line).ok());
        let below = lines.filter_map(|line| file?.get(&line).copied());
        below.filter(|number| mutants[*number].kind == Kind::Arm).collect()
    }

    fn mutant_at(&self, span: &Value) -> Option<usize> {
        let lines = self.lines.get(span.get("file_name")?.as_str()?)?;
        let line = |name: &str| usize::try_from(span.get(name)?.as_u64()?).ok();
        (line("line_start")? - 1..line("line_end")?).find_map(|line| lines.get(&line).copied())
    }

    fn cargo(&self, build: &Build, command: &str) -> Command {
        let mut cargo = Command::new("cargo");
        let flags = "-C debug-assertions -C overflow-checks --cap-lints allow";
        cargo.current_dir(&self.root).args([command, "--release", "--message-format=json"]);
        // The switch has to work in functions that the compiler can evaluate, too.
        cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", format!("{flags} {}", build.cfg));
        cargo.env("CARGO_TARGET_DIR", self.target.join(build.name));
        cargo
    }

    /// Builds the tests; their executables.
    ///
    /// # Errors
    ///
    /// They do not compile.
    pub fn build(&self, build: &Build) -> Result<Vec<PathBuf>> {
        let mut cargo = self.cargo(build, "test");
        let output = cargo.arg("--no-run").args(build.tests).output()?;
        let log = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the tests do not compile:\n{log}");
        let executables: Vec<PathBuf> = messages(&output.stdout)
            .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
            .collect();
        ensure!(!executables.is_empty(), "no tests were built:\n{log}");
        Ok(executables)
    }
}

fn text_at<'a>(message: &'a Value, path: &str) -> Option<&'a str> {
    message.pointer(path).and_then(Value::as_str)
}

fn messages(output: &[u8]) -> impl Iterator<Item = Value> {
    output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// Leaves a file alone that is as it should be, so that it is not compiled again.
fn write_if_new(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().context("a file in no folder")?)?;
    fs::write(path, content).with_context(|| path.display().to_string())
}
