//! A place to run the program in, and what its failures look like.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_offheap");
/// A run that takes more processor time is ended, so that a test fails and does not hang.
const CPU_SECONDS_MAX: u32 = 120;

/// A place for a run: its current directory, and in it a directory to spill to.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.spill_dir()).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn spill_dir(&self) -> PathBuf {
        self.path("spill")
    }

    /// The program, to be run here with these arguments.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = self.behind("exec \"$@\"");
        command.arg("--quiet").arg("--spill-dir").arg(self.spill_dir()).args(args);
        command
    }

    /// The program behind a script of the shell, in which `exec "$@"` stands for it.
    pub fn behind(&self, script: &str) -> Command {
        let script = format!("ulimit -t {CPU_SECONDS_MAX}; {script}");
        let mut command = Command::new("sh");
        command.current_dir(self.0.path()).args(["-c", &script, "sh", PROGRAM]);
        command
    }

    pub fn run(&self, line: &str) -> Output {
        self.command(&words(line)).output().unwrap()
    }

    /// The one scenario that needs the least.
    pub fn sort(&self, line: &str) -> Output {
        self.run(&format!("run sort {line}"))
    }

    /// Every file below this place.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut dirs = vec![self.0.path().to_path_buf()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { dirs.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }
}

pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Sees that a run failed with `status` and one line, which contains all `parts`.
pub fn failed(output: &Output, status: i32, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!(output.stdout.is_empty());
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("error: "), "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}
