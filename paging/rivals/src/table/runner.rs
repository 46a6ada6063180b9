//! Runs one measurement: a process, in a memory cgroup if it is to have one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::measure::found::Found;
use crate::measure::group::Group;

/// One measurement.
#[derive(Clone)]
pub struct Measurement {
    /// The peer's name within its row.
    pub peer: &'static str,
    program: &'static str,
    arguments: Vec<String>,
    group_mib: Option<usize>,
    /// Where its files go, if not to that of the others.
    dir: Option<&'static Path>,
    /// Parts of the memory to tell it, in turn, until it lives with one.
    shares: &'static [f64],
}

impl Measurement {
    /// `work` of `program` for `peer`.
    #[must_use]
    pub fn new(peer: &'static str, program: &'static str, work: &str) -> Self {
        Self {
            peer,
            program,
            arguments: vec![work.to_owned()],
            group_mib: None,
            dir: None,
            shares: &[],
        }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.arguments.extend([format!("--{name}"), value.to_string()]);
        self
    }

    /// Tells it that it has the first of these parts of the memory with which it is not killed.
    #[must_use]
    pub fn sharing(mut self, shares: &'static [f64]) -> Self {
        self.shares = shares;
        self
    }

    /// With its files in `dir`.
    #[must_use]
    pub fn at(mut self, dir: &'static str) -> Self {
        self.dir = Some(Path::new(dir));
        self
    }

    /// In a memory cgroup that may have `mib`.
    #[must_use]
    pub fn within(mut self, mib: usize) -> Self {
        self.group_mib = Some(mib);
        self
    }
}

/// Where programs and files are.
pub struct Runner {
    pub programs: PathBuf,
    pub dir: PathBuf,
    pub repeats: usize,
    pub quick: bool,
}

impl Runner {
    /// What `measurement` finds.
    ///
    /// # Errors
    ///
    /// If it cannot be started, fails, or is killed for its memory.
    pub fn run(&self, measurement: &Measurement) -> Outcome<Found> {
        let mut outcome = None;
        for &share in measurement.shares {
            match self.run_once(&measurement.clone().with("share", share)) {
                Ok(found) => return Ok(found.with("share", share)),
                Err(error) => outcome = Some(error),
            }
        }
        outcome.map_or_else(|| self.run_once(measurement), Err)
    }

    fn run_once(&self, measurement: &Measurement) -> Outcome<Found> {
        let mut command = Command::new(self.programs.join(measurement.program));
        let (work, rest) = measurement.arguments.split_first().ok_or("there is no work")?;
        // It is removed even if the process is killed, and cannot do so itself.
        let dir = tempfile::tempdir_in(measurement.dir.unwrap_or(&self.dir))?;
        command.arg(work).arg("--dir").arg(dir.path());
        // By default the C library keeps so many heaps that foyer needs twice the memory.
        command.args(rest).env("MALLOC_ARENA_MAX", "1");
        let group = match measurement.group_mib {
            Some(mib) => Some(Group::new(measurement.peer, (mib as u64) << 20)?),
            None => None,
        };
        if let Some(group) = &group {
            command.arg("--group").arg(group.folder());
        }
        let output = command.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = format!("{} {}", measurement.program, measurement.arguments.join(" "));
            return Err(format!("{line}: {}: {}", output.status, said.trim()).into());
        }
        let found = Found::parse(&String::from_utf8_lossy(&output.stdout))?;
        Ok(match group {
            Some(group) => found.with("group_bytes", group.peak_bytes()? as f64),
            None => found,
        })
    }
}
