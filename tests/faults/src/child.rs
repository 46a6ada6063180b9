//! A test that runs itself again, as a process of its own.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

/// What a process is told to do, from the test that started it; unset in that test itself.
const ORDER: &str = "OFFHEAP_FAULT";
/// The seconds after which a process that hangs is ended.
const SECONDS_MAX: u32 = 120;

/// A process that does the same test.
pub struct Child {
    output: Output,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// All was as the test wants it.
    Well,
    /// Something was not.
    Badly,
    /// It was killed.
    BySignal(i32),
}

/// What this process was told to do, if it is one that a test started.
pub fn again() -> Option<String> {
    let order = env::var(ORDER).ok()?;
    // SAFETY: the call takes a number; the alarm ends the process.
    unsafe { libc::alarm(SECONDS_MAX) };
    Some(order)
}

impl Child {
    /// Runs the test of this name again, with this order, until it ends.
    pub fn run(test: &str, order: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads", "1"]);
        // The C library grows its heap at its end rather than by mappings, so that these are ours.
        command.env("MALLOC_ARENA_MAX", "1").env("MALLOC_MMAP_THRESHOLD_", "1073741824");
        command.env("RUST_BACKTRACE", "0");
        Self { output: command.env(ORDER, order).output().unwrap() }
    }

    /// How it ended.
    pub fn ended(&self) -> Ended {
        let status = self.output.status;
        match status.signal() {
            Some(signal) => Ended::BySignal(signal),
            None if status.success() => Ended::Well,
            None => Ended::Badly,
        }
    }

    /// What it said, to tell why it failed.
    pub fn said(&self) -> String {
        let [out, err] = [&self.output.stdout, &self.output.stderr]
            .map(|it| String::from_utf8_lossy(it).trim().to_owned());
        format!("{out}\n{err}")
    }

    /// The lines that begin with `word`, without it.
    pub fn lines(&self, word: &str) -> Vec<String> {
        let out = String::from_utf8_lossy(&self.output.stdout);
        // The first line follows what the harness prints.
        let rest = |line: &str| Some(line.split_once(word)?.1.trim().to_owned());
        out.lines().filter_map(rest).collect()
    }

    /// Checks that it ended well, and prints why it skipped what it skipped.
    pub fn assert_well(&self, what: &str) {
        assert_eq!(self.ended(), Ended::Well, "{what}:\n{}", self.said());
        for reason in self.lines("@skip ") {
            println!("{what} is skipped: {reason}");
        }
    }
}
